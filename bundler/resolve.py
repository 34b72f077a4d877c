"""Lock: from a definition to the digest of every byte that a build will fetch.

References are resolved in parallel, yet the lock is sorted and the same whatever arrives first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from bundle.model.canonical import canonical_digest
from bundle.model.definition import Definition
from bundle.model.documents import API_VERSION
from bundle.model.errors import DefinitionError
from bundle.model.lock import Lock, LockedArtifact, LockedChart, LockedFile, check_lock
from bundle.model.progress import Progress
from bundle.model.reference import parse_reference
from bundle.registry.client import RegistryClient
from bundle.store.hashing import StoppedError, run_parallel
from bundle.trust.upstream.verify import check_covered
from bundler.sources.charts import ChartResolver
from bundler.sources.files import FileStore, resolve_file
from bundler.sources.images import resolve_image
from bundler.sources.manifests import ContentStore, ManifestSource
from bundler.sources.signatures import verified_image

T = TypeVar("T")
R = TypeVar("R")
RESOLVE_THREADS: Final = 8
"""References at a time; the transport holds each host to fewer."""


class Store(ContentStore, FileStore, Protocol):
    """What resolving needs of the blob cache."""


def resolve(
    definition: Definition,
    client: RegistryClient,
    cache: Store,
    progress: Progress,
    *,
    now: dt.datetime,
) -> Lock:
    """Resolve a definition, and verify the signatures of its images.

    Args:
        definition: Checked.
        client: Fetches; it decides about hosts, credentials and certificates.
        cache: Keeps the manifests that are fetched, so that the build does not fetch them again.
        progress: Told of references.
        now: UTC; waivers and certificates end.
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
    check_covered(names, definition.signatures, now, "the definition")
    source = ManifestSource(client, cache)
    charts = ChartResolver(definition.charts, source)
    images: list[LockedArtifact] = []
    locked_charts: list[LockedChart] = []
    files: list[LockedFile] = []
    work: list[Callable[[], None]] = [
        *_tasks(
            images,
            lambda image: verified_image(
                resolve_image(image, definition.platforms, source, progress),
                definition.signatures,
                source,
                now,
            ),
            definition.images,
        ),
        *_tasks(locked_charts, charts.resolve, definition.charts),
        *_tasks(files, lambda file: resolve_file(file, client, cache), definition.files),
    ]
    _run(work, progress)
    lock = _lock(definition, images, locked_charts, files)
    _check_references(lock)
    check_lock(lock)
    return lock


def _lock(
    definition: Definition,
    images: list[LockedArtifact],
    charts: list[LockedChart],
    files: list[LockedFile],
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
        files=tuple(sorted(files, key=lambda file: file.url)),
        signatures=definition.signatures,
    )


def definition_hosts(definition: Definition) -> Iterator[str]:
    """Yield the hosts that a definition names, with repeats."""
    for image in definition.images:
        yield parse_reference(image.reference).registry
    for chart in definition.charts:
        yield chart.oci_reference.registry if chart.is_oci else urlsplit(chart.repository).netloc
    for file in definition.files:
        yield urlsplit(file.url).netloc


def _tasks(
    results: list[R], resolve_one: Callable[[T], R], items: Iterable[T]
) -> Iterator[Callable[[], None]]:
    """Yield a task an item; a list's append is atomic, and its order is mended by sorting."""

    def task(item: T) -> Callable[[], None]:
        return lambda: results.append(resolve_one(item))

    yield from map(task, items)


def _run(work: list[Callable[[], None]], progress: Progress) -> None:
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
