"""What changed from one release to the next, for the approvers.

Computed from the two manifests alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bundle.base.digest import Digest, digest_of
from bundle.base.documents import Document, Text
from bundle.base.platform import Platform
from bundle.kinds.artifacts import describe_unasked
from bundle.kinds.policy import Pattern
from bundle.kinds.protocol import Differences, Item, Move
from bundle.kinds.registry import KINDS, ContentChanges
from bundle.model.manifest import Manifest, artifacts
from bundle.model.predicates import ReleaseNumber

MAX_CHANGES: Final = 2000
"""Names in one list, to keep the document near 1 MiB; the rest is only counted."""


class PlatformChanges(Document, frozen=True, kw_only=True):
    """Platforms that are only in one of the releases."""

    added: tuple[Platform, ...]
    removed: tuple[Platform, ...]


class WaivedImages(Document, frozen=True, kw_only=True):
    """A waiver: images that need not be signed, and why."""

    images: tuple[Pattern, ...]
    reason: Text
    approved_by: Text
    expires: Text
    ticket: Text


class WaiverChanges(Document, frozen=True, kw_only=True):
    """Waivers that are only in one of the releases."""

    new: tuple[WaivedImages, ...]
    dropped: tuple[WaivedImages, ...]


class Vulnerabilities(Document, frozen=True, kw_only=True):
    """What scans found; without scans nothing is known, which is not the same as no findings."""

    scanned: bool
    new: tuple[Text, ...]
    fixed: tuple[Text, ...]


class PreviousRelease(Document, frozen=True, kw_only=True):
    """The release compared with."""

    release: ReleaseNumber
    version: Text
    digest: Digest


class UnaskedImage(Document, frozen=True, kw_only=True):
    """An image or chart, and where its registry did not tell whether there are signatures."""

    reference: Text
    places: Text


class Changes(ContentChanges, frozen=True, kw_only=True):
    """The predicate urn:isoward:changes:v1.

    Source: docs/FORMAT.md, "attestations/".
    """

    release: ReleaseNumber
    previous: PreviousRelease | None
    """None: the release folder has no earlier release."""
    platforms: PlatformChanges
    waivers: WaiverChanges
    unsigned: tuple[Text, ...]
    """All images of this release, old and new, that no signature vouches for."""
    unsigned_left_out: int = 0
    unasked: tuple[UnaskedImage, ...] = ()
    """All images and charts of this release whose registry did not tell what refers to them."""
    unasked_left_out: int = 0
    vulnerabilities: Vulnerabilities


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier release.

    Attributes:
        release: Its number.
        manifest: Its bundle.json.
        data: The bytes of that.
    """

    release: int
    manifest: Manifest
    data: bytes


def compare_releases(release: int, new: Manifest, earlier: Earlier | None) -> Changes:
    """Compare a release with the previous one; without one, everything is new."""
    old = earlier.manifest if earlier else None
    unsigned = unsigned_images(new)
    unasked = unasked_images(new)
    return Changes(
        release=release,
        previous=None if earlier is None else _previous(earlier),
        platforms=PlatformChanges(
            added=tuple(p for p in new.platforms if not old or p not in old.platforms),
            removed=tuple(p for p in (old.platforms if old else ()) if p not in new.platforms),
        ),
        waivers=_waiver_changes(waived_images(old) if old else (), waived_images(new)),
        unsigned=unsigned[:MAX_CHANGES],
        unsigned_left_out=max(0, len(unsigned) - MAX_CHANGES),
        unasked=unasked[:MAX_CHANGES],
        unasked_left_out=max(0, len(unasked) - MAX_CHANGES),
        vulnerabilities=Vulnerabilities(scanned=False, new=(), fixed=()),
        **{name: _differences(contents(old, name), contents(new, name)) for name in COMPARED},
    )


def _previous(earlier: Earlier) -> PreviousRelease:
    return PreviousRelease(
        release=earlier.release,
        version=earlier.manifest.metadata.version,
        digest=digest_of(earlier.data),
    )


COMPARED: Final = ContentChanges.__struct_fields__
"""What is compared: the fields of `Changes` that each hold the changes of a kind of content."""


def contents(manifest: Manifest | None, field: str) -> Mapping[str, str]:
    """Return what a bundle has of one of `COMPARED`: digests by name; nothing of no bundle."""
    if manifest is None:
        return {}
    kinds = (kind for kind in KINDS if field == (kind.compared_in or kind.field))
    return {
        name: digest
        for kind in kinds
        for one in kind.entries(manifest)
        for name, digest in kind.compared(one)
    }


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> Differences:
    added = [Item(name=name, digest=new[name]) for name in sorted(new.keys() - old.keys())]
    removed = [Item(name=name, digest=old[name]) for name in sorted(old.keys() - new.keys())]
    moved = [
        Move(name=name, old=old[name], new=new[name])
        for name in sorted(old.keys() & new.keys())
        if old[name] != new[name]
    ]
    lists = (added, removed, moved)
    return Differences(
        added=tuple(added[:MAX_CHANGES]),
        removed=tuple(removed[:MAX_CHANGES]),
        moved=tuple(moved[:MAX_CHANGES]),
        left_out=sum(max(0, len(found) - MAX_CHANGES) for found in lists),
    )


def waived_images(manifest: Manifest) -> tuple[WaivedImages, ...]:
    """Return the waivers of a bundle's own rules: which images need not be signed, and why."""
    return tuple(
        WaivedImages(
            images=rule.images,
            reason=rule.unsigned.reason,
            approved_by=rule.unsigned.approved_by,
            expires=rule.unsigned.expires,
            ticket=rule.unsigned.ticket,
        )
        for rule in manifest.signatures
        if rule.unsigned is not None
    )


def _waiver_changes(old: tuple[WaivedImages, ...], new: tuple[WaivedImages, ...]) -> WaiverChanges:
    return WaiverChanges(
        new=tuple(waiver for waiver in new if waiver not in old),
        dropped=tuple(waiver for waiver in old if waiver not in new),
    )


def unsigned_images(manifest: Manifest) -> tuple[str, ...]:
    """Return the images that no signature vouches for: waived, or never asked for one.

    A signature that no rule of the bundle demands counts for nothing: a site does not look for it.
    """
    rules = manifest.signatures
    return tuple(
        image.reference
        for image in manifest.images
        if not any(
            found.method != "unsigned"
            and found.rule < len(rules)
            and rules[found.rule].method == found.method
            for found in image.verified
        )
    )


def unasked_images(manifest: Manifest) -> tuple[UnaskedImage, ...]:
    """Return the images whose registries could not be asked everywhere what refers to them."""
    return tuple(
        UnaskedImage(reference=artifact.reference, places=describe_unasked(artifact.unasked))
        for artifact in artifacts(manifest)
        if artifact.unasked
    )
