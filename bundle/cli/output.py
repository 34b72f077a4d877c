"""What commands say: a result on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from bundle.cli.progress import LineProgress, TerminalProgress
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

    def result(self, data: Mapping[str, Any], text: str) -> None:
        """Say the command's result.

        Args:
            data: For `--json`.
            text: For a person; without a final newline.
        """
        click.echo(json.dumps(data, indent=2, ensure_ascii=False) if self.as_json else text)

    def say(self, text: str) -> None:
        """Say something to a person on the way; silent with `--json`."""
        if not self.as_json:
            click.echo(text)

    def warn(self, text: str) -> None:
        """Say something on standard error, also with `--json`."""
        click.echo(f"isoward: note: {text}", err=True)


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
        data = {
            "error": error.id,
            "exitCode": error.exit_code,
            "message": error.message,
            "hint": error.hint,
            "context": error.context,
        }
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    click.echo(f"isoward: error: {error.message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
