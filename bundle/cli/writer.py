"""The only place that writes to a terminal, a pipe or a log: complete lines, made visible.

Callers pass lines, never text with line breaks, so that untrusted content stays within its line.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final, TextIO, TypeAlias

import click

from bundle.base.plain import visible
from bundle.cli.colour import coloured, wants_colour

Lines: TypeAlias = list[str] | tuple[str, ...]
"""Of a page; a line break within one is shown, and breaks nothing. No single text is meant."""

_DELETE: Final = ("\x7f", "\\u007f")


def write_lines(lines: Lines, *, err: bool = False) -> None:
    """Write lines to standard output, or to standard error."""
    if lines:
        write_to(sys.stderr if err else sys.stdout, lines)


def write_to(stream: TextIO, lines: Lines) -> None:
    """Write lines to a stream; what its encoding cannot say is written out."""
    shown = [visible(line) for line in lines]
    if wants_colour(stream):
        shown = [coloured(line) for line in shown]
    text = "".join(f"{line}\n" for line in shown)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    _put(stream, text)


def write_json(data: Mapping[str, Any]) -> None:
    """Write a document to standard output, in ASCII and without one control character."""
    # JSON itself lets DEL stand.
    _put(sys.stdout, json.dumps(data, indent=2, ensure_ascii=True).replace(*_DELETE) + "\n")


def _put(stream: TextIO, text: str) -> None:
    try:
        # Whether there is colour was decided before.
        click.echo(text, file=stream, nl=False, color=True)
    except OSError as error:
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            raise
        # The reader is gone, as with `head`, or a log's disk is full. The command continues and
        # ends as it would have: a pager or a log does not stop an installation, and a failed
        # check is not mistaken for a successful one.
        _let_go(stream)


def write_traceback(error: BaseException) -> None:
    """Write an error's traceback, each line marked as part of it."""
    lines = "".join(traceback.format_exception(error)).rstrip().split("\n")
    write_lines([f"  | {line}" for line in lines], err=True)


def flush_output() -> None:
    """Write what is still buffered, so that a full disk is reported."""
    if sys.stdout is not None:
        sys.stdout.flush()


def discard_output() -> None:
    """Discard what is still buffered, so that Python's own exit does not complain about it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            _let_go(stream)


def _let_go(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def open_closed_streams() -> None:
    """Open onto nothing what the caller closed of standard input, output and error.

    Otherwise the first file of ours would get the free number, and what a program that we start
    says there would end in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere == number:
                os.set_inheritable(number, True)
            else:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
