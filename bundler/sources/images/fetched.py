"""How a build opens what hangs below a reference in a registry."""

from __future__ import annotations

from collections.abc import Iterator

from bundle.base.content import Content
from bundle.base.reference import Reference, parse_reference
from bundle.kinds.artifacts import LockedArtifact
from bundler.registry.client import RegistryClient, by_digest
from bundler.sources.common.context import SourceContext
from bundler.sources.common.opener import BlobStream, Opener, WholeBytes


def image_openers(image: LockedArtifact, context: SourceContext) -> Iterator[tuple[str, Opener]]:
    """Yield how each blob of an image is opened; none of a local one, which the cache has."""
    if image.origin is None:
        yield from artifact_openers(image, context.client)


def artifact_openers(
    artifact: LockedArtifact, client: RegistryClient
) -> Iterator[tuple[str, Opener]]:
    """Yield the digest of each blob of an artifact, and how its registry is asked for it."""
    reference = parse_reference(artifact.reference)
    for manifest in _manifests(artifact):
        yield manifest.digest, _manifest(client, reference, manifest.digest)
    for content in _blobs(artifact):
        yield content.digest, _blob(client, reference, content.digest)


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
        return WholeBytes(client.get_manifest(by_digest(reference, digest)).data)

    return opener
