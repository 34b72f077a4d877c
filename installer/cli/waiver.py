"""`isoward waiver`: the site lets one expired bundle in, for an emergency, by two persons."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bundle.cli.depots import depot_option
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.store.atomic import require_new, write_new
from bundle.store.layout import BundleDirectory
from bundle.trust.site.authority import load_authority
from bundle.trust.site.state import STATES, find_state, load_states
from bundle.trust.site.statement import MAX_LIFETIME_DAYS, look_at, read_statement
from bundle.trust.site.waiver import KIND, WaiverRequest, draft_waiver
from bundle.trust.verify.verification import examine_expired
from installer.cli.statements import common_facts, common_lines, signed_facts, signed_lines

_PATH = click.Path(path_type=Path)


@click.group("waiver")
@output_options
def command() -> None:
    """Let one expired bundle in, signed by the site's own threshold of keys."""


@command.command("new")
@click.argument("bundle", type=Given("bundle"))
@depot_option()
@click.option("--reason", required=True, metavar="TEXT", help="Why the bundle is needed now.")
@click.option("--ticket", required=True, metavar="ID", help="Where the decision is recorded.")
@click.option(
    "--days",
    type=click.IntRange(1, MAX_LIFETIME_DAYS),
    required=True,
    help="How many days it is valid.",
)
@click.option("-o", "--output", "file", type=_PATH, required=True, help="The new file.")
@output_options
@pass_output
def new(
    output: Output,
    *,
    bundle: Path,
    depot: Path,
    reason: str,
    ticket: str,
    days: int,
    file: Path,
) -> None:
    """Draft a waiver of expiry for the BUNDLE.

    Its metadata has expired, and all else is well with it.
    """
    directory = BundleDirectory(bundle)
    directory.require()
    require_new(file)
    now = datetime.now(UTC)
    expired = examine_expired(directory, find_state(directory, load_states(depot / STATES)), now)
    authority = load_authority(depot / STATES)
    data = draft_waiver(expired, authority, WaiverRequest(reason, ticket, days), now)
    write_new(file, data)
    facts, lines = _look(file, data)
    output.result(facts, f"made {file}; it needs its signatures: isoward waiver sign", *lines)


@command.command("sign")
@click.argument("file", type=Given(foreign="a waiver"))
@click.option(
    "--key", type=Given("private-key"), required=True, metavar="PEM", help="One of the site's keys."
)
@passphrase_option
@output_options
@pass_output
def sign(output: Output, file: Path, key: Path, passphrase_fd: int | None) -> None:
    """Sign the waiver in FILE.

    Read it first with `isoward waiver show`.
    """
    facts, lines = _look(file, read_statement(file))
    output.say(*lines)
    signed = signed_facts(file, KIND, load_signing_key(output, key, passphrase_fd))
    output.result({**facts, **signed}, *signed_lines(signed))


@command.command("show")
@click.argument("file", type=Given(foreign="a waiver"))
@output_options
@pass_output
def show(output: Output, file: Path) -> None:
    """Show what the waiver in FILE says.

    Its signatures are verified by `isoward import`.
    """
    facts, lines = _look(file, read_statement(file))
    output.result(facts, *lines)


def _look(file: Path, data: bytes) -> tuple[dict[str, Any], list[str]]:
    predicate, digest, signed = look_at(data, KIND, str(file))
    files = [
        {"file": entry.file, "expired": entry.expired.isoformat()} for entry in predicate.files
    ]
    facts = {
        "bundle": digest,
        "name": predicate.name,
        "version": predicate.version,
        "release": predicate.release,
        "root": predicate.root,
        "waives": predicate.waives,
        "files": files,
        "ticket": predicate.ticket,
        **common_facts(predicate, signed),
    }
    name = f"{predicate.name} {predicate.version}, release {predicate.release}"
    lines = [
        f"a waiver of the expiry of {name}",
        f"  bundle.json  {digest}",
        f"  root         {predicate.root}",
        *(
            f"  {predicate.waives:<12} {e.file}, {e.expired:%Y-%m-%d %H:%M:%S} UTC"
            for e in predicate.files
        ),
        f"  ticket       {predicate.ticket}",
        *common_lines(predicate, signed),
    ]
    return facts, lines
