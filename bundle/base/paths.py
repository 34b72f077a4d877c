"""Paths within a folder: of a definition's own files, and of what a tree holds."""

from __future__ import annotations

from typing import Annotated, Final

from bundle.base.documents import line
from bundle.base.errors import DefinitionError

MAX_PATH: Final = 1024
"""Characters; a quarter of what Linux takes, so that a folder's own path still fits before it."""

InnerPath = Annotated[str, line(MAX_PATH, 1)]
"""A path below some folder, with `/` between its parts; `check_inner_path` says the rest."""


def is_inner_path(text: str) -> bool:
    """Say whether `text` stays below the folder that it is relative to, and can be shown."""
    parts = text.split("/")
    plain = text.isprintable() and "\\" not in text
    return plain and 0 < len(text) <= MAX_PATH and {"", ".", ".."}.isdisjoint(parts)


def check_inner_path(text: str, where: str) -> None:
    """Check a path that must stay below the folder that it is relative to.

    Args:
        text: Untrusted.
        where: The place in the document, for the message.
    Raises:
        DefinitionError: It is absolute, has `.` or `..` in it, or characters that cannot be shown.
    """
    if not is_inner_path(text):
        raise DefinitionError(
            f"{where}: {text[:200]!r} is not a path below a folder",
            "Write it as folder/file, relative, without '.', '..' and backslashes.",
        )
