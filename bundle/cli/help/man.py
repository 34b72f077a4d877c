"""`isoward man`: manual pages, generated from the commands themselves.

Source: man-pages(7), groff_man(7).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

from bundle.base.errors import UsageError
from bundle.cli.commands import COMMANDS, GROUPS
from bundle.cli.endings import closest
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.roles import require_role
from bundle.store.atomic import make_directory, write_atomic


@click.command("man")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the pages of all commands into a folder, such as /usr/local/share/man/man1.",
)
@output_options
@pass_output
@click.pass_context
def command(
    ctx: click.Context, output: Output, words: tuple[str, ...], folder: Path | None
) -> None:
    """Print the manual page of a command, such as `isoward man keys new`, for `man -l -`.

    Without a command, print the page of isoward itself.
    """
    root = ctx.find_root().command
    if folder is not None:
        make_directory(folder)
        written = []
        for path, found in _all(root):
            name = "-".join(("isoward", *path))
            write_atomic(folder / f"{name}.1", (page(path, found) + "\n").encode())
            written.append(str(folder / f"{name}.1"))
        output.result({"written": written}, *(f"wrote {path}" for path in written))
        return
    text = page(words, _find(root, words))
    output.result({"page": text}, *text.split("\n"))


def _find(root: click.Command, words: tuple[str, ...]) -> click.Command:
    found = root
    for i, word in enumerate(words):
        context = click.Context(found, info_name="isoward")
        inner = found.get_command(context, word) if isinstance(found, click.Group) else None
        if inner is None:
            before = " ".join(("isoward", *words[:i]))
            names = found.list_commands(context) if isinstance(found, click.Group) else []
            meant = closest(word, names)
            raise UsageError(
                f"unknown command: {before} {word}",
                f"{f'Did you mean `{before} {meant}`? ' if meant else ''}"
                "`isoward --help` lists all commands.",
            )
        found = inner
    return found


def _all(root: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield isoward itself and every command whose role is installed here."""
    yield (), root
    for name in COMMANDS:
        try:
            require_role(name)
            found: click.Command = importlib.import_module(COMMANDS[name].module).command
        except (UsageError, ModuleNotFoundError):
            continue
        yield (name,), found
        if isinstance(found, click.Group):
            for inner, sub in sorted(found.commands.items()):
                yield (name, inner), sub


def page(words: tuple[str, ...], found: click.Command) -> str:
    """Return the manual page of a command.

    Args:
        words: Its name below `isoward`; none for isoward itself.
        found: The command.
    """
    name = " ".join(("isoward", *words))
    context = click.Context(found, info_name=name)
    lines = [f'.TH "{name.replace(" ", "-").upper()}" 1 "" "isoward {version("isoward")}"']
    summary = found.get_short_help_str(200).rstrip(".")
    lines += [".SH NAME", f"{_text(name.replace(' ', '-'))} \\- {_text(summary)}"]
    usage = " ".join(found.collect_usage_pieces(context))
    lines += [".SH SYNOPSIS", f".B {_text(name)}", _text(usage)]
    lines += [".SH DESCRIPTION", *_paragraphs(found.help or "")]
    lines += [".SH OPTIONS", *_options(found, context)]
    if not words:
        for role, group in GROUPS.items():
            listed = [(inner, said.summary) for inner, said in group.items()]
            lines += [f'.SH "COMMANDS: {role.upper()}"', *_list(listed)]
    elif isinstance(found, click.Group):
        listed = [(n, c.get_short_help_str(200)) for n, c in sorted(found.commands.items())]
        lines += [".SH COMMANDS", *_list(listed)]
    lines += [".SH EXIT STATUS"]
    lines += ["0 on success; all other codes are listed by", '.B "isoward docs exit_codes".']
    return "\n".join(lines)


def _options(found: click.Command, context: click.Context) -> list[str]:
    records = (parameter.get_help_record(context) for parameter in found.get_params(context))
    return list(_list([record for record in records if record is not None]))


def _list(entries: list[tuple[str, str]]) -> Iterator[str]:
    for term, text in entries:
        yield ".TP"
        yield f".B {_text(term)}"
        yield _text(text) or "\\&"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.strip().split("\n\n"):
        yield ".PP"
        yield _text(" ".join(paragraph.replace("\b", "").split()))


def _text(text: str) -> str:
    """Escape what troff takes for its own."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
