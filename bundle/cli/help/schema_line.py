"""The first line of a document, which points editors to its schema if the file exists."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_MARK: Final = "# yaml-language-server: $schema="
_FOLDERS: Final = ("schema", "manifests/schema", "../schema")
"""Where schemas may be, relative to a document: from `isoward schema --write schema`, or ours."""


def schema_line(target: Path, name: str, like: str = "") -> str:
    """Return the line that names the schema of a new document, with its line break.

    Args:
        target: Where the document will be written.
        name: Of the schema, such as lock.
        like: The first line of another document in the same folder, whose schema is there too.
    Returns:
        Empty if there is no schema next to the document: editors report a broken link as an error.
        `isoward schema --write schema` puts the schemas there.
    """
    named = [like.removeprefix(_MARK).strip().rpartition("/")[0]] if like.startswith(_MARK) else []
    for folder in (*named, *_FOLDERS):
        relative = f"{folder}/{name}.json" if folder else f"{name}.json"
        if "://" not in relative and (target.parent / relative).is_file():
            return f"{_MARK}{relative}\n"
    return ""
