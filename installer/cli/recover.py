"""`isoward recover`: a lost or damaged record of the site comes back, by two persons."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import UsageError
from bundle.cli.depots import depot_option
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.store.atomic import require_new, write_new
from bundle.trust.metadata.fingerprint import parse_fingerprint
from bundle.trust.site.statement import look_at, read_statement
from installer.cli.statements import common_facts, common_lines, signed_facts, signed_lines
from installer.enrollment.recovery import KIND, RecoveryRequest, apply_recovery, draft_recovery

_PATH = click.Path(path_type=Path)


@click.group("recover", invoke_without_command=True)
@depot_option("The depot whose record is lost or damaged.")
@click.option("--fingerprint", metavar="HEX", help="Of the enrolled root, from the vendor.")
@click.option(
    "--floor",
    type=click.IntRange(min=1),
    metavar="RELEASE",
    help="The oldest release to accept from now on: the newest ever imported here.",
)
@click.option(
    "--lower-clock",
    is_flag=True,
    help="Lower the time that the site has seen to now, where a clock was ahead; no --floor then.",
)
@click.option("--reason", metavar="TEXT", help="What happened.")
@click.option(
    "--root",
    type=Given("bundle", "root"),
    metavar="PATH",
    help="A bundle or root file, if the depot has no root.",
)
@click.option("-o", "--output", "file", type=_PATH, help="The new file to sign.")
@output_options
@pass_output
@click.pass_context
def command(
    ctx: click.Context,
    output: Output,
    *,
    depot: Path,
    fingerprint: str | None,
    floor: int | None,
    lower_clock: bool,
    reason: str | None,
    root: Path | None,
    file: Path | None,
) -> None:
    """Make a request to recover a lost or damaged record of what this site has seen.

    Two persons sign it with `isoward recover sign`; then `isoward recover apply` rebuilds it.
    """
    if ctx.invoked_subcommand is not None:
        return
    if floor is None and lower_clock:
        # The record is whole, and so is what it knows of releases.
        floor = 1
    if fingerprint is None or floor is None or reason is None or file is None:
        raise UsageError(
            "expected --fingerprint, --floor, --reason and --output, found fewer",
            "docs/runbooks/recovery.md says where each comes from.",
        )
    require_new(file)
    data = draft_recovery(
        depot,
        RecoveryRequest(
            parse_fingerprint(fingerprint), floor=floor, reason=reason, lower_clock=lower_clock
        ),
        datetime.now(UTC),
        root,
    )
    write_new(file, data)
    facts, lines = _look(file, data)
    output.result(facts, f"made {file}; it needs its signatures: isoward recover sign", *lines)


@command.command("sign")
@click.argument("file", type=Given(foreign="a recovery"))
@click.option(
    "--key", type=Given("private-key"), required=True, metavar="PEM", help="One of the site's keys."
)
@passphrase_option
@output_options
@pass_output
def sign(output: Output, file: Path, key: Path, passphrase_fd: int | None) -> None:
    """Sign the recovery in FILE, after it was shown."""
    facts, lines = _look(file, read_statement(file))
    output.say(*lines)
    signed = signed_facts(file, KIND, load_signing_key(output, key, passphrase_fd))
    output.result({**facts, **signed}, *signed_lines(signed))


@command.command("show")
@click.argument("file", type=Given(foreign="a recovery"))
@output_options
@pass_output
def show(output: Output, file: Path) -> None:
    """Show what the recovery in FILE says.

    Its signatures are verified by `isoward recover apply`.
    """
    facts, lines = _look(file, read_statement(file))
    output.result(facts, *lines)


@command.command("apply")
@click.argument("file", type=Given(foreign="a recovery"))
@depot_option()
@output_options
@pass_output
def apply(output: Output, file: Path, depot: Path) -> None:
    """Rebuild the record as the signed FILE says.

    Enough of the site's keys must have signed it.
    """
    done = apply_recovery(depot, read_statement(file), datetime.now(UTC), str(file))
    record = done.record
    facts = {
        "recovered": True,
        "fingerprint": hex_of(record.fingerprint),
        "floor": record.floor,
        "signers": list(record.signers),
        "problem": record.problem,
        "accepted": done.accepted,
        "leftOut": list(done.left_out),
        "record": str(done.path),
    }
    lines = [
        f"recovered: the record of the root {hex_of(record.fingerprint)}",
        f"  signed by    {', '.join(record.signers)}",
        f"  from now on  release {record.floor} or newer",
        f"  accepted     {done.accepted} bundle(s) of the depot, as before",
        f"  recorded in  {done.path}",
    ]
    lines += [
        f"NOTICE: bundles/{name[:16]}... no longer verifies; import it again"
        for name in done.left_out
    ]
    output.result(facts, *lines)


def _look(file: Path, data: bytes) -> tuple[dict[str, Any], list[str]]:
    predicate, fingerprint, signed = look_at(data, KIND, str(file))
    facts = {
        "fingerprint": hex_of(fingerprint),
        "floor": predicate.floor,
        "lastSeen": predicate.last_seen.isoformat() if predicate.last_seen else None,
        "roots": len(predicate.roots),
        **common_facts(predicate, signed),
    }
    lines = [
        "a recovery of what the site has seen",
        f"  root         {hex_of(fingerprint)}",
        f"  floor        release {predicate.floor}: nothing older may come in again",
        *_about_time(predicate.last_seen),
        f"  root chain   {len(predicate.roots)} version(s) known, by their fingerprints",
        *(f"               {hex_of(digest_of(root.encode()))}" for root in predicate.roots),
        *common_lines(predicate, signed),
    ]
    return facts, lines


def _about_time(lowered: datetime | None) -> list[str]:
    if lowered is None:
        return []
    return [
        f"  time         what was seen is lowered to {lowered:%Y-%m-%d %H:%M:%S} UTC:",
        "               compare it with a calendar and a clock that you trust",
    ]
