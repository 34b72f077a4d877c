"""`isoward verify`: is this bundle what was approved, to the last byte?"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from bundle.cli.output import Output, json_option, pass_output
from bundle.cli.progress import readable_size
from bundle.model.digest import PREFIX, is_digest
from bundle.model.errors import NotEnrolledError, UsageError
from bundle.store.check import check_blobs, check_layout
from bundle.store.layout import BundleDirectory
from bundle.trust.state import TrustState, find_state, load_states, state_from_fingerprint
from bundle.trust.upstream.bundle_check import check_upstream
from bundle.trust.upstream.site_policy import load_site_policy
from bundle.trust.verified import VerifiedBundle
from bundle.trust.verify import verify_trust

DEFAULT_DEPOT: Final = Path("/var/lib/isoward")
TRUST_STATES: Final = "trust"


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--depot",
    type=click.Path(path_type=Path),
    help=f"The depot whose enrolled root decides; {DEFAULT_DEPOT} if there is one.",
)
@click.option(
    "--fingerprint",
    metavar="HEX",
    help="The fingerprint of the vendor's root, where nothing is enrolled.",
)
@json_option
@pass_output
def command(output: Output, bundle: Path, depot: Path | None, fingerprint: str | None) -> None:
    """Check the BUNDLE: its trust, then every byte, in place.

    Nothing is written. It ends with exit code 0 only if all is well.
    """
    if depot is not None and fingerprint is not None:
        raise UsageError("--depot and --fingerprint exclude each other", "Give one of them.")
    directory = BundleDirectory(bundle)
    directory.require()
    began = time.monotonic()
    now = datetime.now(UTC)
    verified, _ = verify_trust(directory, _state(directory, depot, fingerprint, now), now)
    others = check_layout(directory, verified.manifest)
    site = load_site_policy(depot or DEFAULT_DEPOT) if fingerprint is None else ()
    check_upstream(directory, verified.manifest, now, site)
    size = check_blobs(directory, verified.manifest.blobs, output.progress)
    took = time.monotonic() - began
    facts = _facts(verified, others, size)
    output.result({"verified": True, **facts}, _page(verified, facts, took))


def _state(
    directory: BundleDirectory, depot: Path | None, fingerprint: str | None, now: datetime
) -> TrustState:
    if fingerprint is not None:
        plain = PREFIX + fingerprint.lower().removeprefix(PREFIX).replace(" ", "").replace("-", "")
        if not is_digest(plain):
            raise UsageError(
                f"--fingerprint: expected 64 hexadecimal characters, found {fingerprint[:100]!r}",
                "It is the SHA-256 digest of the vendor's root file.",
            )
        return state_from_fingerprint(directory, plain, now)
    states = load_states((depot or DEFAULT_DEPOT) / TRUST_STATES)
    if not states:
        raise NotEnrolledError(
            f"{depot or DEFAULT_DEPOT}: no root is enrolled there, so nothing can be verified",
            "Run `isoward enroll` first, or give --fingerprint with what the vendor told you.",
        )
    return find_state(directory, states)


def _facts(verified: VerifiedBundle, others: int, size: int) -> dict[str, Any]:
    manifest = verified.manifest
    return {
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
        "blobs": len(manifest.blobs),
        "bytes": size,
        "otherFiles": others,
    }


def _page(verified: VerifiedBundle, facts: dict[str, Any], took: float) -> str:
    signed = {role: _names(verified, role) for role in ("root", "snapshot", "timestamp")}
    rate = facts["bytes"] / took if took > 0 else 0
    content = f"{facts['blobs']} blobs with {readable_size(facts['bytes'])}"
    lines = [
        f"verified: {facts['name']} {facts['version']}, release {facts['release']}",
        f"  bundle.json  {facts['digest']}",
        f"  approved by  {', '.join(verified.approvers)}",
        f"  built by     {signed['timestamp']}",
        f"  root         version {verified.root_version}, signed by {signed['root']},",
        f"               enrolled as {verified.root_fingerprint}",
        f"  valid until  {verified.expires:%Y-%m-%d %H:%M} UTC",
        f"  every byte   {content} and {facts['otherFiles']} other files; there is no other file",
        f"  in           {took:.1f} s, {readable_size(int(rate))} a second",
    ]
    return "\n".join(lines)


def _names(verified: VerifiedBundle, role: str) -> str:
    return ", ".join(signer.name for signer in verified.signers if signer.role == role)
