"""`isoward release`: looking after a release folder between builds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from bundle.base.digest import hex_of
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.trust.metadata.fingerprint import fingerprint_groups
from bundle.trust.metadata.restrictions import RevokedRelease
from bundler.cli.root_change import told_data
from bundler.release.publish import refresh_release
from bundler.release.revocations import revoke
from bundler.release.status import ReleaseStatus, release_status
from bundler.root.explain import explain, page

_FILE = click.Path(path_type=Path)
_SOON_DAYS: Final = 30


@click.group("release")
@output_options
def command() -> None:
    """Manage a release folder."""


@command.command("show")
@click.argument("release", type=Given("release"))
@output_options
@pass_output
def show(output: Output, release: Path) -> None:
    """Show what is in RELEASE, what expires when, and what waits."""
    status = release_status(release)
    output.result(_data(status), *_page(status, datetime.now(UTC)))


@command.command("refresh")
@click.argument("release", type=Given("release"))
@click.option(
    "--key",
    type=Given("private-key"),
    required=True,
    metavar="PEM",
    help="The build system's private key.",
)
@click.option(
    "--bundle",
    "bundles",
    type=_FILE,
    multiple=True,
    metavar="BUNDLE",
    help="A bundle of the newest release to update with the new files; repeatable.",
)
@passphrase_option
@output_options
@pass_output
def refresh(
    output: Output, release: Path, key: Path, bundles: tuple[Path, ...], passphrase_fd: int | None
) -> None:
    """Renew snapshot and timestamp of RELEASE, without a build.

    The release number and its approvals stay the same; the approvals expire as before.
    """
    builder = load_signing_key(output, key, passphrase_fd)
    number, expires = refresh_release(release, builder, datetime.now(UTC), bundles)
    data = {"release": number, "expires": expires.isoformat(), "bundles": [str(b) for b in bundles]}
    lines = [
        f"release {number} can be imported until {expires:%Y-%m-%d}, according to the timestamp"
    ]
    if not bundles:
        lines.append("Bundles get the new files with --bundle, or when they are rebuilt.")
    output.result(data, *lines)


@command.command("revoke")
@click.argument("release", type=Given("release"))
@click.argument("number", type=click.IntRange(min=1))
@click.option("--reason", required=True, metavar="TEXT", help="One line for the sites.")
@output_options
@pass_output
def revoke_command(output: Output, release: Path, number: int, reason: str) -> None:
    """Revoke release NUMBER of RELEASE.

    The next release records it, its approvers sign it, and sites that see it refuse the old one.
    """
    entry, added = revoke(release, number, reason)
    what = "is revoked" if added else "was already revoked"
    output.result(
        {**_entry(entry), "added": added},
        f"release {entry.release} ({entry.digest}) {what}: {entry.reason}",
        "Sites learn about it from the next release that is built and approved.",
    )


def _entry(entry: RevokedRelease) -> dict[str, Any]:
    return {"release": entry.release, "digest": entry.digest, "reason": entry.reason}


def _data(status: ReleaseStatus) -> dict[str, Any]:
    return {
        "root": {
            "version": status.root.version,
            "fingerprint": hex_of(status.fingerprint) if status.fingerprint else None,
        },
        "draft": told_data(explain(status.draft)) if status.draft else None,
        "release": status.release or None,
        "digest": status.digest or None,
        "sites": list(status.sites),
        "expires": {name: moment.isoformat() for name, moment in status.expires.items()},
        "revoked": [_entry(entry) for entry in status.revoked],
        "toRevoke": [_entry(entry) for entry in status.to_revoke],
    }


def _page(status: ReleaseStatus, now: datetime) -> list[str]:
    lines = [f"root version {status.root.version}"]
    if status.fingerprint:
        lines += [f"    {line}" for line in fingerprint_groups(status.fingerprint)]
    else:
        lines.append("    not complete yet")
    if status.release:
        lines.append(f"newest release: {status.release}, bundle.json {status.digest}")
        lines.append(f"for: {', '.join(status.sites) or 'any site'}")
    else:
        lines.append("nothing released yet")
    lines += ["", *(_expiry(name, at, now) for name, at in status.expires.items())]
    lines += _revoked("revoked", status.revoked)
    lines += _revoked("revoked from the next release on", status.to_revoke)
    if status.draft:
        lines += ["", "A root is waiting for signatures.", *page(explain(status.draft))]
    return lines


def _expiry(name: str, moment: datetime, now: datetime) -> str:
    days = (moment - now).days
    note = ""
    if moment <= now:
        note = "  EXPIRED"
    elif days < _SOON_DAYS:
        note = f"  soon: {days} day(s)"
    return f"  {name:<16} valid until {moment:%Y-%m-%d}{note}"


def _revoked(title: str, entries: Sequence[RevokedRelease]) -> list[str]:
    if not entries:
        return []
    lines = [f"  release {e.release} ({e.digest[:23]}): {e.reason}" for e in entries]
    return ["", f"{title}:", *lines]
