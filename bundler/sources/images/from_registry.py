"""Images: from a reference to the digests of all that belongs to it.

Source: OCI image-spec v1.1, image-index.md; BuildKit, "Image attestation storage".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bundle.base.errors import DefinitionError, FormatError, NotFoundError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES
from bundle.base.oci import (
    ATTESTATION_DIGEST,
    INDEX_TYPES,
    OciDescriptor,
    OciIndex,
    OciManifest,
)
from bundle.base.oci_json import UnreadableError, read_platform
from bundle.base.platform import (
    DEFAULT_SYSTEM,
    best_offer,
    normal_platform,
    platform_of,
    written_platform,
)
from bundle.base.progress import Progress
from bundle.base.reference import Reference, parse_reference
from bundle.kinds.artifacts import LockedArtifact, LockedIndex, LockedManifest
from bundle.kinds.images import ImageSource
from bundler.sources.common.download import small_blob
from bundler.sources.common.manifests import ManifestSource, Parsed, check_nesting, locked_manifest
from bundler.sources.images.referrers import Found, ReferrerSearch

_CONFIG_TYPES: Final = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)

_NO_IMAGE: Final = "unknown/unknown"
"""The platform that BuildKit gives to attestations."""


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
        manifest = _only_manifest(reference, root, root.body, wanted=wanted, source=source)
        found = ReferrerSearch(source, reference).search([root.digest], [])
        return _artifact(reference, root, [], manifests=[manifest], found=found)
    skipped: list[str] = []
    indexes = list(_indexes(reference, root, source, skipped))
    entries = [e for index in indexes for e in _entries(index)]
    skipped += [reason for index in indexes for reason in _unusable(index)]
    manifests = _choose(reference, entries, wanted, source=source, skipped=skipped)
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
    return _artifact(reference, root, locked, manifests=manifests, found=found)


def _root(reference: Reference, source: ManifestSource, progress: Progress) -> Parsed:
    """Fetch what a reference names.

    The digest wins over the tag, but a person wants to know when the two parted.
    """
    if not (reference.tag and reference.digest):
        return source.at(reference)
    root, now = source.at_both(reference)
    if now is None:
        progress.note(f"{reference}: the tag no longer exists upstream; using the digest")
    elif now != reference.digest:
        progress.note(f"{reference}: the tag is now {now}; using the digest")
    return root


def _indexes(
    reference: Reference, index: Parsed, source: ManifestSource, skipped: list[str]
) -> Iterator[Parsed]:
    """Yield an index and those nested in it, each once.

    Args:
        reference: Of the image.
        index: Its root.
        source: Fetches.
        skipped: Gets the reasons why nested ones cannot be had; perhaps nobody needs them.
    """
    seen: set[str] = set()
    pending = [(index, 1)]
    while pending:
        current, level = pending.pop(0)
        if current.digest in seen:
            continue
        seen.add(current.digest)
        check_nesting(reference, level, len(seen))
        yield current
        for entry in _entries(current):
            if entry.media_type not in INDEX_TYPES:
                continue
            try:
                pending.append((source.below(reference, entry), level + 1))
            except (FormatError, NotFoundError) as error:
                skipped.append(error.message)


def _entries(index: Parsed) -> tuple[OciDescriptor, ...]:
    return index.body.manifests if isinstance(index.body, OciIndex) else ()


def _choose(
    reference: Reference,
    entries: Sequence[OciDescriptor],
    wanted: Sequence[str],
    source: ManifestSource,
    skipped: Sequence[str],
) -> list[LockedManifest]:
    """Return the manifests of the wanted platforms, each once, as containerd would choose.

    An entry without a platform counts only for a platform that no other entry has; then its
    image's config says which it is.
    """
    images = [
        entry
        for entry in entries
        if entry.media_type not in INDEX_TYPES and ATTESTATION_DIGEST not in entry.annotations
    ]
    said = {e.digest: str(e.platform) for e in images if e.platform and e.platform.architecture}
    said = {digest: name for digest, name in said.items() if name != _NO_IMAGE}
    best = {platform: best_offer(platform, said.values()) for platform in wanted}
    if None in best.values():
        said |= _by_config(reference, [e for e in images if e.platform is None], source)
        best = {platform: best_offer(platform, said.values()) for platform in wanted}
    for platform, offer in best.items():
        if offer is None:
            raise _missing(reference, platform, set(said.values()), skipped)
    chosen = {
        e.digest: e for e in images if normal_platform(said.get(e.digest, "")) in best.values()
    }
    ordered = sorted(chosen.values(), key=lambda entry: (said[entry.digest], entry.digest))
    return [_platform_manifest(reference, entry, said[entry.digest], source) for entry in ordered]


def _unusable(index: Parsed) -> tuple[str, ...]:
    return index.body.unusable if isinstance(index.body, OciIndex) else ()


def _by_config(
    reference: Reference, entries: Sequence[OciDescriptor], source: ManifestSource
) -> dict[str, str]:
    """Return the platforms of entries that say none, by digest; what is no image has none."""
    check_nesting(reference, 1, len(entries))
    found: dict[str, str] = {}
    for entry in entries:
        try:
            parsed = source.below(reference, entry)
            if isinstance(parsed.body, OciManifest) and _is_image(parsed.body):
                found[entry.digest] = _config_platform(reference, parsed.body, source)
        except (FormatError, NotFoundError):
            # Nobody asked for just this one; a platform that is then missing is an error.
            continue
    return found


def _platform_manifest(
    reference: Reference, entry: OciDescriptor, platform: str, source: ManifestSource
) -> LockedManifest:
    parsed = source.below(reference, entry)
    if not isinstance(parsed.body, OciManifest):
        raise FormatError(
            f"{reference}: expected {entry.digest} to be a manifest, found an index",
            "Ask the image's publisher.",
        )
    return locked_manifest(parsed, parsed.body, written_platform(platform))


def _is_image(manifest: OciManifest) -> bool:
    return manifest.config is not None and manifest.config.media_type in _CONFIG_TYPES


def _config_platform(reference: Reference, manifest: OciManifest, source: ManifestSource) -> str:
    """Return the platform that an image's config says, or an empty text."""
    if manifest.config is None:
        return ""
    data = small_blob(source, reference, manifest.config.content, MAX_OCI_MANIFEST_BYTES)
    try:
        system, architecture, variant = read_platform(data)
    except UnreadableError as error:
        raise FormatError(
            f"{reference}: its config is malformed ({error})", "Ask the image's publisher."
        ) from error
    return platform_of(system or DEFAULT_SYSTEM, architecture, variant) if architecture else ""


def _only_manifest(
    reference: Reference,
    parsed: Parsed,
    manifest: OciManifest,
    wanted: Sequence[str],
    source: ManifestSource,
) -> LockedManifest:
    """Lock an image without an index, whose platform only its config tells."""
    if not _is_image(manifest):
        # No image but some other artifact, which has no platform.
        return locked_manifest(parsed, manifest, None)
    offered = _config_platform(reference, manifest, source)
    for platform in wanted:
        if best_offer(platform, [offered]) is None:
            raise _missing(reference, platform, {offered} if offered else set(), ())
    return locked_manifest(parsed, manifest, written_platform(offered))


def _artifact(
    reference: Reference,
    root: Parsed,
    indexes: Sequence[LockedIndex],
    manifests: Sequence[LockedManifest],
    found: Found,
) -> LockedArtifact:
    """Put an artifact together; what several parts name is listed once."""
    own = {manifest.digest for manifest in manifests}
    extra = [manifest for manifest in found.manifests if manifest.digest not in own]
    all_indexes = {index.digest: index for index in (*indexes, *found.indexes)}
    return LockedArtifact(
        reference=str(reference),
        digest=root.digest,
        indexes=tuple(all_indexes[digest] for digest in sorted(all_indexes)),
        manifests=(*manifests, *extra),
        referrers=found.referrers,
        unasked=found.unasked,
    )


def _missing(
    reference: Reference, platform: str, offered: set[str], unusable: Sequence[str]
) -> DefinitionError:
    offers = ", ".join(sorted(offered)) or "none"
    why = f"; an entry cannot be used: {unusable[0]}" if unusable else ""
    return DefinitionError(
        f"{reference}: expected an image for {platform}, found {offers}{why}",
        "Correct platforms:, for all images or for this one, or choose another image.",
        {"reference": str(reference), "platform": platform},
    )
