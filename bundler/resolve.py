"""Lock: from a definition to the digest of every byte that a build will fetch.

References are resolved in parallel, yet the lock is sorted and the same whatever arrives first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from bundle.model.canonical import canonical_digest
from bundle.model.chart_source import chart_host
from bundle.model.definition import Definition
from bundle.model.documents import API_VERSION
from bundle.model.errors import DefinitionError
from bundle.model.files import file_host, file_label
from bundle.model.kubespray import HOSTS, kubespray_hosts
from bundle.model.lock import Lock, LockedArtifact, LockedChart, LockedFile, check_lock
from bundle.model.os_packages import LockedOs
from bundle.model.progress import Progress
from bundle.model.reference import parse_reference
from bundle.store.hashing import StoppedError, run_parallel
from bundle.trust.upstream.verify import check_covered
from bundler.sources.chart_local import resolve_folder
from bundler.sources.charts import ChartResolver
from bundler.sources.context import PythonWant, SourceContext, Want
from bundler.sources.files import resolve_file
from bundler.sources.images import resolve_image
from bundler.sources.kubespray import ResolvedKubespray, resolve_kubespray
from bundler.sources.local_images import resolve_local_image
from bundler.sources.manifests import ManifestSource
from bundler.sources.os_packages import resolve_os_packages
from bundler.sources.python.resolve import resolve_python
from bundler.sources.signatures import verified_image
from bundler.sources.sought import Sought, SoughtFile, files_to_resolve, images_to_resolve

T = TypeVar("T")
R = TypeVar("R")
RESOLVE_THREADS: Final = 8
"""References at a time; the transport holds each host to fewer."""


def resolve(definition: Definition, context: SourceContext) -> Lock:
    """Resolve a definition, and verify the signatures of its images.

    Images come last: what is resolved before may want some of its own.

    Args:
        definition: Checked.
        context: What sources work with; its store keeps what is fetched, so that the build does
            not fetch it again.
    Returns:
        A checked lock.
    Raises:
        UnsignedError: An image is not signed as the definition wants, or no rule matches it.
        PolicyError: An image's waiver has ended.
        DefinitionError: Something does not exist as it is asked for.
        FormatError: Something upstream is malformed.
        IntegrityError: Something upstream is not what was promised.
        TransportError: And its subclasses, when something cannot be had.
    """
    names = [str(parse_reference(image.reference)) for image in definition.images]
    check_covered(names, definition.signatures, context.now, "the definition")
    source = ManifestSource(context.client, context.store)
    charts = ChartResolver(definition.charts, source)
    kubespray = _kubespray(definition, context)
    wants: list[Want] = [*(kubespray.wants if kubespray else ())]
    python_wants: list[PythonWant] = [kubespray.python] if kubespray else []
    locked_charts: list[LockedChart] = []
    files: list[LockedFile] = []
    sought_files = files_to_resolve(definition.files, kubespray.files if kubespray else ())
    systems: list[LockedOs] = []
    work: list[Callable[[], None]] = [
        *_tasks(locked_charts, charts.resolve, (c for c in definition.charts if c.repository)),
        *_tasks(
            locked_charts,
            lambda chart: resolve_folder(chart, context),
            (c for c in definition.charts if not c.repository),
        ),
        *_tasks(files, lambda file: _file(file, context), sought_files),
        *_tasks(
            systems,
            lambda s: resolve_os_packages(s, definition.platforms, context),
            definition.os_packages,
        ),
    ]
    _run(work, context.progress)
    python = resolve_python(definition, python_wants, context)
    images = _images(definition, wants, source, context)
    lock = replace(
        _lock(definition, images, locked_charts, files, systems),
        python_packages=tuple(python),
        kubespray=kubespray.locked if kubespray else None,
    )
    _check_references(lock)
    check_lock(lock)
    return lock


def _kubespray(definition: Definition, context: SourceContext) -> ResolvedKubespray | None:
    """Find out what Kubespray wants, which is resolved with all the rest."""
    if definition.kubespray is None:
        return None
    return resolve_kubespray(definition.kubespray, definition.platforms, definition.charts, context)


def _file(file: SoughtFile, context: SourceContext) -> LockedFile:
    found = resolve_file(file.source, context)
    return replace(found, wanted_by=file.wanted_by)


def _images(
    definition: Definition, wants: Iterable[Want], source: ManifestSource, context: SourceContext
) -> list[LockedArtifact]:
    """Resolve the images that the definition names and those that its other content wants."""
    sought = images_to_resolve(definition.images, wants)
    check_covered([image.name for image in sought], definition.signatures, context.now, "the lock")

    def lock_one(image: Sought) -> LockedArtifact:
        if image.source.origin is not None:
            found = resolve_local_image(image.source, definition.platforms, context)
        else:
            found = resolve_image(image.source, definition.platforms, source, context.progress)
        verified = verified_image(found, definition.signatures, source, context.now)
        return replace(verified, wanted_by=image.wanted_by)

    images: list[LockedArtifact] = []
    _run(_tasks(images, lock_one, sought), context.progress)
    return images


def _lock(
    definition: Definition,
    images: list[LockedArtifact],
    charts: list[LockedChart],
    files: list[LockedFile],
    systems: list[LockedOs],
) -> Lock:
    """Put the lock together, sorted."""
    return Lock(
        api_version=API_VERSION,
        kind="BundleLock",
        metadata=definition.metadata,
        definition=canonical_digest(definition),
        platforms=definition.platforms,
        images=tuple(sorted(images, key=lambda image: image.reference)),
        charts=tuple(sorted(charts, key=lambda c: (c.repository, c.name, c.version))),
        files=tuple(sorted(files, key=file_label)),
        os_packages=tuple(sorted(systems, key=lambda packages: packages.name)),
        signatures=definition.signatures,
    )


def definition_hosts(definition: Definition) -> Iterator[str]:
    """Yield the hosts that a definition names, with repeats."""
    for image in definition.images:
        if image.origin is None:
            yield parse_reference(image.reference).registry
    yield from filter(None, map(chart_host, definition.charts))
    yield from filter(None, map(file_host, definition.files))
    for packages in definition.os_packages:
        for repository in packages.repositories:
            yield urlsplit(repository.url).netloc
    yield from (
        urlsplit(python.index).netloc for python in definition.python_packages if python.index
    )
    if definition.kubespray is not None:
        yield from (*kubespray_hosts(definition.kubespray), *HOSTS)


def _tasks(
    results: list[R], resolve_one: Callable[[T], R], items: Iterable[T]
) -> Iterator[Callable[[], None]]:
    """Yield a task an item; a list's append is atomic, and its order is mended by sorting."""

    def task(item: T) -> Callable[[], None]:
        return lambda: results.append(resolve_one(item))

    yield from map(task, items)


def _run(tasks: Iterable[Callable[[], None]], progress: Progress) -> None:
    work = list(tasks)
    if not work:
        return
    stopped = False

    def run(task: Callable[[], None]) -> None:
        if stopped:
            raise StoppedError
        task()
        progress.advance(1)

    def stop() -> None:
        nonlocal stopped
        stopped = True

    progress.start("resolving", len(work), "references")
    try:
        run_parallel(run, work, RESOLVE_THREADS, stop)
    finally:
        progress.finish()


def _check_references(lock: Lock) -> None:
    """Refuse two artefacts that a depot would have to serve under one name."""
    seen: dict[str, str] = {}
    for artifact in (*lock.images, *(chart.artifact for chart in lock.charts)):
        if seen.setdefault(artifact.reference, artifact.digest) != artifact.digest:
            raise DefinitionError(
                f"{artifact.reference} would be the name of two different things",
                "Remove one of the two from the definition.",
            )
