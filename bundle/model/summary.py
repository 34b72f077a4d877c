"""What a build attests, in plain words: for approvers before they sign, for auditors afterwards."""

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
"""Of each kind; the whole list is in the attestation."""

_SIGNATURES: dict[SignatureStatus, str] = {
    "good": "signed, and the signature is good",
    "bad": "signed, and the signature is BAD",
    "untrusted": "signed by a key that the build system does not trust",
    "expired": "signed, and the signature or its key has expired",
    "revoked": "signed by a key that was revoked",
    "unchecked": "signed, and the build system could not check the signature",
    "none": "not signed",
}


def content_counts(content: Lock | Manifest) -> str:
    """Say what a lock or a bundle holds, each kind that it has, such as `2 images, 1 chart`."""
    return ", ".join(filter(None, (kind.said(content) for kind in KINDS))) or "nothing"


def source_lines(source: Source) -> tuple[str, ...]:
    """Say from which commit a bundle was built."""
    if source.kind == "none":
        return (f"unknown: {source.reason}",)
    signer = f" ({source.signer})" if source.signer else ""
    clean = "no file was changed since" if source.clean else "FILES WERE CHANGED since"
    lock = "the lock is the commit's" if source.lock_committed else "the lock is NOT the commit's"
    return (f"commit {source.commit}", f"{_SIGNATURES[source.signature]}{signer}", clean, lock)


def provenance_lines(provenance: Provenance) -> tuple[tuple[str, str], ...]:
    """Say how a bundle was built, each line with its title."""
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
    """Say what changed since the release before."""
    return tuple(_lines(changes))


def _lines(changes: Changes) -> Iterator[str]:
    previous = changes.previous
    if previous is None:
        yield "the first release of this release folder: everything is new"
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
        yield "no content is added, removed or moved"
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
    """Say which images a rule waives the signatures of, why, and by whom."""
    return (
        f"{', '.join(waiver.images)} need not be signed until {waiver.expires}: "
        f"{waiver.reason} ({waiver.approved_by}, {waiver.ticket})"
    )


def unsigned_lines(names: Sequence[str]) -> list[str]:
    """Say which images no signature of their upstream vouches for: every one of them."""
    if not names:
        return ["no image is without a signature of its upstream"]
    count = counted(len(names), "image")
    return [f"{count} that no upstream signature vouches for:", *(f"  {name}" for name in names)]


def unasked_lines(found: Sequence[UnaskedImage]) -> list[str]:
    """Say which images' registries do not say everywhere what refers to them: all of them."""
    if not found:
        return ["every registry says what refers to its images"]
    count = counted(len(found), "image")
    first = f"{count} whose registry does not say everywhere what refers to them:"
    return [first, *(f"  {one.reference}: {one.places}" for one in found)]


def _vulnerabilities(changes: Changes) -> Iterator[str]:
    found = changes.vulnerabilities
    if not found.scanned:
        yield "vulnerabilities: not scanned, so new and fixed ones are not known"
        return
    yield f"vulnerabilities: {len(found.new)} new, {len(found.fixed)} fixed"
    yield from _first((f"+ {name}" for name in found.new), len(found.new))
    yield from _first((f"- {name}" for name in found.fixed), len(found.fixed))


def _first(lines: Iterator[str], count: int) -> Iterator[str]:
    """Give the first lines, and say how many more there are."""
    shown = 0
    for line in lines:
        if shown == MAX_LINES:
            break
        shown += 1
        yield line
    if count > shown:
        yield f"  and {count - shown} more, in attestations/changes.dsse.json"
