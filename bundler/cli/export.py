"""`isoward export`: a lock as other tools have it."""

from __future__ import annotations

from pathlib import Path

import click

from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.store.atomic import write_new
from bundler.lock.documents import load_lock

_FILE = click.Path(path_type=Path)


@click.command("export")
@click.argument("lock", type=Given("lock"))
@click.option("--to", "form", type=click.Choice(("images", "hauler")), required=True)
@click.option("-o", "--output", "target", type=_FILE, required=True, help="The file to write.")
@output_options
@pass_output
def command(says: Output, *, lock: Path, form: str, target: Path) -> None:
    """Write LOCK as an images.txt or a Hauler manifest, by digests."""
    from bundler.formats.hauler_export import write_hauler
    from bundler.formats.image_list import left_out_images, write_image_list

    locked = load_lock(lock)
    if form == "hauler":
        text, notes = write_hauler(locked)
    else:
        text, notes = write_image_list(locked.images), left_out_images(locked.images)
    write_new(target, text.encode())
    lines = [f"wrote {target}", *(f"  note: {note}" for note in notes)]
    says.result({"output": str(target), "notes": list(notes)}, *lines)
