"""Charts of folders, on this machine or in Git: packed here, and at a build packed again.

The lock names the folder, the commit and each dependency's digest, and the digest of the archive
that follows from them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, DigestMismatchError, FormatError
from bundle.base.limits import MAX_CHART_BYTES
from bundle.base.queries import shown_url
from bundle.base.reference import parse_reference
from bundle.kinds.chart_source import ChartSource, check_chart_source, oci_chart_reference
from bundle.kinds.charts import LockedChart, LockedDependency, LockedFolder
from bundler.model.chart import chart_artifact
from bundler.sources.charts.dependencies import packed_chart
from bundler.sources.charts.parts import Dependency
from bundler.sources.charts.published import ChartResolver, check_identity, made_artifact
from bundler.sources.charts.tree import ChartFolder, read_folder
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import check_bytes, read_whole, small_blob
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.common.opener import BlobStream, Opener, WholeBytes


def resolve_folder(chart: ChartSource, context: SourceContext) -> LockedChart:
    """Pack a chart's folder, and keep the archive and what it is as an OCI artifact.

    Raises:
        DefinitionError: There is no such folder, or a dependency is not locked as it must be.
        FormatError: Something in it cannot be carried, or it is another chart.
        ClosureError: It lacks a dependency.
        ProgramError: git failed.
        TransportError: And its subclasses, when a dependency cannot be had.
        StorageError: A blob cannot be read.
    """
    folder = ChartFolder(chart.path or "", chart.git)
    fetched: list[LockedDependency] = []

    def fetch(wanted: Sequence[Dependency]) -> list[bytes]:
        return _fetch_new(wanted, context, fetched)

    archive = packed_chart(folder, chart.name, lambda f: read_folder(f, context), fetch)
    made = chart_artifact(archive, folder.name)
    check_identity(chart, made, folder.name)
    for data in (archive, made.config, made.manifest):
        context.store.put_bytes(digest_of(data), data)
    content = Content(digest=digest_of(archive), size=len(archive))
    reference = oci_chart_reference(chart.home, chart.name, chart.version)
    return LockedChart(
        name=chart.name,
        version=chart.version,
        repository=chart.home,
        archive=content,
        folder=LockedFolder(
            path=chart.path,
            git=chart.git,
            dependencies=tuple(
                sorted(set(fetched), key=lambda d: (d.repository, d.name, d.version))
            ),
        ),
        artifact=made_artifact(reference, made, content),
    )


def folder_opener(chart: LockedChart, folder: LockedFolder, context: SourceContext) -> Opener:
    """Return how a chart's archive is made again from its folder.

    What is opened raises DigestMismatchError where the folder is not as it was locked.
    """

    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it is always whole
        return WholeBytes(_pack_again(chart, folder, context))

    return opener


def _pack_again(chart: LockedChart, folder: LockedFolder, context: SourceContext) -> bytes:
    place = ChartFolder(folder.path or "", folder.git)

    def fetch(wanted: Sequence[Dependency]) -> list[bytes]:
        return [_fetch_locked(exact, folder, place, context) for exact in wanted]

    archive = packed_chart(place, chart.name, lambda f: read_folder(f, context), fetch)
    if digest_of(archive) != chart.archive.digest:
        raise DigestMismatchError(
            f"{place.name}: expected the chart {chart.name} to be {chart.archive.digest}, found "
            f"{digest_of(archive)}",
            "The folder changed since it was locked; run `isoward lock` and review what changed.",
            {"expected": chart.archive.digest, "found": digest_of(archive)},
        )
    return archive


def _fetch_new(
    wanted: Sequence[Dependency], context: SourceContext, fetched: list[LockedDependency]
) -> list[bytes]:
    """Fetch dependencies from their repositories, and note what came."""
    sources = [_as_source(exact) for exact in wanted]
    source = ManifestSource(context.client, context.store)
    resolver = ChartResolver(sources, source, context.run, provenance=False)
    archives = []
    for wanted_chart in sources:
        found = resolver.resolve(wanted_chart)
        archive = context.store.read_bytes(found.archive.digest, found.archive.size)
        if archive is None:
            raise FormatError(
                f"chart {found.name} {found.version}: its copy in the cache was just damaged",
                "Check the disk, and run the command again.",
            )
        archives.append(archive)
        from_there = found.url is not None or wanted_chart.is_oci
        fetched.append(
            LockedDependency(
                name=found.name,
                version=found.version,
                repository=found.repository,
                digest=found.archive.digest,
                size=found.archive.size,
                url=found.url,
                reference="" if from_there else found.artifact.reference,
            )
        )
    return archives


def _as_source(exact: Dependency) -> ChartSource:
    """Take a dependency for a chart of a definition, by the same rules."""
    where = f"dependency {exact.name}"
    fields = {
        "name": exact.name,
        "version": exact.version,
        "repository": exact.repository.rstrip("/"),
    }
    try:
        source = msgspec.convert(fields, ChartSource)
    except msgspec.ValidationError as error:
        raise DefinitionError(
            f"{where}: {exact.repository[:200]!r}: {error}", "Correct Chart.yaml and Chart.lock."
        ) from error
    check_chart_source(source, where)
    return source


def _fetch_locked(
    exact: Dependency, folder: LockedFolder, place: ChartFolder, context: SourceContext
) -> bytes:
    """Return a dependency with the digest that the lock has of it."""
    asked = (exact.repository.rstrip("/"), exact.name, exact.version)
    for locked in folder.dependencies:
        if (locked.repository, locked.name, locked.version) == asked:
            return _by_digest(locked, context)
    raise DigestMismatchError(
        f"{place.name}: it depends on {exact.name} {exact.version} of {asked[0][:200]}, which the "
        "lock does not have",
        "The folder changed since it was locked; run `isoward lock` and review what changed.",
    )


def _by_digest(locked: LockedDependency, context: SourceContext) -> bytes:
    content = Content(digest=locked.digest, size=locked.size)
    if locked.url is None:
        reference = (
            parse_reference(locked.reference)
            if locked.reference
            else oci_chart_reference(locked.repository, locked.name, locked.version)
        )
        source = ManifestSource(context.client, context.store)
        return small_blob(source, reference, content, MAX_CHART_BYTES)
    kept = context.store.read_bytes(content.digest, content.size)
    if kept is not None:
        return kept
    url = locked.url
    shown = shown_url(url)
    data = read_whole(lambda: context.client.open_url(url), MAX_CHART_BYTES, shown)
    check_bytes(data, content, shown)
    return data
