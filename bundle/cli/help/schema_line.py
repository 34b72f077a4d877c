"""The first line of a document, which tells editors its schema; only where that leads somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_MARK: Final = "# yaml-language-server: $schema="
_FOLDERS: Final = ("schema", "manifests/schema", "../schema")
"""Where schemas lie beside a document: what `isoward schema --write schema` makes, and ours."""


def schema_line(target: Path, name: str, like: str = "") -> str:
    """Return the line that names the schema of a new document, with its line break.

    Args:
        target: Where the document will be written.
        name: Of the schema, such as lock.
        like: The first line of another document in the same folder, whose schema lies there too.
    Returns:
        An empty text where no such schema lies beside the document: a line that leads nowhere is an
        error in every editor. `isoward schema --write schema` puts them there.
    """
    named = [like.removeprefix(_MARK).strip().rpartition("/")[0]] if like.startswith(_MARK) else []
    for folder in (*named, *_FOLDERS):
        relative = f"{folder}/{name}.json" if folder else f"{name}.json"
        if "://" not in relative and (target.parent / relative).is_file():
            return f"{_MARK}{relative}\n"
    return ""
