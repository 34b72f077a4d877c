"""Images: from a reference to the digests of all that belongs to it.

Source: OCI image-spec v1.1, image-index.md; BuildKit, "Image attestation storage".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from bundle.model.definition import ImageSource
from bundle.model.errors import DefinitionError, FormatError
from bundle.model.limits import MAX_OCI_MANIFEST_BYTES
from bundle.model.lock import LockedArtifact, LockedIndex, LockedManifest
from bundle.model.oci import (
    ATTESTATION_DIGEST,
    INDEX_TYPES,
    OciDescriptor,
    OciIndex,
    OciManifest,
    OciPlatform,
)
from bundle.model.platform import matches
from bundle.model.progress import Progress
from bundle.model.reference import Reference, parse_reference
from bundler.sources.download import small_blob
from bundler.sources.manifests import ManifestSource, Parsed, check_nesting, locked_manifest
from bundler.sources.referrers import Found, ReferrerSearch

_CONFIG_TYPES: Final = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)


def resolve_image(
    image: ImageSource,
    platforms: Sequence[str],
    source: ManifestSource,
    progress: Progress,
) -> LockedArtifact:
    """Resolve one image.

    Args:
        image: As the definition has it.
        platforms: The definition's, where the image has none of its own.
        source: Fetches manifests.
        progress: Told when a tag no longer is what its digest in the definition says.
    Raises:
        DefinitionError: A wanted platform is not offered.
        FormatError: Something upstream is malformed or cannot be carried.
        TransportError: And its subclasses, when something cannot be had.
    """
    reference = parse_reference(image.reference)
    wanted = image.platforms or tuple(platforms)
    root = _root(reference, source, progress)
    if isinstance(root.body, OciManifest):
        manifest = _only_manifest(reference, root, root.body, wanted, source)
        found = ReferrerSearch(source, reference).search([root.digest], [])
        return _artifact(reference, root, [], [manifest], found)
    indexes = list(_indexes(reference, root, source))
    entries = [e for index in indexes for e in _entries(index)]
    chosen = _choose(reference, entries, wanted)
    manifests = [_platform_manifest(reference, entry, source) for entry in chosen]
    subjects = [index.digest for index in indexes] + [m.digest for m in manifests]
    digests = {manifest.digest for manifest in manifests}
    attestations = {
        (subject, entry.digest): entry
        for entry in entries
        if (subject := entry.annotations.get(ATTESTATION_DIGEST, "")) in digests
    }
    found = ReferrerSearch(source, reference).search(
        subjects, [(subject, entry) for (subject, _), entry in sorted(attestations.items())]
    )
    locked = [index.locked_index() for index in indexes]
    return _artifact(reference, root, locked, manifests, found)


def _root(reference: Reference, source: ManifestSource, progress: Progress) -> Parsed:
    """Fetch what a reference names.

    The digest wins over the tag, but a person wants to know when the two parted.
    """
    if not (reference.tag and reference.digest):
        return source.at(reference)
    root, now = source.at_both(reference)
    if now is None:
        progress.note(f"{reference}: the tag is gone upstream; the digest is used")
    elif now != reference.digest:
        progress.note(f"{reference}: the tag is {now} now; the digest is used")
    return root


def _indexes(reference: Reference, index: Parsed, source: ManifestSource) -> Iterator[Parsed]:
    """Yield an index and those nested in it, each once."""
    seen: set[str] = set()
    pending = [(index, 1)]
    while pending:
        current, level = pending.pop(0)
        if current.digest in seen:
            continue
        seen.add(current.digest)
        check_nesting(reference, level, len(seen))
        yield current
        pending += [
            (source.below(reference, entry), level + 1)
            for entry in _entries(current)
            if entry.media_type in INDEX_TYPES
        ]


def _entries(index: Parsed) -> tuple[OciDescriptor, ...]:
    return index.body.manifests if isinstance(index.body, OciIndex) else ()


def _choose(
    reference: Reference, entries: Sequence[OciDescriptor], wanted: Sequence[str]
) -> list[OciDescriptor]:
    """Return the manifests of the wanted platforms, each once."""
    images = [
        entry
        for entry in entries
        if entry.media_type not in INDEX_TYPES and ATTESTATION_DIGEST not in entry.annotations
    ]
    offered = {str(entry.platform) for entry in images if entry.platform is not None}
    for platform in wanted:
        if not any(matches(platform, offer) for offer in offered):
            raise _missing(reference, platform, offered)
    chosen = {
        entry.digest: entry
        for entry in images
        if entry.platform and any(matches(platform, str(entry.platform)) for platform in wanted)
    }
    return sorted(chosen.values(), key=lambda entry: (str(entry.platform), entry.digest))


def _platform_manifest(
    reference: Reference, entry: OciDescriptor, source: ManifestSource
) -> LockedManifest:
    parsed = source.below(reference, entry)
    if not isinstance(parsed.body, OciManifest):
        raise FormatError(
            f"{reference}: expected {entry.digest} to be a manifest, found an index",
            "Ask the image's publisher.",
        )
    return locked_manifest(parsed, parsed.body, str(entry.platform))


def _only_manifest(
    reference: Reference,
    parsed: Parsed,
    manifest: OciManifest,
    wanted: Sequence[str],
    source: ManifestSource,
) -> LockedManifest:
    """Lock an image without an index, whose platform only its config tells."""
    if manifest.config.media_type not in _CONFIG_TYPES:
        # No image but some other artefact, which has no platform.
        return locked_manifest(parsed, manifest, None)
    data = small_blob(source, reference, manifest.config.content, MAX_OCI_MANIFEST_BYTES)
    try:
        offered = str(msgspec.json.decode(data, type=OciPlatform))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(
            f"{reference}: its config is malformed ({error})", "Ask the image's publisher."
        ) from error
    for platform in wanted:
        if not matches(platform, offered):
            raise _missing(reference, platform, {offered} if offered else set())
    return locked_manifest(parsed, manifest, offered)


def _artifact(
    reference: Reference,
    root: Parsed,
    indexes: Sequence[LockedIndex],
    manifests: Sequence[LockedManifest],
    found: Found,
) -> LockedArtifact:
    """Put an artefact together; what several parts name is listed once."""
    own = {manifest.digest for manifest in manifests}
    extra = [manifest for manifest in found.manifests if manifest.digest not in own]
    all_indexes = {index.digest: index for index in (*indexes, *found.indexes)}
    return LockedArtifact(
        reference=str(reference),
        digest=root.digest,
        indexes=tuple(all_indexes[digest] for digest in sorted(all_indexes)),
        manifests=(*manifests, *extra),
        referrers=found.referrers,
    )


def _missing(reference: Reference, platform: str, offered: set[str]) -> DefinitionError:
    offers = ", ".join(sorted(offered)) or "none"
    return DefinitionError(
        f"{reference}: expected an image for {platform}, found {offers}",
        "Correct platforms:, for all images or for this one, or choose another image.",
        {"reference": str(reference), "platform": platform},
    )
