"""What a build attests, in plain words: for approvers before signing, for auditors afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bundle.base.digest import short
from bundle.base.progress import counted
from bundle.kinds.protocol import Differences
from bundle.kinds.registry import KINDS
from bundle.model.changes import COMPARED, Changes, UnaskedImage, WaivedImages
from bundle.model.lock import Lock
from bundle.model.manifest import Manifest
from bundle.model.provenance import Provenance, SignatureStatus, Source

MAX_LINES: Final = 20
"""Per kind; the complete list is in the attestation."""

_SIGNATURES: dict[SignatureStatus, str] = {
    "good": "signed with a valid signature",
    "bad": "signed with a BAD signature",
    "untrusted": "signed by a key that the build system does not trust",
    "expired": "signed, but the signature or its key has expired",
    "revoked": "signed by a revoked key",
    "unchecked": "signed, but the build system could not check the signature",
    "none": "not signed",
}


def content_counts(content: Lock | Manifest) -> str:
    """Summarize what a lock or a bundle holds, by kind, such as `2 images, 1 chart`."""
    return ", ".join(filter(None, (kind.said(content) for kind in KINDS))) or "nothing"


def source_lines(source: Source) -> tuple[str, ...]:
    """Describe the commit that a bundle was built from."""
    if source.kind == "none":
        return (f"unknown: {source.reason}",)
    signer = f" ({source.signer})" if source.signer else ""
    clean = "no uncommitted changes" if source.clean else "UNCOMMITTED CHANGES"
    matches = "matches" if source.lock_committed else "does NOT match"
    lock = f"the lock {matches} the commit"
    return (f"commit {source.commit}", f"{_SIGNATURES[source.signature]}{signer}", clean, lock)


def provenance_lines(provenance: Provenance) -> tuple[tuple[str, str], ...]:
    """Describe how a bundle was built, each line with its title."""
    run = provenance.run_details
    source = source_lines(provenance.source)
    hosts = ", ".join(provenance.hosts) or "none"
    finished = f"{run.metadata.finished_on:%Y-%m-%d %H:%M} UTC"
    return (
        ("built", f"{finished}, by isoward {run.builder.version.isoward}"),
        ("from", source[0]),
        *(("", line) for line in source[1:]),
        ("content from", hosts),
    )


def changes_lines(changes: Changes) -> tuple[str, ...]:
    """Describe what changed since the previous release."""
    return tuple(_lines(changes))


def _lines(changes: Changes) -> Iterator[str]:
    previous = changes.previous
    if previous is None:
        yield "first release in this release folder: everything is new"
    else:
        yield f"since release {previous.release} (version {previous.version}):"
    for name in changes.platforms.added:
        yield f"+ platform {name}"
    for name in changes.platforms.removed:
        yield f"- platform {name}"
    kinds = [(k.title, getattr(changes, k.field)) for k in KINDS if k.field in COMPARED]
    for title, differences in kinds:
        yield from _first(_differences(title, differences), differences.count)
    if previous is not None and not any(found.count for _, found in kinds):
        yield "no content was added, removed or moved"
    yield from _waivers("+ new waiver", changes.waivers.new)
    yield from _waivers("- waiver dropped", changes.waivers.dropped)
    yield from _vulnerabilities(changes)


def _differences(kind: str, found: Differences) -> Iterator[str]:
    for item in found.added:
        yield f"+ {kind} {item.name}: added, {short(item.digest)}"
    for item in found.removed:
        yield f"- {kind} {item.name}: removed, was {short(item.digest)}"
    for move in found.moved:
        yield f"~ {kind} {move.name}: moved from {short(move.old)} to {short(move.new)}"


def _waivers(what: str, waivers: tuple[WaivedImages, ...]) -> Iterator[str]:
    lines = (f"{what}: {waived_line(waiver)}" for waiver in waivers)
    yield from _first(lines, len(waivers))


def waived_line(waiver: WaivedImages) -> str:
    """Describe which images' signatures a rule waives, why, and who approved it."""
    return (
        f"{', '.join(waiver.images)} need not be signed until {waiver.expires}: "
        f"{waiver.reason} ({waiver.approved_by}, {waiver.ticket})"
    )


def unsigned_lines(names: Sequence[str]) -> list[str]:
    """List every image that no upstream signature vouches for."""
    if not names:
        return ["every image has an upstream signature"]
    count = counted(len(names), "image")
    return [f"{count} without an upstream signature:", *(f"  {name}" for name in names)]


def unasked_lines(found: Sequence[UnaskedImage]) -> list[str]:
    """List every image whose registry did not tell everywhere what refers to it."""
    if not found:
        return ["every registry lists what refers to its images"]
    count = counted(len(found), "image")
    first = f"{count} whose registry does not list everything that refers to them:"
    return [first, *(f"  {one.reference}: {one.places}" for one in found)]


def _vulnerabilities(changes: Changes) -> Iterator[str]:
    found = changes.vulnerabilities
    if not found.scanned:
        yield "vulnerabilities: not scanned, so new and fixed ones are unknown"
        return
    yield f"vulnerabilities: {len(found.new)} new, {len(found.fixed)} fixed"
    yield from _first((f"+ {name}" for name in found.new), len(found.new))
    yield from _first((f"- {name}" for name in found.fixed), len(found.fixed))


def _first(lines: Iterator[str], count: int) -> Iterator[str]:
    """Yield the first lines, and how many more there are."""
    shown = 0
    for line in lines:
        if shown == MAX_LINES:
            break
        shown += 1
        yield line
    if count > shown:
        yield f"  and {count - shown} more, in attestations/changes.dsse.json"
