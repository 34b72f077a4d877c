"""The signatures of an image while it is locked: fetched into the cache, then verified."""

from __future__ import annotations

import datetime as dt

from msgspec.structs import replace

from bundle.model.errors import MissingBlobError
from bundle.model.limits import MAX_SIGNATURE_BYTES
from bundle.model.lock import Content, LockedArtifact, artifact_contents
from bundle.model.plan import artifact_entry
from bundle.model.policy import SignatureRule
from bundle.model.reference import parse_reference
from bundle.registry.client import by_digest
from bundle.trust.upstream.verify import verify_image
from bundler.sources.download import check_bytes, small_blob
from bundler.sources.manifests import ManifestSource


def verified_image(
    image: LockedArtifact,
    rules: tuple[SignatureRule, ...],
    source: ManifestSource,
    now: dt.datetime,
) -> LockedArtifact:
    """Return a locked image with that by which it was verified.

    Raises:
        UnsignedError: It is not signed as the rules want, or no rule matches it.
        PolicyError: Its waiver has ended.
        TransportError, IntegrityError: A signature cannot be fetched as it must be.
    """
    reader = _RegistryReader(image, source)
    return replace(image, verified=verify_image(artifact_entry(image), rules, reader, now))


class _RegistryReader:
    """Reads what belongs to one image from the cache, else from its registry; see BlobReader."""

    def __init__(self, image: LockedArtifact, source: ManifestSource) -> None:
        self._reference = parse_reference(image.reference)
        self._source = source
        self._contents: dict[str, Content] = {c.digest: c for c in artifact_contents(image)}
        self._manifests = {c.digest for c in (*image.indexes, *image.manifests, *image.referrers)}

    def size(self, digest: str) -> int | None:
        """Return the size of a blob of the image."""
        content = self._contents.get(digest)
        return None if content is None else content.size

    def read(self, digest: str) -> bytes:
        """Return a blob of the image."""
        content = self._contents.get(digest)
        if content is None:
            raise MissingBlobError(
                f"{self._reference.name}@{digest}: not part of the image",
                "Ask the image's publisher.",
            )
        if digest not in self._manifests:
            return small_blob(self._source, self._reference, content, MAX_SIGNATURE_BYTES)
        kept = self._source.store.read_bytes(digest, content.size)
        if kept is None:
            kept = self._source.client.get_manifest(by_digest(self._reference, digest)).data
            check_bytes(kept, content, f"{self._reference.name}@{digest}")
        return kept
