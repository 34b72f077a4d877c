"""What an approver is shown: all that they sign, and what the build system says of it.

The first part is made from the bytes that are signed, and from bundle.json, which they name by
digest. Nothing of it is left out. The second is the build system's word, as far as bundle.json does
not contradict it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bundle.base.digest import digest_of, hex_of
from bundle.base.progress import counted
from bundle.cli.progress_bar import readable_size
from bundle.model.changes import unasked_images, unsigned_images, waived_images
from bundle.model.plan import named_hosts
from bundle.model.summary import (
    changes_lines,
    content_counts,
    provenance_lines,
    unasked_lines,
    unsigned_lines,
    waived_line,
)
from bundle.trust.keys.terms import TARGETS_LIFETIME
from bundle.trust.metadata.fingerprint import fingerprint_groups
from bundler.release.review import Review

_WIDTH = 12
Row = tuple[str, str]


def page(seen: Review, now: datetime, *, compared: bool = False) -> list[str]:
    """Return the page.

    Args:
        seen: What was found.
        now: The clock, in UTC.
        compared: Whether the changes were compared with the release before here.
    """
    metadata = seen.manifest.metadata
    lines = [f"{metadata.name} {metadata.version}, release {seen.terms.version}"]
    lines += _table(_signed(seen, now))
    lines += ["", "contents of bundle.json", *_table(_content(seen))]
    lines += ["", "claims of the build system", *_table(_said(seen))]
    how = "compared here with the previous release" if compared else "as the build system claims"
    lines.append(f"  {'changes':<{_WIDTH}}  {how}")
    lines += [f"    {line}" for line in changes_lines(seen.builder.changes)]
    if not compared and seen.builder.changes.previous is not None:
        lines.append("    --previous BUNDLE compares them here with the previous release")
    return [*lines, "", *_table(_approvals(seen))]


def _table(rows: Iterator[Row]) -> Iterator[str]:
    for title, text in rows:
        yield f"  {title:<{_WIDTH}}  {text}".rstrip()


def _signed(seen: Review, now: datetime) -> Iterator[Row]:
    """Say each field of what is signed."""
    terms = seen.terms
    yield "bundle.json", f"{terms.digest} ({counted(terms.length, 'byte')})"
    yield "valid until", _expiry(terms.ends, now)
    yield "only for", ", ".join(terms.sites) or "not restricted: any site may import it"
    if not terms.revoked:
        yield "revokes", "no release"
    for i, entry in enumerate(terms.revoked):
        what = f"release {entry.release} ({entry.digest}): {entry.reason}"
        yield "revokes" if not i else "", what
    if terms.revoked:
        yield "", "every site that sees this release refuses these forever"
    first, *others = fingerprint_groups(digest_of(seen.signed))
    yield "check value", f"{first}  (TUF {terms.spec_version}; the same for every approver)"
    yield from (("", line) for line in others)
    first, *others = fingerprint_groups(seen.root_fingerprint)
    yield "root", first
    yield from (("", line) for line in others)


def _expiry(moment: datetime, now: datetime) -> str:
    days = (moment - now).days
    longer = " - LONGER than a build sets" if moment - now > TARGETS_LIFETIME else ""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {counted(days, 'day')} from now{longer}"


def _content(seen: Review) -> Iterator[Row]:
    manifest = seen.manifest
    size = readable_size(manifest.content_bytes)
    yield "platforms", ", ".join(manifest.platforms)
    yield (
        "content",
        f"{content_counts(manifest)}: {counted(len(manifest.blobs), 'blob')} with {size}",
    )
    yield "hosts", ", ".join(_hosts(seen)) or "none"
    waivers = waived_images(manifest)
    yield "waivers", f"{len(waivers)}" if waivers else "none"
    yield from (("", waived_line(waiver)) for waiver in waivers)
    for title, found in (
        ("unsigned", unsigned_lines(unsigned_images(manifest))),
        ("not asked", unasked_lines(unasked_images(manifest))),
    ):
        yield title, found[0]
        yield from (("", line) for line in found[1:])


def _hosts(seen: Review) -> list[str]:
    """Return the hosts that bundle.json lists, and those of its own addresses."""
    return sorted({*seen.manifest.sources, *named_hosts(seen.manifest)} - {""})


def _said(seen: Review) -> Iterator[Row]:
    yield "importable", f"until {seen.expires:%Y-%m-%d %H:%M} UTC, with the present signatures"
    yield from provenance_lines(seen.builder.provenance)
    said = seen.builder.provenance
    run = said.run_details
    yield "builder", f"{seen.builder.name}, {run.builder.id}"
    yield (
        "run",
        f"{run.metadata.invocation_id}, started {run.metadata.started_on:%Y-%m-%d %H:%M} UTC",
    )
    definition = said.build_definition.external_parameters.definition.digest.sha256
    yield "definition", f"sha256:{definition}"
    yield "lock", seen.manifest.lock


def _approvals(seen: Review) -> Iterator[Row]:
    yield "approvals", f"{len(seen.approved)} of {seen.threshold} required"
    for given in seen.approvals:
        yield "", f"{given.name}, {given.ticket}, {given.time:%Y-%m-%d %H:%M} UTC"
    for key_id in seen.unfinished:
        yield "", f"{seen.approvers[key_id]}: interrupted, does not count"


def page_data(seen: Review) -> dict[str, Any]:
    """Return the same for `--json`."""
    source = seen.builder.provenance.source
    return {
        "name": seen.manifest.metadata.name,
        "version": seen.manifest.metadata.version,
        "digest": seen.terms.digest,
        "release": seen.terms.version,
        "validUntil": seen.terms.ends.isoformat(),
        "sites": list(seen.terms.sites),
        "revokes": [
            {"release": entry.release, "digest": entry.digest, "reason": entry.reason}
            for entry in seen.terms.revoked
        ],
        "checkValue": hex_of(digest_of(seen.signed)),
        "rootFingerprint": hex_of(seen.root_fingerprint),
        "platforms": list(seen.manifest.platforms),
        "hosts": _hosts(seen),
        "unsigned": list(unsigned_images(seen.manifest)),
        "waived": [waived_line(waiver) for waiver in waived_images(seen.manifest)],
        "approvedBy": list(seen.approved_by),
        "approvals": [
            {"name": given.name, "ticket": given.ticket, "time": given.time.isoformat()}
            for given in seen.approvals
        ],
        "unfinished": [seen.approvers[key_id] for key_id in seen.unfinished],
        "threshold": seen.threshold,
        "missing": seen.missing,
        "expires": seen.expires.isoformat(),
        "source": {
            "kind": source.kind,
            "commit": source.commit,
            "clean": source.clean,
            "lockCommitted": source.lock_committed,
            "signature": source.signature,
        },
        "changes": list(changes_lines(seen.builder.changes)),
    }
