"""Runs on a node: reading files and running programs that may not be there."""

from __future__ import annotations

import subprocess
from pathlib import Path

MOST_BYTES = 4 * 1024 * 1024
MOST_ENTRIES = 40
_PIECE = 64 * 1024
_PROGRAM_SECONDS = 8
NO_PROGRAM = 127


def read(path: str) -> str:
    """Return a file's text, or nothing when it cannot be read."""
    try:
        with Path(path).open("rb", buffering=0) as file:
            data = b""
            # In pieces: what is below /proc/sys refuses to be read by megabytes.
            while len(data) < MOST_BYTES and (piece := file.read(_PIECE)):
                data += piece
    except OSError:
        return ""
    return data.decode("utf-8", "replace")


def names_in(folder: str) -> list[str]:
    """Return the names in a folder, sorted; none when it cannot be read."""
    try:
        return sorted(path.name for path in Path(folder).iterdir())
    except OSError:
        return []


def said_by(*argv: str) -> tuple[int, str]:
    """Run a program; return how it ended and its output."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PROGRAM_SECONDS,
            check=False,
        )
    except OSError:
        return NO_PROGRAM, ""
    except subprocess.TimeoutExpired:
        return 124, ""
    return done.returncode, done.stdout[:MOST_BYTES].decode("utf-8", "replace")
