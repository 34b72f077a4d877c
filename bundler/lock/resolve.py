"""Lock: from a definition to the digest of every byte that a build will fetch.

References are resolved in parallel, yet the lock is sorted and the same whatever arrives first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from threading import Event
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from bundle.base.canonical import canonical_digest
from bundle.base.documents import API_VERSION
from bundle.base.errors import DefinitionError, HostNotAllowedError, NotFoundError
from bundle.base.reference import is_host, parse_reference
from bundle.kinds.artifacts import LockedArtifact, describe_unasked
from bundle.kinds.charts import CHARTS
from bundle.kinds.closure import MissingImage
from bundle.kinds.images import IMAGES
from bundle.kinds.kubespray import KUBESPRAY
from bundle.kinds.os_packages import OS_PACKAGES
from bundle.kinds.python_packages import PYTHON_PACKAGES, LockedPythonSet
from bundle.kinds.registry import KINDS
from bundle.kinds.rendering import HELM
from bundle.kinds.start import START
from bundle.model.lock import Lock, check_lock, locked_artifacts
from bundle.store.hashing import StoppedError, run_parallel
from bundle.trust.upstream.judgement import check_covered
from bundler.gates.closure import moving_images, require_closed, unobtainable
from bundler.lock.programs import require_programs
from bundler.lock.rendered import render_charts
from bundler.model.definition import Definition
from bundler.sources.common.blame import naming
from bundler.sources.common.context import SourceContext, Want
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.common.source import Resolving
from bundler.sources.images.from_registry import resolve_image
from bundler.sources.images.on_disk import resolve_local_image
from bundler.sources.images.signatures import verified_image
from bundler.sources.images.sought import Sought, images_to_resolve
from bundler.sources.known import SOURCES
from bundler.sources.kubespray.gather import ResolvedKubespray, resolve_kubespray
from bundler.sources.python.resolution import resolve_python
from bundler.sources.start.medium import resolve_start

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
    wanted = (kubespray.files, kubespray.systems) if kubespray else ()
    found = _find(Resolving(definition, context, source, *wanted))
    python = _python(definition, kubespray, context)
    rendered = render_charts(
        definition,
        found[CHARTS.field],
        context,
        lambda tasks: _run(tasks, context, "rendering", "chart"),
    )
    by_kubespray = [(want.reference, (want.by,)) for want in (kubespray.wants if kubespray else ())]
    moving = moving_images([*((name, ()) for name in names), *by_kubespray])
    require_closed([*moving, *rendered.missing])
    wants = [*(kubespray.wants if kubespray else ()), *rendered.wants]
    images = _images(definition, wants, source, context)
    start = definition.start
    found |= {
        IMAGES.field: images,
        HELM.field: [rendered.helm] if rendered.helm else [],
        CHARTS.field: list(rendered.charts),
        PYTHON_PACKAGES.field: python,
        KUBESPRAY.field: [kubespray.locked] if kubespray else [],
        START.field: [resolve_start(start, python, found[OS_PACKAGES.field], context)]
        if start
        else [],
    }
    lock = _lock(definition, found)
    _check_references(lock)
    check_lock(lock)
    return lock


Found = dict[str, list[Any]]
"""What was resolved of each kind, by its field in a lock: in the order in which it came."""


def _find(work: Resolving) -> Found:
    """Resolve what may want images."""
    found: Found = {}
    tasks: list[Callable[[], None]] = []
    for source in SOURCES:
        results = found.setdefault(source.kind.field, [])
        tasks += [partial(_keep, results, task) for task in source.tasks(work)]
    _run(tasks, work.context, "resolving content", "reference")
    return found


def _keep(results: list[R], task: Callable[[], R]) -> None:
    """Keep what comes of a task; a list's append is atomic, and its order is mended by sorting."""
    results.append(task())


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


def _lock(definition: Definition, found: Found) -> Lock:
    """Put the lock together, sorted."""
    content = {
        source.kind.field: source.kind.value(sorted(found[source.kind.field], key=source.order))
        for source in SOURCES
    }
    return Lock(
        api_version=API_VERSION,
        kind="BundleLock",
        metadata=definition.metadata,
        definition=canonical_digest(definition),
        platforms=definition.platforms,
        signatures=definition.signatures,
        **content,
    )


def definition_hosts(definition: Definition) -> Iterator[str]:
    """Yield the hosts that a definition names, with repeats."""
    for kind in KINDS:
        for one in kind.asked(definition):
            yield from filter(None, kind.asked_hosts(one))
    for rule in definition.signatures:
        # Who says by whom a registry's images are signed means images of that registry.
        for pattern in rule.images:
            host = pattern.partition("/")[0]
            if is_host(host) and "." in host:
                yield host


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
    for artifact in locked_artifacts(lock):
        name, _, _ = artifact.reference.partition("@")
        # Several digests of a repository without a tag are no conflict.
        key = name if ":" in name.rpartition("/")[2] else artifact.reference
        if seen.setdefault(key, artifact.digest) != artifact.digest:
            raise DefinitionError(
                f"{key} would name two different things",
                "Remove one of the two from the definition.",
            )
