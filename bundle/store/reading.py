"""Reading a file that somebody named: bounded, and with an error of ours."""

from __future__ import annotations

from pathlib import Path

from bundle.base.root_error import IsowardError
from bundle.store.atomic import storage_errors


def read_bounded(path: Path, limit: int, larger: IsowardError | None = None) -> bytes:
    """Read a file, and of a large one at most a byte more than `limit`.

    Args:
        path: It is followed where it is a link.
        limit: In bytes.
        larger: Raised where the file has more; left out, whoever parses it says so.
    Raises:
        StorageError: It cannot be read.
    """
    with storage_errors(f"read {path}"), path.open("rb") as file:
        data = file.read(limit + 1)
    if larger is not None and len(data) > limit:
        raise larger
    return data
