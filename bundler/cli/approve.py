"""`isoward approve`: one person's signature under one release."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bundle.cli.output import Output, json_option, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.cli.progress import readable_size
from bundle.model.digest import hex_of
from bundle.model.errors import InterruptedByUserError, UsageError
from bundle.store.layout import BundleDirectory
from bundle.trust.approval import Review, approve, review
from bundle.trust.describe import fingerprint_groups

_FILE = click.Path(path_type=Path)


@click.command("approve")
@click.argument("bundle", type=_FILE)
@click.option("--key", type=_FILE, required=True, metavar="PEM", help="The approver's private key.")
@passphrase_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
@pass_output
def command(output: Output, bundle: Path, key: Path, passphrase_fd: int | None, yes: bool) -> None:
    """Approve the release in BUNDLE, after its metadata was checked and shown.

    The signature goes into the bundle; bundle.json and trust/ are all that is needed of it.
    """
    directory = BundleDirectory(bundle)
    directory.require()
    now = datetime.now(UTC)
    shown = review(directory, now)
    output.say(_page(shown))
    signer = load_signing_key(output, key, passphrase_fd)
    name = shown.holder_of(signer)
    if signer.public_key.keyid not in shown.approved and not yes:
        _confirm(name)
    result, added = approve(directory, shown, signer, now)
    output.result(
        {**_data(result), "approver": name, "added": added}, _outcome(result, name, added)
    )


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "the approval is confirmed on a terminal, and there is none",
            "Run this on a terminal, or give --yes.",
        )
    if not click.confirm(f"\nApprove this release as {name}?", err=True):
        raise InterruptedByUserError("not approved: the answer was no", "Nothing was changed.")


def _data(seen: Review) -> dict[str, Any]:
    return {
        "name": seen.manifest.metadata.name,
        "version": seen.manifest.metadata.version,
        "digest": seen.manifest_digest,
        "release": seen.release,
        "rootFingerprint": hex_of(seen.root_fingerprint),
        "approvedBy": list(seen.approved_by),
        "threshold": seen.threshold,
        "missing": seen.missing,
        "expires": seen.expires.isoformat(),
    }


def _page(seen: Review) -> str:
    manifest = seen.manifest
    counts = (
        f"{len(manifest.images)} images, {len(manifest.charts)} charts, {len(manifest.files)} files"
    )
    size = readable_size(manifest.content_bytes)
    fingerprint = fingerprint_groups(seen.root_fingerprint).replace("\n", "\n               ")
    approved = ", ".join(seen.approved_by) or "nobody yet"
    lines = [
        f"{manifest.metadata.name} {manifest.metadata.version}, release {seen.release}",
        f"  platforms    {', '.join(manifest.platforms)}",
        f"  content      {counts}; {len(manifest.blobs)} blobs with {size}",
        f"  bundle.json  {seen.manifest_digest}",
        f"  root         {fingerprint}",
        f"  valid until  {seen.expires:%Y-%m-%d %H:%M} UTC",
        f"  approved by  {approved} ({len(seen.approved)}; {seen.threshold} needed)",
    ]
    return "\n".join(lines)


def _outcome(result: Review, name: str, added: bool) -> str:
    what = f"approved by {name}" if added else f"{name} has approved this already: nothing changed"
    if result.missing:
        return f"\n{what}; {result.missing} more approval(s) needed"
    return f"\n{what}; the release has all the approvals that it needs"
