"""Relative paths: of a definition's own files, and of the files in a tree."""

from __future__ import annotations

from typing import Annotated, Final

from bundle.base.documents import line
from bundle.base.errors import DefinitionError

MAX_PATH: Final = 1024
"""Characters; a quarter of Linux's limit, to leave room for the folder's own path."""

InnerPath = Annotated[str, line(MAX_PATH, 1)]
"""A path below some folder, separated by `/`; see `check_inner_path` for the rules."""


def is_inner_path(text: str) -> bool:
    """Return whether `text` stays below its base folder and is printable."""
    parts = text.split("/")
    plain = text.isprintable() and "\\" not in text
    return plain and 0 < len(text) <= MAX_PATH and {"", ".", ".."}.isdisjoint(parts)


def check_inner_path(text: str, where: str) -> None:
    """Check a path that must stay below its base folder.

    Args:
        text: Untrusted.
        where: The place in the document, for the message.
    Raises:
        DefinitionError: It is absolute, contains `.` or `..`, or has unprintable characters.
    """
    if not is_inner_path(text):
        raise DefinitionError(
            f"{where}: {text[:200]!r} is not a path below a folder",
            "Write it as folder/file, relative, without '.', '..' or backslashes.",
        )
