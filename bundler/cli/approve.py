"""`isoward approve`: one person's signature under one release."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bundle.base.errors import InterruptedByUserError, UsageError
from bundle.base.limits import MAX_MANIFEST_BYTES
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.cli.questions import confirm
from bundle.store.layout import MANIFEST_NAME, BundleDirectory
from bundler.cli.approve_page import page, page_data
from bundler.release.approval import approve, check_ticket
from bundler.release.collect import collect
from bundler.release.review import Review, review

_FILE = click.Path(path_type=Path)


@click.command("approve")
@click.argument("bundle", type=Given("bundle"))
@click.argument("others", type=Given("bundle"), nargs=-1, metavar="[OTHER]...")
@click.option("--key", type=Given("private-key"), metavar="PEM", help="The approver's private key.")
@click.option("--ticket", metavar="TEXT", help="The ticket of the decision, such as CHG-1234.")
@click.option("--collect", "collecting", is_flag=True, help="Collect the approvals from OTHER.")
@click.option(
    "--previous",
    type=_FILE,
    metavar="BUNDLE",
    help="The previous release's bundle, to compare with it here instead of trusting the build.",
)
@passphrase_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@output_options
@pass_output
def command(
    output: Output,
    *,
    bundle: Path,
    others: tuple[Path, ...],
    key: Path | None,
    ticket: str | None,
    collecting: bool,
    previous: Path | None,
    passphrase_fd: int | None,
    yes: bool,
) -> None:
    """Approve the release in BUNDLE, after checking and showing everything that can be checked.

    The page is made from the exact bytes that are signed and from bundle.json; what only the build
    system knows is marked as its claim. The approval goes into the bundle; only bundle.json,
    trust/ and attestations/ are needed for it. Approvers who work apart each approve a copy of
    these files, and --collect merges the approvals from the copies OTHER into BUNDLE.
    """
    directory = BundleDirectory(bundle)
    directory.require()
    now = datetime.now(UTC)
    if collecting:
        _require_no_key(others, key, ticket, previous)
        _collect(output, directory, others, now)
        return
    if key is None or ticket is None or others:
        raise UsageError(
            "expected --key and --ticket and one bundle, or --collect and several",
            "isoward approve BUNDLE --key ada.pem --ticket CHG-1234",
        )
    check_ticket(ticket)
    shown = review(directory, now, _manifest_of(previous))
    output.say(*page(shown, now, compared=previous is not None))
    signer = load_signing_key(output, key, passphrase_fd)
    name = shown.holder_of(signer)
    if signer.public_key.keyid not in shown.approved and not yes:
        output.say("")
        _confirm(name, ticket)
    result, added = approve(directory, shown, signer, ticket=ticket, now=now)
    output.result(
        {**page_data(result), "approver": name, "added": added}, "", _outcome(result, name, added)
    )


def _manifest_of(previous: Path | None) -> bytes | None:
    """Return the bundle.json of the release before; what else its folder holds does not matter."""
    if previous is None:
        return None
    directory = BundleDirectory(previous)
    directory.require()
    return directory.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES)


def _require_no_key(others: tuple[Path, ...], *given: object) -> None:
    if not others or any(value is not None for value in given):
        raise UsageError(
            "--collect expects copies of the release, without --key, --ticket or --previous",
            "isoward approve BUNDLE --collect COPY-OF-ADA COPY-OF-BEN",
        )


def _collect(
    output: Output, bundle: BundleDirectory, others: tuple[Path, ...], now: datetime
) -> None:
    copies = [BundleDirectory(path) for path in others]
    for copy in copies:
        copy.require()
    review(bundle, now)
    result, names = collect(bundle, copies, now)
    what = f"collected the approvals of {', '.join(names)}" if names else "nothing new found"
    data = {**page_data(result), "collected": list(names)}
    output.result(data, *page(result, now), "", f"{what}; {_standing(result)}")


def _confirm(name: str, ticket: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "cannot ask for confirmation without a terminal",
            "Run this on a terminal, or give --yes.",
        )
    if not confirm(f"Approve this release as {name}, ticket {ticket}?"):
        raise InterruptedByUserError("not approved: the answer was no", "Nothing was changed.")


def _outcome(result: Review, name: str, added: bool) -> str:
    what = f"approved by {name}" if added else f"{name} has already approved this: nothing changed"
    return f"{what}; {_standing(result)}"


def _standing(result: Review) -> str:
    if result.missing:
        return f"{result.missing} more approval(s) needed"
    return "the release has all required approvals"
