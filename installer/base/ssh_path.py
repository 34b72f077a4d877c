"""Paths as ssh reads them in its settings: it has tokens, variables and quotes of its own there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FORBIDDEN: Final = '"\\$'
"""What no version of ssh in use takes in a quoted setting as it is: `${x}` has no escape at all."""


def ssh_path(path: Path) -> str:
    """Return a path as ssh wants it in a setting such as IdentityFile, between double quotes.

    Source: ssh_config(5), "TOKENS": `%h` is a host there, and `%%` a percent sign.
    """
    return str(path).replace("%", "%%")


def ssh_path_problem(path: Path) -> str:
    """Return what ssh could not take in a path; empty where it takes it."""
    text = str(path)
    bad = sorted({letter for letter in text if letter in _FORBIDDEN or not letter.isprintable()})
    return f"{' and '.join(map(repr, bad))} in {text[:300]!r}" if bad else ""
