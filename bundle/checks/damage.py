"""Which blobs are damaged or unreadable, and what they belong to: an image, a chart, a file.

A digest means nothing to the person who has to decide what to copy or build again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bundle.base.digest import digest_of
from bundle.base.errors import IntegrityError, IsowardError, StorageError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES
from bundle.base.oci import OciManifest, parse_oci
from bundle.kinds.artifacts import Artifact, ManifestEntry, ReferrerEntry
from bundle.model.manifest import Manifest, artifacts, named_content
from bundle.store.layout import BundleDirectory

MAX_SHOWN: Final = 50
"""Blobs listed in one message; a medium with more of them is beyond repair."""

MAX_NAMES: Final = 3
"""Names listed for one blob: a base layer may belong to a hundred images."""


@dataclass(frozen=True, slots=True)
class BlobError:
    """A blob, and what is wrong with it."""

    digest: str
    error: IntegrityError | StorageError


def all_damage(
    bundle: BundleDirectory, manifest: Manifest, wrong: Sequence[BlobError]
) -> IntegrityError | StorageError:
    """Combine everything that is wrong into one error.

    Args:
        bundle: On its medium; its OCI manifests tell which image a layer belongs to.
        manifest: Authenticated.
        wrong: At least one.
    Returns:
        An error of the class of the first one that could be read, with one line per blob.
    """
    names = names_of_blobs(bundle, manifest, {one.digest for one in wrong})
    lines = [f"{one.error.message} ({told(names.get(one.digest, ()))})" for one in wrong]
    # Wrong content is more significant than an unreadable medium.
    first = min((one.error for one in wrong), key=lambda error: isinstance(error, StorageError))
    if len(lines) == 1:
        return type(first)(lines[0], first.hint, first.context)
    listed = lines[:MAX_SHOWN]
    if len(lines) > MAX_SHOWN:
        listed.append(f"and {len(lines) - MAX_SHOWN} more")
    return type(first)(
        f"{len(lines)} blobs are missing, damaged or unreadable",
        first.hint,
        {**first.context, "count": len(lines)},
        details=listed,
    )


def told(names: Sequence[str]) -> str:
    """Name what a blob belongs to, briefly."""
    shown = ", ".join(names[:MAX_NAMES])
    more = len(names) - MAX_NAMES
    return f"{shown} and {more} more" if more > 0 else shown or "no name known"


def names_of_blobs(
    bundle: BundleDirectory, manifest: Manifest, digests: Iterable[str]
) -> Mapping[str, tuple[str, ...]]:
    """Map each blob to what it belongs to in the bundle.

    Args:
        bundle: With the OCI manifests; a damaged one says nothing about its layers.
        manifest: Authenticated.
        digests: The blobs to look up.
    Returns:
        By digest, sorted: references of images, and names of charts, files and packages.
    """
    wanted = set(digests)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, digest in named_content(manifest):
        if digest in wanted:
            found[digest].add(name)
    sizes = {blob.digest: blob.size for blob in manifest.blobs}
    for artifact in artifacts(manifest):
        for part in _parts(bundle, artifact, sizes) & wanted:
            found[part].add(artifact.reference)
    return {digest: tuple(sorted(names)) for digest, names in found.items()}


def _parts(bundle: BundleDirectory, artifact: Artifact, sizes: Mapping[str, int]) -> set[str]:
    parts: set[str] = set()
    entries: list[ManifestEntry | ReferrerEntry] = [*artifact.manifests, *artifact.referrers]
    for entry in entries:
        size = min(sizes.get(entry.digest, 0), MAX_OCI_MANIFEST_BYTES)
        try:
            data = bundle.read_small(bundle.blob_name(entry.digest), size)
            if digest_of(data) != entry.digest:
                continue
            body = parse_oci(data, entry.media_type, artifact.reference)
        except IsowardError:
            # Unreadable or malformed: it is reported by itself.
            continue
        if isinstance(body, OciManifest):
            parts |= {part.digest for part in body.parts}
    return parts
