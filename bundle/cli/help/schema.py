"""`isoward schema`: the JSON Schemas of hand-written documents, for editors."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import click

from bundle.base.errors import UsageError
from bundle.cli.endings import closest
from bundle.cli.output import Output, output_options, pass_output
from bundle.store.atomic import make_directory, write_atomic


@click.command("schema")
@click.argument("name", required=False)
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write all schemas to a folder, for the `$schema` lines of documents next to it.",
)
@output_options
@pass_output
def command(output: Output, name: str | None, folder: Path | None) -> None:
    """Print the JSON Schema of the document NAME, or list all schemas.

    An editor checks a document whose first line names its schema, once `isoward schema --write
    schema` has put it there: # yaml-language-server: $schema=schema/definition.json
    """
    known = {
        entry.name.removesuffix(".json"): entry.read_text(encoding="utf-8")
        for entry in sorted((files("manifests") / "schema").iterdir(), key=lambda one: one.name)
        if entry.name.endswith(".json")
    }
    if folder is not None:
        make_directory(folder)
        for found, text in known.items():
            write_atomic(folder / f"{found}.json", text.encode())
        written = [str(folder / f"{found}.json") for found in known]
        output.result({"written": written}, *(f"wrote {path}" for path in written))
        return
    if name is None:
        output.result({"schemas": list(known)}, *known)
        return
    wanted = name.removesuffix(".json")
    if wanted not in known:
        meant = closest(wanted, list(known))
        raise UsageError(
            f"unknown schema {name!r}",
            f"{f'Did you mean {meant}? ' if meant else ''}`isoward schema` lists all schemas.",
        )
    output.result(json.loads(known[wanted]), *known[wanted].splitlines())
