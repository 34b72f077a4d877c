"""Which blobs are damaged or cannot be read, told by what they are of: an image, a chart, a file.

A digest says nothing to the person who has to decide what to copy or to build again.
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
"""Blobs that one message lists; a medium with more of them is beyond mending."""

MAX_NAMES: Final = 3
"""Names that are told of one blob: a base layer may be of a hundred images."""


@dataclass(frozen=True, slots=True)
class BlobError:
    """A blob, and what is wrong with it."""

    digest: str
    error: IntegrityError | StorageError


def all_damage(
    bundle: BundleDirectory, manifest: Manifest, wrong: Sequence[BlobError]
) -> IntegrityError | StorageError:
    """Make one error of all that is wrong.

    Args:
        bundle: On its medium; its OCI manifests say what a layer is of.
        manifest: Authenticated.
        wrong: At least one.
    Returns:
        An error of the class of the first that could be read, with a line a blob.
    """
    names = names_of_blobs(bundle, manifest, {one.digest for one in wrong})
    lines = [f"{one.error.message} ({told(names.get(one.digest, ()))})" for one in wrong]
    # Content that is wrong says more than a medium that is worn out.
    first = min((one.error for one in wrong), key=lambda error: isinstance(error, StorageError))
    if len(lines) == 1:
        return type(first)(lines[0], first.hint, first.context)
    listed = lines[:MAX_SHOWN]
    if len(lines) > MAX_SHOWN:
        listed.append(f"and {len(lines) - MAX_SHOWN} more")
    return type(first)(
        f"{len(lines)} blobs are missing, damaged or cannot be read",
        first.hint,
        {**first.context, "count": len(lines)},
        details=listed,
    )


def told(names: Sequence[str]) -> str:
    """Say what a blob is of, briefly."""
    shown = ", ".join(names[:MAX_NAMES])
    more = len(names) - MAX_NAMES
    return f"{shown} and {more} more" if more > 0 else shown or "of nothing that is named"


def names_of_blobs(
    bundle: BundleDirectory, manifest: Manifest, digests: Iterable[str]
) -> Mapping[str, tuple[str, ...]]:
    """Say of each blob what in the bundle it belongs to.

    Args:
        bundle: Where its OCI manifests lie; one that is damaged itself says nothing of its layers.
        manifest: Authenticated.
        digests: The blobs that are asked for.
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
            # Unreadable or malformed: it is told of by itself.
            continue
        if isinstance(body, OciManifest):
            parts |= {part.digest for part in body.parts}
    return parts
