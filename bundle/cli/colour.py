"""Colour on a terminal, unless NO_COLOR, TERM=dumb or `--no-color` says otherwise.

A line is coloured by how it begins, after everything in it was made visible: what comes from
elsewhere cannot bring a colour of its own.

Source: no-color.org.
"""

from __future__ import annotations

import os
import re
from typing import Final, TextIO

import click

_BEGINNINGS: Final = (
    (re.compile(r"isoward: error:"), "red"),
    (re.compile(r"isoward: (?:note|warning):|NOTICE:"), "yellow"),
    (re.compile(r"\s*(?:ok|done|proven|verified|enrolled|imported|approved)\b"), "green"),
    (re.compile(r"\s*(?:warn|need|not proven)\b"), "yellow"),
    (re.compile(r"\s*(?:fail|failed|NOT)\b"), "red"),
)

_allowed = True


def allow_colour(*, allowed: bool) -> None:
    """Return whether colour may be used from now on, in this process."""
    global _allowed  # noqa: PLW0603 - one process has one terminal
    _allowed = allowed


def wants_colour(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that may be coloured."""
    if not _allowed or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def coloured(line: str) -> str:
    """Colour the beginning of a line by what it says."""
    for pattern, colour in _BEGINNINGS:
        if found := pattern.match(line):
            return click.style(found[0], fg=colour) + line[found.end() :]
    return line
