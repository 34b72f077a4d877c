"""The releases of a release folder: `releases/<number>/bundle.json`, kept to compare with.

Written before the release folder names the number, so that no released number is without; what a
build that was cut short left under a number is replaced by the build that gets it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from bundle.base.canonical import decode_canonical
from bundle.base.limits import MAX_MANIFEST_BYTES
from bundle.model.changes import Earlier
from bundle.model.manifest import Manifest
from bundle.store.atomic import (
    fsync_directory,
    remove_stale_temporaries,
    storage_errors,
    write_atomic,
)
from bundle.store.layout import MANIFEST_NAME, BundleDirectory

RELEASES: Final = "releases"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,15}")


def record_release(release: Path, number: int, manifest: bytes) -> None:
    """Keep the bundle.json of a release; the caller holds the release folder's lock.

    Raises:
        StorageError: The disk refused; run again.
    """
    folder = release / RELEASES / str(number)
    path = folder / MANIFEST_NAME
    with storage_errors(f"write {path}"):
        folder.mkdir(parents=True, exist_ok=True)
        remove_stale_temporaries(folder)
        for directory in (folder.parent, release):
            fsync_directory(directory)
        if path.is_file() and not path.is_symlink() and path.read_bytes() == manifest:
            return
    write_atomic(path, manifest)


def release_before(release: Path, number: int) -> Earlier | None:
    """Return the newest release before `number` that the release folder holds.

    Raises:
        FormatError: Its bundle.json is damaged.
        StorageError: A blob cannot be read.
    """
    folder = release / RELEASES
    if not folder.is_dir():
        return None
    with storage_errors(f"list {folder}"):
        names = [entry.name for entry in folder.iterdir() if _NUMBER.fullmatch(entry.name)]
    earlier = [int(name) for name in names if int(name) < number]
    if not earlier:
        return None
    name = f"{RELEASES}/{max(earlier)}/{MANIFEST_NAME}"
    data = BundleDirectory(release).read_small(name, MAX_MANIFEST_BYTES)
    manifest = decode_canonical(data, Manifest, f"{release}/{name}")
    return Earlier(max(earlier), manifest, data)
