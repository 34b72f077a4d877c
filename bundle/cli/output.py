"""What commands print: a result on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from bundle.base.errors import IsowardError
from bundle.base.progress import NO_PROGRESS, Progress
from bundle.cli.colour import allow_colour
from bundle.cli.progress_bar import LineProgress, TerminalProgress
from bundle.cli.writer import write_json, write_lines

F = TypeVar("F", bound=Callable[..., Any])
JSON_FLAG: Final = "--json"


class Output:
    """Where a command writes."""

    def __init__(self) -> None:
        """Start without options: `--json` is known when the command runs."""
        self.as_json = False
        self.quiet = False

    @property
    def progress(self) -> Progress:
        """A bar on a terminal, otherwise plain lines; on standard error, so `--json` pipes."""
        if self.quiet:
            return NO_PROGRESS
        if sys.stderr.isatty():
            return TerminalProgress()
        return LineProgress(sys.stderr, time.monotonic)

    def result(self, data: Mapping[str, Any], *lines: str) -> None:
        """Print the command's result.

        Args:
            data: For `--json`.
            lines: For a person.
        """
        if self.as_json:
            write_json(data)
        else:
            write_lines(lines)

    def say(self, *lines: str) -> None:
        """Print information on the way; silent with `--json` and `--quiet`."""
        if not self.as_json and not self.quiet:
            write_lines(lines)

    def warn(self, line: str) -> None:
        """Print a note on standard error, also with `--json`."""
        write_lines([f"isoward: note: {line}"], err=True)


def output_options(function: F) -> F:
    """Add `--json`, `--quiet` and `--no-color`; `Output` gets their values, the function does not.

    Args:
        function: A command.
    """
    for name, option in reversed(_OPTIONS.items()):
        function = option(name)(function)
    return function


def _flag(text: str, remember: Callable[[Output], None]) -> Callable[[str], Callable[[F], F]]:
    def called(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            remember(ctx.ensure_object(Output))

    def named(name: str) -> Callable[[F], F]:
        return click.option(
            name, is_flag=True, expose_value=False, callback=called, is_eager=True, help=text
        )

    return named


def _set_json(output: Output) -> None:
    output.as_json = True


def _set_quiet(output: Output) -> None:
    output.quiet = True


def _set_colourless(_: Output) -> None:
    allow_colour(allowed=False)


_OPTIONS: Final = {
    JSON_FLAG: _flag("Print the result as JSON.", _set_json),
    "--quiet": _flag("Print the result and errors only.", _set_quiet),
    "--no-color": _flag(
        "Print without color, like NO_COLOR.", lambda _: allow_colour(allowed=False)
    ),
}

pass_output = click.make_pass_decorator(Output, ensure=True)
"""Gives a command its `Output` as the first argument."""


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether `--json` is among the arguments, for errors before parsing has finished."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return JSON_FLAG in options


def report_error(error: IsowardError, *, as_json: bool) -> None:
    """Print an error: the message and what to do next.

    A result is never partial: with `--json` the error object is all of standard output.
    """
    if as_json:
        data: dict[str, Any] = {
            "error": error.id,
            "exitCode": error.exit_code,
            "message": error.message,
            "hint": error.hint,
            "context": error.context,
            **({"details": list(error.details)} if error.details else {}),
        }
        if error.problems:
            data["problems"] = [problem.data() for problem in error.problems]
        write_json(data)
        return
    details = [f"  {line}" for line in error.details]
    write_lines([f"isoward: error: {error.message}", *details], err=True)
    if error.hint:
        write_lines([f"  {error.hint}"], err=True)
    for problem in error.problems[1:]:
        write_lines([f"isoward: also {problem.placed}", f"  {problem.hint}"], err=True)
