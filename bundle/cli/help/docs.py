"""`isoward docs`: the documentation of this version, for a machine without a network."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

import click

from bundle.base.errors import UsageError
from bundle.cli.endings import closest
from bundle.cli.output import Output, output_options, pass_output

_ENDING = ".md"


@click.command("docs")
@click.argument("name", required=False)
@output_options
@pass_output
def command(output: Output, name: str | None) -> None:
    """Print the document NAME, or list all documents."""
    known = dict(_documents(files("bundle") / "docs", ""))
    if name is None:
        titles = {found: _title(document) for found, document in known.items()}
        width = max(map(len, titles))
        output.result(
            {"documents": titles},
            *(f"{found:<{width}}  {title}" for found, title in titles.items()),
        )
        return
    wanted = name.lower().removesuffix(_ENDING)
    if wanted not in known:
        meant = closest(wanted, list(known))
        raise UsageError(
            f"unknown document {name!r}",
            f"{f'Did you mean {meant}? ' if meant else ''}`isoward docs` lists all documents.",
        )
    text = known[wanted].read_text(encoding="utf-8")
    output.result({"name": wanted, "text": text}, *text.splitlines())


def _documents(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: (one.is_dir(), one.name.lower())):
        if entry.is_dir():
            found += _documents(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(_ENDING):
            found.append((f"{prefix}{entry.name.removesuffix(_ENDING)}".lower(), entry))
    return found


def _title(document: Traversable) -> str:
    with document.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()
