"""Charts: what a lock and bundle.json say of one, such as its folder, its artifact, its signer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec

from bundle.base.content import Content
from bundle.base.digest import Digest, Size, short
from bundle.base.documents import Document, QueriedUrl, Text, each_once
from bundle.base.errors import DefinitionError
from bundle.base.names import ServedNames, chart_folder
from bundle.base.paths import InnerPath, check_inner_path
from bundle.base.patterns import formed
from bundle.base.reference import check_url, parse_reference
from bundle.kinds.artifacts import (
    Artifact,
    LockedArtifact,
    artifact_entry,
    describe_unasked,
    unlisted,
)
from bundle.kinds.chart_source import (
    LOCAL_CHARTS,
    ChartName,
    ChartRepository,
    ChartSource,
    ChartVersion,
    chart_host,
    check_chart_source,
    repository_host,
)
from bundle.kinds.closure import chart_wants
from bundle.kinds.git import GitSource, check_git_source, git_host
from bundle.kinds.policy import Material
from bundle.kinds.protocol import BundleHead, DefinitionHead, Dependency, Kind, LockHead, section
from bundle.kinds.rendering import HELM, Rendering, ValuesFile


class LockedDependency(Document, frozen=True, kw_only=True):
    """A chart that was fetched into charts/ of a chart's folder, so it packs the same again."""

    name: ChartName
    version: ChartVersion
    repository: ChartRepository
    digest: Digest
    size: Size
    url: QueriedUrl | None = None
    """Of the archive, for a chart of an HTTP repository."""
    reference: Text = ""
    """Of the artifact, for one of an HTTP repository whose index says that it is in a registry."""


Fingerprint = Annotated[
    str,
    formed(
        r"^[0-9A-F]{40}([0-9A-F]{24})?$(?!\n)",
        "the full fingerprint of an OpenPGP key, 40 or 64 uppercase hexadecimal characters",
        "0123456789ABCDEF0123456789ABCDEF01234567",
        max_length=64,
    ),
]
"""Of an OpenPGP key, its primary one."""


class LockedProvenance(Document, frozen=True, kw_only=True):
    """A chart's provenance file.

    Without a keyring nobody checked who signed it: it is carried for those who will.
    """

    digest: Digest
    size: Size
    signer: Fingerprint | None = None
    keyring: Material | None = None
    """OpenPGP public keys, armored."""


class LockedFolder(Document, frozen=True, kw_only=True):
    """The folder that a chart's archive is packed from."""

    path: InnerPath | None = None
    git: GitSource | None = None
    dependencies: tuple[LockedDependency, ...] = ()
    """Sorted by repository, name and version."""


def folder_hosts(folder: LockedFolder) -> Iterator[str]:
    """Yield the hosts that a chart's folder and its dependencies come from, with repeats."""
    host = git_host(folder.git.repository) if folder.git is not None else None
    if host is not None:
        yield host
    for dependency in folder.dependencies:
        yield repository_host(dependency.repository)
        if dependency.url is not None:
            yield repository_host(dependency.url)
        if dependency.reference:
            yield parse_reference(dependency.reference).registry


def check_folder(folder: LockedFolder | None, repository: str, url: str | None, where: str) -> None:
    """Check what the type alone cannot express.

    Args:
        folder: Of the chart, if it is of a folder.
        repository: Of the chart.
        url: Of its archive.
        where: The chart, for messages.
    Raises:
        DefinitionError: It is said to be of a folder and of a repository, a path leads out, or an
            address is malformed.
    """
    if (folder is not None) != (repository == LOCAL_CHARTS) or (folder and url):
        raise DefinitionError(f"{where}: repository {repository!r} contradicts its folder", "")
    if folder is None:
        return
    if folder.path is not None:
        check_inner_path(folder.path, f"{where}.path")
    if folder.git is not None:
        check_git_source(folder.git, f"{where}.git")
    for dependency in folder.dependencies:
        check_url(dependency.repository, f"{where}.dependencies")
        if dependency.url is not None:
            check_url(dependency.url, f"{where}.dependencies")
        if dependency.reference:
            parse_reference(dependency.reference, f"{where}.dependencies")


class LockedChart(Document, frozen=True, kw_only=True):
    """A chart: the archive's digest, and the OCI artifact that holds it.

    For a chart from an HTTP repository `url` says where the archive is, for one from a folder
    `folder` what it is packed from. In both cases the artifact is made by the build from the
    archive, always the same; an OCI chart has neither.
    """

    name: ChartName
    version: ChartVersion
    repository: ChartRepository
    archive: Content
    url: QueriedUrl | None = None
    folder: LockedFolder | None = None
    provenance: LockedProvenance | None = None
    artifact: LockedArtifact
    rendering: Rendering | None = None

    @property
    def is_made(self) -> bool:
        """Whether the artifact is made from the archive."""
        return self.url is not None or self.folder is not None


class ProvenanceEntry(Document, frozen=True, kw_only=True):
    """A chart's provenance file, and its signer if it was verified."""

    digest: Digest
    signer: Fingerprint | None = None


class ChartEntry(Document, frozen=True, kw_only=True):
    """A Helm chart; `archive` is the blob of its .tgz."""

    name: ChartName
    version: ChartVersion
    repository: ChartRepository
    archive: Digest
    artifact: Artifact
    path: InnerPath | None = None
    """Of the folder that it was packed from."""
    git: GitSource | None = None
    """The commit that the folder is in."""
    provenance: ProvenanceEntry | None = None
    rendering: Rendering | None = None


def _entry(locked: LockedChart) -> ChartEntry:
    return ChartEntry(
        name=locked.name,
        version=locked.version,
        repository=locked.repository,
        archive=locked.archive.digest,
        artifact=artifact_entry(locked.artifact),
        path=locked.folder.path if locked.folder else None,
        git=locked.folder.git if locked.folder else None,
        provenance=_provenance(locked),
        rendering=locked.rendering,
    )


def _provenance(locked: LockedChart) -> ProvenanceEntry | None:
    found = locked.provenance
    return None if found is None else ProvenanceEntry(digest=found.digest, signer=found.signer)


def _check_definition(definition: DefinitionHead) -> None:
    each_once([f"{c.home} {c.name} {c.version}" for c in CHARTS.asked(definition)], "charts")


def _check_lock(lock: LockHead) -> None:
    for chart in CHARTS.locked(lock):
        check_folder(chart.folder, chart.repository, chart.url, f"chart {chart.name}")
        for address in filter(None, (chart.repository, chart.url)):
            check_url(address, "address")
        layers = {c.digest for m in chart.artifact.manifests for c in m.layers}
        for wanted in (chart.archive, chart.provenance):
            if wanted is not None and wanted.digest not in layers:
                raise unlisted(chart.artifact, wanted.digest)


def _check_bundle(bundle: BundleHead) -> None:
    served = ServedNames()
    for chart in CHARTS.entries(bundle):
        check_url(chart.repository, "repository")
        if chart.path is not None:
            check_inner_path(chart.path, "path")
        if chart.git is not None:
            check_git_source(chart.git, "git")
        name = f"{chart_folder(chart.repository)}/{chart.name}-{chart.version}.tgz"
        served.add(name, chart.archive)
        if chart.provenance is not None:
            served.add(f"{name}.prov", chart.provenance.digest)


def _values(chart: LockedChart | ChartEntry) -> tuple[ValuesFile, ...]:
    return chart.rendering.values if chart.rendering is not None else ()


def _contents(chart: LockedChart) -> Iterator[Content]:
    yield chart.archive
    yield from (Content(digest=v.digest, size=v.size) for v in _values(chart))


def _asked_hosts(chart: ChartSource) -> Iterator[str | None]:
    yield chart_host(chart)
    for started in chart.images:
        yield parse_reference(started).registry


def _hosts(chart: LockedChart) -> Iterator[str]:
    if chart.folder is not None:
        yield from folder_hosts(chart.folder)
        return
    yield urlsplit(chart.repository).netloc
    if chart.url is not None:
        # An index may name archives on another host,
        yield urlsplit(chart.url).netloc
    elif not chart.repository.startswith("oci://"):
        # or what is in a registry.
        yield parse_reference(chart.artifact.reference).registry


def _named_hosts(chart: ChartEntry) -> Iterator[str | None]:
    if chart.git is not None:
        yield git_host(chart.git.repository)
    elif chart.repository != LOCAL_CHARTS:
        yield urlsplit(chart.repository).netloc


def _named(chart: ChartEntry) -> Iterator[tuple[str, str]]:
    yield f"chart {chart.name}", chart.archive
    yield from ((f"chart {chart.name}", values.digest) for values in _values(chart))
    if chart.provenance is not None:
        yield f"chart {chart.name}", chart.provenance.digest


def _held(chart: ChartEntry) -> Iterator[tuple[Artifact, str, str]]:
    lacks = f"chart {chart.name}: its artifact does not contain its"
    yield chart.artifact, f"{lacks} archive", chart.archive
    if chart.provenance is not None:
        yield chart.artifact, f"{lacks} provenance", chart.provenance.digest


def _compared(chart: ChartEntry) -> Iterator[tuple[str, str]]:
    # `local` is a folder or a Git commit.
    where = "local" if chart.repository == LOCAL_CHARTS else chart.repository
    name = f"{where} {chart.name} {chart.version}"
    yield name, chart.archive
    yield from ((f"{name}, values {values.path}", values.digest) for values in _values(chart))


def _dependencies(chart: ChartEntry) -> Iterator[Dependency]:
    yield chart.archive, f"chart {chart.name} {chart.version}", chart.repository


def _page(bundle: BundleHead) -> Iterator[str]:
    yield from section("charts", [_lines(chart) for chart in CHARTS.entries(bundle)])
    for helm in HELM.entries(bundle):
        carried = "carried as a file" if helm.archive else "the vendor's own, not carried"
        yield f"  rendered by Helm {helm.version}, {carried}"


def _lines(chart: ChartEntry) -> Iterator[str]:
    yield f"{short(chart.archive)}  {chart.name} {chart.version} {_origin(chart)}"
    if chart.provenance is not None and chart.provenance.signer is not None:
        yield f"provenance signed by {chart.provenance.signer}"
    if chart.artifact.unasked:
        yield describe_unasked(chart.artifact.unasked)
    rendering = chart.rendering
    if rendering is None:
        return
    yield from (f"with the values {values.path}" for values in rendering.values)
    yield from (f"needs {wanted.image}" for wanted in rendering.images)
    yield from (f"leaves out {out.image}: {out.reason}" for out in rendering.left_out)
    if rendering.not_rendered is not None:
        yield f"not rendered: {rendering.not_rendered}"


def _origin(chart: ChartEntry) -> str:
    if chart.git is not None:
        within = f"{chart.path} in " if chart.path else ""
        return f"from {within}{chart.git.repository} at {chart.git.commit[:12]}"
    return f"from {chart.path or chart.repository}"


def _facts(chart: ChartEntry) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": chart.name,
        "version": chart.version,
        "repository": chart.repository,
        "digest": chart.archive,
    }
    for name in ("path", "git", "provenance", "rendering"):
        value = getattr(chart, name)
        if value is not None:
            said[name] = msgspec.to_builtins(value)
    return said


CHARTS: Final = Kind[ChartSource, LockedChart, ChartEntry](
    field="charts",
    title="chart",
    source=ChartSource,
    entry=_entry,
    checks=(check_chart_source,),
    checks_together=(_check_definition,),
    check_lock=_check_lock,
    check_bundle=_check_bundle,
    contents=_contents,
    locked_artifacts=lambda chart: (chart.artifact,),
    artifacts=lambda chart: (chart.artifact,),
    hosts=_hosts,
    named_hosts=_named_hosts,
    asked_hosts=_asked_hosts,
    named=_named,
    held=_held,
    wants=chart_wants,
    compared=_compared,
    dependencies=_dependencies,
    page=_page,
    facts=_facts,
)
