"""Where each blob of a lock is fetched from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from bundle.model.lock import Content, Lock, LockedArtifact
from bundle.model.reference import Reference, parse_reference
from bundle.registry.client import RegistryClient, by_digest


class BlobStream(Protocol):
    """Untrusted bytes on their way in."""

    @property
    def start(self) -> int:
        """Where in the blob the bytes begin; 0 when the server did not go on where it was asked."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the front and return how many bytes came; 0 at the end."""

    def close(self) -> None:
        """Give the connection back."""


class Opener(Protocol):
    """Opens one blob."""

    def __call__(self, offset: int, *, mirrors: bool) -> BlobStream:
        """Open it at `offset` bytes, at its origin alone unless `mirrors` may answer."""


class _Bytes:
    """A manifest, which the client reads whole and checks, as a stream."""

    start = 0

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._rest = memoryview(b"")


def origins(lock: Lock, client: RegistryClient) -> dict[str, Opener]:
    """Return how to open each blob that is fetched, by digest.

    The two small blobs that make an archive from an HTTP repository an OCI artefact are not
    fetched but made, so they are absent.
    """
    found: dict[str, Opener] = {}
    for image in lock.images:
        _add_artifact(found, image, client)
    for chart in lock.charts:
        if chart.url is None:
            _add_artifact(found, chart.artifact, client)
        else:
            found.setdefault(chart.archive.digest, _from_url(client, chart.url))
    for file in lock.files:
        found.setdefault(file.digest, _from_url(client, file.url))
    return found


def _add_artifact(
    found: dict[str, Opener], artifact: LockedArtifact, client: RegistryClient
) -> None:
    reference = parse_reference(artifact.reference)
    for manifest in _manifests(artifact):
        found.setdefault(manifest.digest, _manifest(client, reference, manifest.digest))
    for content in _blobs(artifact):
        found.setdefault(content.digest, _blob(client, reference, content.digest))


def _manifests(artifact: LockedArtifact) -> Iterator[Content]:
    yield from artifact.indexes
    yield from artifact.manifests
    yield from artifact.referrers


def _blobs(artifact: LockedArtifact) -> Iterator[Content]:
    for manifest in (*artifact.manifests, *artifact.referrers):
        if manifest.config is not None:
            yield manifest.config
        yield from manifest.layers


def _blob(client: RegistryClient, reference: Reference, digest: str) -> Opener:
    def opener(offset: int, *, mirrors: bool) -> BlobStream:
        return client.open_blob(reference, digest, offset, mirrors=mirrors)

    return opener


def _manifest(client: RegistryClient, reference: Reference, digest: str) -> Opener:
    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it is always whole
        return _Bytes(client.get_manifest(by_digest(reference, digest)).data)

    return opener


def _from_url(client: RegistryClient, url: str) -> Opener:
    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - mirrors are registries
        return client.open_url(url, offset)

    return opener
