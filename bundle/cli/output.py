"""What commands say: a result on standard output, progress and errors on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from bundle.cli.progress import LineProgress, TerminalProgress
from bundle.cli.writer import write_json, write_lines
from bundle.model.errors import IsowardError
from bundle.model.progress import Progress

F = TypeVar("F", bound=Callable[..., Any])
JSON_FLAG: Final = "--json"


class Output:
    """Where a command writes."""

    def __init__(self) -> None:
        """Choose nothing yet: `--json` is known when the command runs."""
        self.as_json = False

    @property
    def progress(self) -> Progress:
        """A bar on a terminal, plain lines elsewhere; on standard error, so that `--json` pipes."""
        if sys.stderr.isatty():
            return TerminalProgress()
        return LineProgress(sys.stderr, time.monotonic)

    def result(self, data: Mapping[str, Any], *lines: str) -> None:
        """Say the command's result.

        Args:
            data: For `--json`.
            lines: For a person.
        """
        if self.as_json:
            write_json(data)
        else:
            write_lines(lines)

    def say(self, *lines: str) -> None:
        """Say something to a person on the way; silent with `--json`."""
        if not self.as_json:
            write_lines(lines)

    def warn(self, line: str) -> None:
        """Say something on standard error, also with `--json`."""
        write_lines([f"isoward: note: {line}"], err=True)


def json_option(function: F) -> F:
    """Add `--json` to a command; its function does not get the value, `Output` does."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.ensure_object(Output).as_json = value
        return value

    return click.option(
        JSON_FLAG,
        is_flag=True,
        expose_value=False,
        callback=remember,
        is_eager=True,
        help="Print the result as JSON.",
    )(function)


pass_output = click.make_pass_decorator(Output, ensure=True)
"""Gives a command its `Output` as the first argument."""


def wants_json(arguments: Sequence[str]) -> bool:
    """Say whether `--json` is among the arguments, for errors that come before parsing ends."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return JSON_FLAG in options


def report_error(error: IsowardError, *, as_json: bool) -> None:
    """Say an error: one message and what to do next.

    A result is never half written: with `--json` the error object is the whole of standard output.
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
