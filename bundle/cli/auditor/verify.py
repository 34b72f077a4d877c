"""`isoward verify`: is this bundle what was approved, down to the last byte?"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from bundle.base.digest import digest_of
from bundle.base.errors import NotEnrolledError, UsageError
from bundle.base.limits import MAX_MANIFEST_BYTES
from bundle.checks.good_bundle import Subject, check_bundle
from bundle.cli.auditor.verify_page import Verification, facts, page
from bundle.cli.depots import DEFAULT_DEPOT
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.store.atomic import require_new, write_new
from bundle.store.layout import MANIFEST_NAME, BundleDirectory
from bundle.trust.metadata.fingerprint import parse_fingerprint
from bundle.trust.site.state import TrustState, find_state, load_states, state_from_fingerprint
from bundle.trust.site.waiver import GrantedWaiver, kept_waiver
from bundle.trust.upstream.site_policy import load_site_policy
from bundle.trust.verify.receipt import Receipt, make_receipt
from bundle.trust.verify.verification import verify_trust

TRUST_STATES: Final = "trust"


@click.command("verify")
@click.argument("bundle", type=Given("bundle"))
@click.option(
    "--depot",
    type=click.Path(path_type=Path),
    help=f"The depot with the enrolled root; {DEFAULT_DEPOT} if it exists.",
)
@click.option(
    "--fingerprint",
    metavar="HEX",
    help="The fingerprint of the vendor's root, if no root is enrolled.",
)
@click.option(
    "--receipt",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a signed receipt (a verification summary) to a new file.",
)
@click.option("--key", type=click.Path(path_type=Path), help="The key that signs the receipt.")
@passphrase_option
@output_options
@pass_output
def command(
    output: Output,
    *,
    bundle: Path,
    depot: Path | None,
    fingerprint: str | None,
    receipt: Path | None,
    key: Path | None,
    passphrase_fd: int | None,
) -> None:
    """Verify the BUNDLE: its trust, then every byte, in place.

    Nothing is written except the receipt. Exits with code 0 only if everything is valid.
    """
    if depot is not None and fingerprint is not None:
        raise UsageError("--depot and --fingerprint are mutually exclusive", "Give one of them.")
    if (receipt is None) != (key is None):
        raise UsageError("--receipt and --key must be given together", "Give both or neither.")
    directory = BundleDirectory(bundle)
    directory.require()
    # Checked before hours of reading, not after.
    signer = load_signing_key(output, key, passphrase_fd) if key is not None else None
    if receipt is not None:
        _check_receipt(receipt, bundle)
    now = datetime.now(UTC)
    done = _verify(output, directory, depot, fingerprint=fingerprint, now=now)
    result = facts(done)
    if receipt is not None and signer is not None:
        about = Receipt(done.verified, done.not_checked, version("isoward"), now)
        write_new(receipt, make_receipt(about, signer))
        result["receipt"] = str(receipt)
    output.result(result, *page(done))


def _check_receipt(receipt: Path, bundle: Path) -> None:
    require_new(receipt)
    if receipt.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(
            f"{receipt}: a bundle must not contain extra files",
            "Write the receipt somewhere else.",
        )


def _verify(
    output: Output,
    directory: BundleDirectory,
    depot: Path | None,
    fingerprint: str | None,
    now: datetime,
) -> Verification:
    began = time.monotonic()
    at_site = fingerprint is None
    state = _state(directory, depot, fingerprint, now)
    waiver = _waiver(directory, depot or DEFAULT_DEPOT, now) if at_site else None
    verified, _ = verify_trust(directory, state, now, at_site=at_site, waiver=waiver)
    site = load_site_policy(depot or DEFAULT_DEPOT) if at_site else ()
    passed = check_bundle(Subject(directory, verified.manifest, now, site, output.progress))
    return Verification(verified, passed, time.monotonic() - began, at_site)


def _waiver(directory: BundleDirectory, depot: Path, now: datetime) -> GrantedWaiver | None:
    """Return the waiver under which the depot accepted this very bundle, if it is still valid."""
    data = directory.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    return kept_waiver(depot, digest_of(data), now)


def _state(
    directory: BundleDirectory, depot: Path | None, fingerprint: str | None, now: datetime
) -> TrustState:
    if fingerprint is not None:
        return state_from_fingerprint(directory, parse_fingerprint(fingerprint), now)
    states = load_states((depot or DEFAULT_DEPOT) / TRUST_STATES)
    if not states:
        raise NotEnrolledError(
            f"{depot or DEFAULT_DEPOT}: no root is enrolled there, so nothing can be verified",
            "Run `isoward enroll` first, or give --fingerprint with the vendor's fingerprint.",
        )
    return find_state(directory, states)
