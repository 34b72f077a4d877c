"""`isoward import`: a verified bundle goes into the depot."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click
import msgspec

from bundle.checks.damage import told
from bundle.cli.depots import depot_option
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.progress_bar import readable_size
from bundle.store.leftovers import shown_leftovers
from installer.depot.importer import ImportOutcome, import_bundle

_PATH = click.Path(path_type=Path)


@click.command("import")
@click.argument("bundle", type=Given("bundle"))
@depot_option()
@click.option(
    "--waiver",
    type=Given(foreign="a waiver"),
    metavar="FILE",
    help="The site's signed waiver, for an expired bundle.",
)
@output_options
@pass_output
def command(output: Output, bundle: Path, depot: Path, waiver: Path | None) -> None:
    """Verify the BUNDLE and put it into the depot.

    Trust is checked first, by the root that was enrolled with `isoward enroll`; then every byte
    is read once. Stopped at any moment and run again, it goes on where it was.
    """
    outcome = import_bundle(
        bundle, depot, lambda: dt.datetime.now(dt.UTC), output.progress, waiver=waiver
    )
    output.result(_facts(outcome), *_page(outcome))


def _facts(outcome: ImportOutcome) -> dict[str, Any]:
    record = outcome.record
    return {
        "imported": not outcome.already,
        "already": outcome.already,
        "name": record.metadata.name,
        "version": record.metadata.version,
        "digest": record.digest,
        "release": record.release,
        "sequence": record.sequence,
        "when": record.when,
        "expires": outcome.expires.isoformat(),
        "waiver": msgspec.to_builtins(record.waiver),
        "notices": list(outcome.notices),
        "signers": [
            {"role": signer.role, "name": signer.name, "keyId": signer.key_id}
            for signer in record.signers
        ],
        "blobs": record.blobs,
        "bytes": record.size,
        "newBlobs": record.new_blobs,
        "newBytes": record.new_size,
        "healed": [
            {"digest": digest, "of": list(names)} for digest, names in outcome.healed.items()
        ],
        "passedOver": list(outcome.leftovers),
        "ways": {
            way.value: count
            for way, count in sorted(outcome.ways.items(), key=lambda item: item[0].value)
        },
    }


def _page(outcome: ImportOutcome) -> list[str]:
    record = outcome.record
    name = f"{record.metadata.name} {record.metadata.version}, release {record.release}"
    approvers = ", ".join(s.name for s in record.signers if s.role == "targets")
    ways = ", ".join(f"{count} {way.value}" for way, count in outcome.ways.items())
    if outcome.already:
        first = f"already imported on {record.when}, and verified again: {name}"
        content = f"{record.blobs} blobs with {readable_size(record.size)}"
        content += f"; restored: {ways}" if ways else ""
    else:
        first = f"imported: {name}"
        content = (
            f"{record.blobs} blobs with {readable_size(record.size)}; new to the depot:"
            f" {record.new_blobs} with {readable_size(record.new_size)}"
        )
        content += f" ({ways})" if ways else ""
    healed = [
        f"  restored     {digest}, whose copy in the depot was damaged: {told(names)}"
        for digest, names in outcome.healed.items()
    ]
    left = shown_leftovers(outcome.leftovers)
    passed = [f"  skipped      {left}: left by another system, not read"] if left else []
    return [
        first,
        f"  bundle.json  {record.digest}",
        f"  approved by  {approvers}",
        f"  content      {content}",
        *healed,
        *passed,
        *(f"NOTICE: {line}" for line in outcome.notices),
    ]
