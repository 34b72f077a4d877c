"""`isoward sign`: a root key holder signs a request on an own machine, also without a network."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bundle.base.digest import digest_of
from bundle.base.errors import InterruptedByUserError, TrustError, UsageError
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.cli.questions import confirm
from bundle.store.atomic import write_atomic
from bundle.trust.metadata.fingerprint import parse_fingerprint
from bundler.cli.root_change import told_data
from bundler.root.draft import Pending, signer_name, with_signature
from bundler.root.explain import MEANING, counts_for, explain, page
from bundler.root.request import check_unexpired_draft, read_request, write_request

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("sign")
@click.argument("request", metavar="FILE", type=Given("request"))
@click.option(
    "--key",
    type=Given("private-key"),
    required=True,
    metavar="KEY",
    help="Your private key, or its reference.",
)
@click.option(
    "-o",
    "--output",
    "path",
    type=_FILE,
    metavar="FILE",
    help="Where to write the signed request; by default to FILE.",
)
@click.option(
    "--present",
    metavar="FINGERPRINT",
    help="The present root's fingerprint that you know; any other is refused.",
)
@passphrase_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@output_options
@pass_output
def command(
    output: Output,
    request: Path,
    *,
    key: Path,
    path: Path | None,
    present: str | None,
    passphrase_fd: int | None,
    yes: bool,
) -> None:
    """Sign the root in FILE, a request from `isoward root request`, after explaining it.

    Send the signed file back; the requester merges it with `isoward root collect`. Works offline.
    """
    pending = read_request(request)
    _check_present(pending, present)
    check_unexpired_draft(pending, datetime.now(UTC))
    told = explain(pending)
    output.say(*page(told), "", *MEANING, "")
    signer = load_signing_key(output, key, passphrase_fd)
    name = signer_name(pending, signer)
    key_id = signer.public_key.keyid
    added = key_id not in pending.draft.signatures
    if added and not yes:
        _confirm(name)
    signed = with_signature(pending, signer)
    where = path or request
    write_atomic(where, write_request(signed))
    data = {**told_data(explain(signed)), "signer": name, "added": added, "file": str(where)}
    counts = " and for ".join(counts_for(signed, key_id))
    what = f"signed as {name}" if added else f"already signed by {name}; nothing added"
    output.result(
        data,
        f"{what}; it counts for {counts}",
        f"Send {where} back to the person who asked.",
    )


def _check_present(pending: Pending, expected: str | None) -> None:
    if expected is None:
        return
    wanted = parse_fingerprint(expected)
    found = digest_of(pending.previous_data) if pending.previous else "none"
    if found != wanted:
        raise TrustError(
            f"the present root in the request has the fingerprint {found}, expected {wanted}",
            "Do not sign; ask the person who sent it, by phone.",
            {"expected": wanted, "found": found},
        )


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            "cannot ask for confirmation without a terminal",
            "Run this on a terminal, or give --yes.",
        )
    if not confirm(f"Sign this root as {name}?"):
        raise InterruptedByUserError("not signed: the answer was no", "Nothing was changed.")
