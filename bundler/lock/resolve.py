"""Lock: from a definition to the digest of every byte that a build will fetch.

References are resolved in parallel, yet the lock is sorted and the same whatever arrives first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Final, TypeVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from bundle.base.canonical import canonical_digest
from bundle.base.documents import API_VERSION
from bundle.base.errors import DefinitionError, HostNotAllowedError, NotFoundError
from bundle.base.reference import is_host, parse_reference
from bundle.kinds.artifacts import LockedArtifact, describe_unasked
from bundle.kinds.chart_source import ChartSource, chart_host
from bundle.kinds.charts import LockedChart
from bundle.kinds.closure import MissingImage
from bundle.kinds.files import FileSource, LockedFile, file_host, file_label
from bundle.kinds.kubespray import HOSTS, kubespray_hosts
from bundle.kinds.os_packages import LockedOs
from bundle.kinds.python_packages import LockedPythonSet
from bundle.model.lock import Lock, check_lock
from bundle.store.hashing import StoppedError, run_parallel
from bundle.trust.upstream.judgement import check_covered
from bundler.gates.closure import moving_images, require_closed, unobtainable
from bundler.lock.programs import require_programs
from bundler.lock.rendered import render_charts
from bundler.model.definition import Definition
from bundler.sources.charts.from_source import resolve_folder
from bundler.sources.charts.published import ChartResolver
from bundler.sources.common.blame import naming
from bundler.sources.common.context import SourceContext, Want
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.files.downloads import resolve_file
from bundler.sources.images.on_disk import resolve_local_image
from bundler.sources.images.published_images import resolve_image
from bundler.sources.images.signatures import verified_image
from bundler.sources.images.sought import Sought, SoughtFile, files_to_resolve, images_to_resolve
from bundler.sources.kubespray.gather import ResolvedKubespray, resolve_kubespray
from bundler.sources.os.resolvers import resolve_os_packages
from bundler.sources.python.resolution import resolve_python
from bundler.sources.start.medium import resolve_start

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
        ClosureError: What the content wants would be missing; it says who wants what.
        MissingProgramError: This machine lacks a program that will be needed.
        DefinitionError: Something does not exist as it is asked for.
        FormatError: Something upstream is malformed.
        StorageError: A file cannot be read, or the store not be written.
        IntegrityError: Something upstream is not what was promised.
        TransportError: And its subclasses, when something cannot be had.
    """
    require_programs(definition, context.run)
    names = [str(parse_reference(image.reference)) for image in definition.images]
    check_covered(names, definition.signatures, context.now, "the definition")
    source = ManifestSource(context.client, context.store)
    kubespray = _kubespray(definition, context)
    found = _find(definition, kubespray, source, context)
    python = _python(definition, kubespray, context)
    rendered = render_charts(
        definition, found.charts, context, lambda tasks: _run(tasks, context, "rendering", "chart")
    )
    by_kubespray = [(want.reference, (want.by,)) for want in (kubespray.wants if kubespray else ())]
    moving = moving_images([*((name, ()) for name in names), *by_kubespray])
    require_closed([*moving, *rendered.missing])
    wants = [*(kubespray.wants if kubespray else ()), *rendered.wants]
    images = _images(definition, wants, source, context)
    lock = replace(
        _lock(definition, images, rendered.charts, found.files, found.systems),
        helm=rendered.helm,
        python_packages=tuple(python),
        kubespray=kubespray.locked if kubespray else None,
        start=resolve_start(definition.start, python, found.systems, context),
    )
    _check_references(lock)
    check_lock(lock)
    return lock


@dataclass(frozen=True, slots=True)
class _Found:
    """What was resolved before images: each list in the order in which it came."""

    charts: list[tuple[ChartSource, LockedChart]]
    files: list[LockedFile]
    systems: list[LockedOs]


def _find(
    definition: Definition,
    kubespray: ResolvedKubespray | None,
    source: ManifestSource,
    context: SourceContext,
) -> _Found:
    """Resolve what may want images."""
    found = _Found([], [], [])
    charts = ChartResolver(definition.charts, source, context.run)
    os_wants = kubespray.systems if kubespray else ()
    files = files_to_resolve(dict(_files(definition)), kubespray.files if kubespray else ())
    work: list[Callable[[], None]] = [
        *_tasks(found.charts, lambda chart: _chart(chart, charts, context), definition.charts),
        *_tasks(found.files, lambda file: _file(file, context), files),
        *_tasks(
            found.systems,
            lambda s: resolve_os_packages(s, definition.platforms, context, os_wants),
            definition.os_packages,
        ),
    ]
    _run(work, context, "resolving content", "reference")
    return found


def _kubespray(definition: Definition, context: SourceContext) -> ResolvedKubespray | None:
    """Find out what Kubespray wants, which is resolved with all the rest."""
    asked = definition.kubespray
    if asked is None:
        return None
    found: list[ResolvedKubespray] = []
    work = partial(resolve_kubespray, asked, definition.platforms, definition.charts, context)
    _run([lambda: found.append(work())], context, "evaluating Kubespray", "tree")
    return found[0]


def _python(
    definition: Definition, kubespray: ResolvedKubespray | None, context: SourceContext
) -> list[LockedPythonSet]:
    """Resolve Python packages, which takes seconds a set."""
    if not definition.python_packages:
        return []
    progress = context.progress
    progress.start("resolving Python packages", len(definition.python_packages), "set")
    try:
        found = resolve_python(definition, [kubespray.python] if kubespray else [], context)
        progress.advance(len(found))
    finally:
        progress.finish()
    return found


def _file(file: SoughtFile, context: SourceContext) -> LockedFile:
    found = resolve_file(file.source, context, file.place)
    return replace(found, wanted_by=file.wanted_by)


def _chart(
    chart: ChartSource, charts: ChartResolver, context: SourceContext
) -> tuple[ChartSource, LockedChart]:
    found = charts.resolve(chart) if chart.repository else resolve_folder(chart, context)
    if found.artifact.unasked:
        said = describe_unasked(found.artifact.unasked)
        context.progress.note(f"chart {found.name} {found.version}: {said}")
    return chart, found


def _images(
    definition: Definition, wants: Iterable[Want], source: ManifestSource, context: SourceContext
) -> list[LockedArtifact]:
    """Resolve the images that the definition names and those that its other content wants."""
    sought = images_to_resolve(definition.images, wants)
    require_closed(moving_images((image.name, image.wanted_by) for image in sought))
    for image in sought:
        with naming(image.wanted_by):
            check_covered([image.name], definition.signatures, context.now, "the lock")

    def lock_one(image: Sought) -> LockedArtifact:
        if image.source.origin is not None:
            found = resolve_local_image(image.source, definition.platforms, context)
        else:
            found = resolve_image(image.source, definition.platforms, source, context.progress)
        if found.unasked:
            context.progress.note(f"{image.name}: {describe_unasked(found.unasked)}")
        verified = verified_image(found, definition.signatures, source, context.now)
        return replace(verified, wanted_by=image.wanted_by)

    images: list[LockedArtifact] = []
    missing: list[MissingImage] = []

    def lock_or_miss(image: Sought) -> None:
        try:
            with naming(image.wanted_by):
                images.append(lock_one(image))
        except (NotFoundError, HostNotAllowedError) as error:
            if not image.wanted_by:
                raise
            missing.append(unobtainable(image.name, image.wanted_by, error.message, error.hint))

    tasks = [partial(lock_or_miss, image) for image in sought]
    _run(tasks, context, "resolving images", "image")
    require_closed(missing)
    return images


def _files(definition: Definition) -> Iterator[tuple[str, FileSource]]:
    """Yield the files to carry by their place: those of the definition, and its Helm."""
    helm = definition.helm
    for i, file in enumerate(definition.files):
        yield f"files[{i}]", file
    if helm is not None and all(file.url != helm.url for file in definition.files):
        yield "helm", FileSource(url=helm.url, digest=helm.digest)


def _lock(
    definition: Definition,
    images: list[LockedArtifact],
    charts: Iterable[LockedChart],
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
    yield from _registries(definition)
    yield from filter(None, map(chart_host, definition.charts))
    yield from filter(None, map(file_host, dict(_files(definition)).values()))
    for packages in definition.os_packages:
        for repository in packages.repositories:
            yield urlsplit(repository.url).netloc
    yield from (
        urlsplit(python.index).netloc for python in definition.python_packages if python.index
    )
    if definition.kubespray is not None:
        yield from (*kubespray_hosts(definition.kubespray), *HOSTS)


def _registries(definition: Definition) -> Iterator[str]:
    for image in definition.images:
        if image.origin is None:
            yield parse_reference(image.reference).registry
    for chart in definition.charts:
        for started in chart.images:
            yield parse_reference(started).registry
    for rule in definition.signatures:
        # Who says by whom a registry's images are signed means images of that registry.
        for pattern in rule.images:
            host = pattern.partition("/")[0]
            if is_host(host) and "." in host:
                yield host


def _tasks(
    results: list[R], resolve_one: Callable[[T], R], items: Iterable[T]
) -> Iterator[Callable[[], None]]:
    """Yield a task an item; a list's append is atomic, and its order is mended by sorting."""

    def task(item: T) -> Callable[[], None]:
        return lambda: results.append(resolve_one(item))

    yield from map(task, items)


def _run(
    tasks: Iterable[Callable[[], None]], context: SourceContext, title: str, unit: str
) -> None:
    work, progress = list(tasks), context.progress
    if not work:
        return
    stopped = Event()

    def run(task: Callable[[], None]) -> None:
        if stopped.is_set():
            raise StoppedError
        task()
        progress.advance(1)

    progress.start(title, len(work), unit)
    try:
        run_parallel(run, work, RESOLVE_THREADS, stopped.set)
    finally:
        progress.finish()


def _check_references(lock: Lock) -> None:
    """Refuse two artifacts that a depot would have to serve under one name."""
    seen: dict[str, str] = {}
    for artifact in (*lock.images, *(chart.artifact for chart in lock.charts)):
        name, _, _ = artifact.reference.partition("@")
        # Several digests of a repository without a tag are no conflict.
        key = name if ":" in name.rpartition("/")[2] else artifact.reference
        if seen.setdefault(key, artifact.digest) != artifact.digest:
            raise DefinitionError(
                f"{key} would name two different things",
                "Remove one of the two from the definition.",
            )
