"""`isoward approve`: one person's signature under one release."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.cli.progress import readable_size
from bundle.cli.questions import confirm
from bundle.model.digest import hex_of
from bundle.model.errors import InterruptedByUserError, UsageError
from bundle.model.progress import counted
from bundle.model.summary import changes_lines, content_counts, provenance_lines
from bundle.store.layout import BundleDirectory
from bundle.trust.approval import approve, check_ticket
from bundle.trust.collect import collect
from bundle.trust.describe import fingerprint_groups
from bundle.trust.review import Review, review

_FILE = click.Path(path_type=Path)


@click.command("approve")
@click.argument("bundle", type=Given("bundle"))
@click.argument("others", type=Given("bundle"), nargs=-1, metavar="[OTHER]...")
@click.option("--key", type=Given("private-key"), metavar="PEM", help="The approver's private key.")
@click.option("--ticket", metavar="TEXT", help="Where this release was decided, such as CHG-1234.")
@click.option("--collect", "collecting", is_flag=True, help="Take over the approvals of OTHER.")
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
    passphrase_fd: int | None,
    yes: bool,
) -> None:
    """Approve the release in BUNDLE, after all that can be checked was checked and shown.

    The approval goes into the bundle; bundle.json, trust/ and attestations/ are all that is needed
    of it. Approvers who work apart each approve a copy of these, and --collect brings the approvals
    of the copies OTHER together in BUNDLE.
    """
    directory = BundleDirectory(bundle)
    directory.require()
    now = datetime.now(UTC)
    if collecting:
        _require_no_key(others, key, ticket)
        _collect(output, directory, others, now)
        return
    if key is None or ticket is None or others:
        raise UsageError(
            "expected --key and --ticket and one bundle, or --collect and several",
            "isoward approve BUNDLE --key ada.pem --ticket CHG-1234",
        )
    check_ticket(ticket)
    shown = review(directory, now)
    output.say(*_page(shown))
    signer = load_signing_key(output, key, passphrase_fd)
    name = shown.holder_of(signer)
    if signer.public_key.keyid not in shown.approved and not yes:
        output.say("")
        _confirm(name, ticket)
    result, added = approve(directory, shown, signer, ticket, now)
    output.result(
        {**_data(result), "approver": name, "added": added}, "", _outcome(result, name, added)
    )


def _require_no_key(others: tuple[Path, ...], key: Path | None, ticket: str | None) -> None:
    if not others or key is not None or ticket is not None:
        raise UsageError(
            "--collect expects copies of the release, and neither --key nor --ticket",
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
    what = f"took over the approvals of {', '.join(names)}" if names else "nothing new was found"
    data = {**_data(result), "collected": list(names)}
    output.result(data, *_page(result), "", f"{what}; {_standing(result)}")


def _confirm(name: str, ticket: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "the approval is confirmed on a terminal, and there is none",
            "Run this on a terminal, or give --yes.",
        )
    if not confirm(f"Approve this release as {name}, by ticket {ticket}?"):
        raise InterruptedByUserError("not approved: the answer was no", "Nothing was changed.")


def _data(seen: Review) -> dict[str, Any]:
    source = seen.builder.provenance.source
    return {
        "name": seen.manifest.metadata.name,
        "version": seen.manifest.metadata.version,
        "digest": seen.manifest_digest,
        "release": seen.release,
        "rootFingerprint": hex_of(seen.root_fingerprint),
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


def _page(seen: Review) -> list[str]:
    manifest = seen.manifest
    blobs = counted(len(manifest.blobs), "blob")
    size = readable_size(manifest.content_bytes)
    first, *others = fingerprint_groups(seen.root_fingerprint)
    titled = [
        ("platforms", ", ".join(manifest.platforms)),
        ("content", f"{content_counts(manifest)}: {blobs} with {size}"),
        ("bundle.json", seen.manifest_digest),
        ("root", first),
        *(("", line) for line in others),
        ("valid until", f"{seen.expires:%Y-%m-%d %H:%M} UTC"),
        *provenance_lines(seen.builder.provenance),
        ("changes", ""),
    ]
    lines = [f"{manifest.metadata.name} {manifest.metadata.version}, release {seen.release}"]
    lines += [f"  {title:<12}  {text}".rstrip() for title, text in titled]
    lines += [f"    {line}" for line in changes_lines(seen.builder.changes)]
    lines += [f"  {title:<12}  {text}".rstrip() for title, text in _approvals(seen)]
    return lines


def _approvals(seen: Review) -> list[tuple[str, str]]:
    count = f"{len(seen.approved)} of the {seen.threshold} that are needed"
    rows = [("approvals", count)]
    rows += [
        ("", f"{given.name}, {given.ticket}, {given.time:%Y-%m-%d %H:%M} UTC")
        for given in seen.approvals
    ]
    rows += [
        ("", f"{seen.approvers[key_id]}: cut short, counts for nothing")
        for key_id in seen.unfinished
    ]
    return rows


def _outcome(result: Review, name: str, added: bool) -> str:
    what = f"approved by {name}" if added else f"{name} has approved this already: nothing changed"
    return f"{what}; {_standing(result)}"


def _standing(result: Review) -> str:
    if result.missing:
        return f"{result.missing} more approval(s) needed"
    return "the release has all the approvals that it needs"
