"""Indexes of which not every platform travels, and what that means for clients of the depot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES
from bundle.base.oci import ATTESTATION_DIGEST, INDEX_TYPES, OciDescriptor, OciIndex, parse_oci
from bundle.base.progress import counted
from bundle.kinds.artifacts import LockedArtifact, LockedIndex
from bundle.model.lock import Lock
from bundler.build.cache import BlobCache

_NAMED: Final = 3
_UNNAMED: Final = "an unnamed platform"


def left_out(lock: Lock, cache: BlobCache) -> dict[str, list[str]]:
    """Return the platforms of each image that its index lists and that do not travel.

    Args:
        lock: As it was just resolved.
        cache: Where resolving it left the indexes; one that is not there is passed over.
    """
    found = {image.reference: _left_out(image, cache) for image in lock.images}
    return {reference: platforms for reference, platforms in found.items() if platforms}


def partial_words(found: Mapping[str, list[str]]) -> list[str]:
    """Say in lines what clients cannot do with such indexes; none if there are none."""
    if not found:
        return []
    names = sorted(found)
    named = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    line = (
        f"hint: not every platform of {counted(len(names), 'image')} is carried ({named}): a client"
        " that copies a whole index from the depot fails; it has to request one platform, such as"
        " --platform linux/amd64. See `isoward docs clients` for each client."
    )
    return [line]


def _left_out(image: LockedArtifact, cache: BlobCache) -> list[str]:
    carried = {each.digest for each in (*image.manifests, *image.indexes)}
    carried |= {referrer.digest for referrer in image.referrers}
    missing = [
        entry
        for index in image.indexes
        for entry in _entries(index, cache)
        if entry.digest not in carried and entry.media_type not in INDEX_TYPES
    ]
    return sorted({_platform(entry) for entry in missing})


def _entries(index: LockedIndex, cache: BlobCache) -> tuple[OciDescriptor, ...]:
    data = cache.read_bytes(index.digest, min(index.size, MAX_OCI_MANIFEST_BYTES))
    if data is None:
        return ()
    try:
        parsed = parse_oci(data, index.media_type, index.digest)
    except FormatError:
        return ()
    return parsed.manifests if isinstance(parsed, OciIndex) else ()


def _platform(entry: OciDescriptor) -> str:
    if ATTESTATION_DIGEST in entry.annotations:
        return "attestations of other platforms"
    return str(entry.platform) if entry.platform else _UNNAMED
