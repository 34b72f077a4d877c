"""What must be signed of an image: its root, or each chosen platform's manifest.

Read from the image's own indexes, for only what hangs below the root is covered by its signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_INDEX_DEPTH
from bundle.base.oci import ATTESTATION_DIGEST, INDEX_TYPES, OciDescriptor, OciIndex, parse_oci
from bundle.kinds.artifacts import Artifact
from bundle.trust.upstream.reader import BlobReader
from bundle.trust.upstream.verdict import Subject


@dataclass(frozen=True, slots=True)
class Subjects:
    """What may be signed of an image.

    Attributes:
        root: The index, or the only manifest.
        platforms: Below an index, the manifest of each platform that is carried.
    """

    root: Subject
    platforms: tuple[Subject, ...]

    def by_digest(self) -> dict[str, Subject]:
        """Return all of them."""
        return {subject.digest: subject for subject in (*self.platforms, self.root)}


def subjects_of(image: Artifact, reader: BlobReader) -> Subjects:
    """Find out what may be signed of an image.

    Raises:
        FormatError: A manifest that is listed for a platform does not hang below the image's root.
        IntegrityError, StorageError, TransportError: A manifest cannot be had as it must be.
    """
    types = {entry.digest: entry.media_type for entry in image.manifests}
    platforms = {entry.digest: entry.platform for entry in image.manifests if entry.platform}
    if image.digest not in types:
        raise _inconsistent(image, image.digest)

    def subject(digest: str) -> Subject:
        return Subject(digest, types[digest], reader.read(digest), platforms.get(digest) or "")

    root = subject(image.digest)
    if root.media_type not in INDEX_TYPES:
        stray = set(platforms) - {image.digest}
        if stray:
            raise _inconsistent(image, min(stray))
        return Subjects(root, ())
    indexes = {digest for digest, media_type in types.items() if media_type in INDEX_TYPES}
    passed_over: dict[str, str] = {}
    below = {
        entry.digest
        for entry in _walk(root, indexes, subject, passed_over)
        if ATTESTATION_DIGEST not in entry.annotations
    }
    stray = set(platforms) - below
    if stray:
        raise _inconsistent(image, min(stray), passed_over.get(min(stray), ""))
    chosen = [d for d, media_type in types.items() if d in below and media_type not in INDEX_TYPES]
    return Subjects(root, tuple(subject(digest) for digest in sorted(chosen)))


def _walk(
    index: Subject,
    indexes: set[str],
    subject: Callable[[str], Subject],
    passed_over: dict[str, str],
    depth: int = 1,
) -> Iterator[OciDescriptor]:
    """Yield every entry below an index, also those of the indexes in it."""
    body = parse_oci(index.data, index.media_type, index.digest)
    if not isinstance(body, OciIndex):
        return
    passed_over |= body.passed_over
    for entry in body.manifests:
        yield entry
        if entry.digest in indexes and depth < MAX_INDEX_DEPTH:
            yield from _walk(
                subject(entry.digest), indexes, subject, passed_over=passed_over, depth=depth + 1
            )


def _inconsistent(image: Artifact, digest: str, reason: str = "") -> FormatError:
    why = f" ({reason})" if reason else ""
    return FormatError(
        f"{image.reference}: {digest} is listed for it, but is not part of {image.digest}{why}",
        "The lock or the bundle is faulty; run `isoward lock` and `isoward build` again.",
    )
