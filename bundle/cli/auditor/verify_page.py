"""The output of `isoward verify`: what was checked, what was not and why, and who approved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bundle.checks.blobs import LayoutCheck
from bundle.checks.good_bundle import BLOBS, LAYOUT, UPSTREAM, Passed
from bundle.checks.signatures import UpstreamCheck
from bundle.cli.progress_bar import readable_size
from bundle.kinds.policy import VerifiedBy
from bundle.model.summary import provenance_lines
from bundle.store.leftovers import shown_leftovers
from bundle.trust.verify.verified import VerifiedBundle

_MAX_IMAGES: Final = 40
"""Lines of images on the page; `--json` lists them all."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification that passed.

    Attributes:
        verified: The bundle.
        passed: What the checks of a good bundle found.
        seconds: The duration.
        at_site: Whether a site's enrolled root decided, and not a fingerprint on the command line.
    """

    verified: VerifiedBundle
    passed: Passed
    seconds: float
    at_site: bool

    @property
    def upstream(self) -> UpstreamCheck:
        """By what each image was found to be signed."""
        return self.passed.of(UPSTREAM)

    @property
    def layout(self) -> LayoutCheck:
        """What there is beside the blobs."""
        return self.passed.of(LAYOUT)

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return self.passed.of(BLOBS)

    @property
    def not_checked(self) -> tuple[tuple[str, str], ...]:
        """What was not checked, and why."""
        return tuple(_not_checked(self))


def _not_checked(done: Verification) -> Iterator[tuple[str, str]]:
    waiver = done.verified.waiver
    if waiver is not None:
        said = waiver.predicate
        until = f"until {said.expires:%Y-%m-%d %H:%M} UTC ({said.ticket}: {said.reason})"
        yield "expiry", f"WAIVED by {' and '.join(waiver.signers)} {until}"
    if not done.verified.attestations.builder.changes.vulnerabilities.scanned:
        yield "vulnerabilities", "the bundle contains no scans of its images"
    if not done.at_site:
        yield (
            "older releases",
            "no root is enrolled here, so it is unknown whether a newer release was seen",
        )
        yield "the site's own policy", "no root is enrolled here"
        if done.verified.sites:
            yield "the site", f"this release is for {', '.join(done.verified.sites)} only"
    elif not done.upstream.site:
        yield "the site's own policy", "this site has none"
    if done.verified.attestations.builder.provenance.source.kind == "none":
        yield "the source", "the build did not record the lock's commit"
    if done.layout.leftovers:
        left = shown_leftovers(done.layout.leftovers)
        yield "other files", f"left by another system, skipped and not read: {left}"
    yield "what the content does", "signatures show who vouches for it, not that it is harmless"


def facts(done: Verification) -> dict[str, Any]:
    """Return the result for `--json`."""
    verified = done.verified
    manifest, attested = verified.manifest, verified.attestations
    source = attested.builder.provenance.source
    return {
        "verified": True,
        "name": manifest.metadata.name,
        "version": manifest.metadata.version,
        "digest": verified.manifest_digest,
        "release": verified.release,
        "root": {"fingerprint": verified.root_fingerprint, "version": verified.root_version},
        "expires": verified.expires.isoformat(),
        "signers": [
            {"role": signer.role, "name": signer.name, "keyId": signer.key_id}
            for signer in verified.signers
        ],
        "approvers": list(verified.approvers),
        "approvals": [
            {
                "name": given.name,
                "keyId": given.key_id,
                "ticket": given.ticket,
                "time": given.time.isoformat(),
            }
            for given in attested.approvals
        ],
        "builder": attested.builder.name,
        "source": {
            "kind": source.kind,
            "reason": source.reason,
            "commit": source.commit,
            "clean": source.clean,
            "lockCommitted": source.lock_committed,
            "signature": source.signature,
            "signer": source.signer,
        },
        "hosts": list(attested.builder.provenance.hosts),
        "upstream": [
            {"image": image, **_found(entry)}
            for image, entries in sorted(done.upstream.bundle.items())
            for entry in entries
        ],
        "sites": list(verified.sites),
        "waiver": _waiver(verified),
        "notChecked": [{"what": what, "why": why} for what, why in done.not_checked],
        "blobs": len(manifest.blobs),
        "bytes": done.size,
        "otherFiles": done.layout.others,
        "passedOver": list(done.layout.leftovers),
    }


def _waiver(verified: VerifiedBundle) -> dict[str, Any] | None:
    if verified.waiver is None:
        return None
    said = verified.waiver.predicate
    return {
        "reason": said.reason,
        "ticket": said.ticket,
        "expires": said.expires.isoformat(),
        "signers": list(verified.waiver.signers),
    }


def _found(entry: VerifiedBy) -> dict[str, str]:
    found = {"method": entry.method, "signer": entry.signer}
    if entry.method == "unsigned":
        found |= {"ticket": entry.ticket, "expires": entry.expires}
    return found


def page(done: Verification) -> list[str]:
    """Return the result for a person."""
    verified = done.verified
    metadata = verified.manifest.metadata
    lines = [f"verified: {metadata.name} {metadata.version}, release {verified.release}"]
    lines += _table(_who(done))
    lines += ["", "checked", *_table(_checked(done)), *(f"    {line}" for line in _images(done))]
    return [*lines, "", "not checked", *_table(done.not_checked, width=22)]


def _table(rows: Any, width: int = 12) -> Iterator[str]:
    for title, text in rows:
        yield f"  {title:<{width}} {text}".rstrip()


def _who(done: Verification) -> Iterator[tuple[str, str]]:
    verified = done.verified
    attested = verified.attestations
    yield "bundle.json", verified.manifest_digest
    yield "built by", attested.builder.name
    yield from provenance_lines(attested.builder.provenance)
    yield "approved by", ", ".join(given.name for given in attested.approvals)
    for given in attested.approvals:
        yield "", f"{given.name}: {given.ticket}, {given.time:%Y-%m-%d %H:%M} UTC"
    signed = ", ".join(sorted(found.name for found in verified.signers if found.role == "root"))
    yield "root", f"version {verified.root_version}, signed by {signed},"
    yield "", f"enrolled as {verified.root_fingerprint}"
    yield "valid until", f"{verified.expires:%Y-%m-%d %H:%M} UTC"
    if verified.sites:
        yield "only for", ", ".join(verified.sites)


def _checked(done: Verification) -> Iterator[tuple[str, str]]:
    manifest = done.verified.manifest
    rate, others = done.size / done.seconds if done.seconds > 0 else 0, done.layout.others
    expiry = "" if done.verified.waiver is not None else " and expiry"
    yield "trust", f"every signature below trust/ and attestations/, thresholds{expiry}"
    yield (
        "every byte",
        (
            f"{len(manifest.blobs)} blobs of {readable_size(done.size)} and {others} other "
            "files; no extra files"
        ),
    )
    yield "", f"in {done.seconds:.1f} s, {readable_size(int(rate))} per second"
    yield (
        "upstream",
        f"signatures of {len(manifest.images)} images, by the bundle's rules"
        + (" and the site's own" if done.upstream.site else ""),
    )


def _images(done: Verification) -> Iterator[str]:
    images = sorted(done.upstream.bundle.items())
    for image, entries in images[:_MAX_IMAGES]:
        found = sorted({_words(entry) for entry in entries})
        yield f"{image}: {'; '.join(found)}"
    if len(images) > _MAX_IMAGES:
        yield f"and {len(images) - _MAX_IMAGES} more; --json lists them all"


def _words(entry: VerifiedBy) -> str:
    if entry.method == "unsigned":
        return f"NOT signed, which {entry.signer} waived until {entry.expires} by {entry.ticket}"
    return f"{entry.method}, {entry.signer}"
