"""Bringing one blob from a medium into the depot, each byte read once.

A blob is cloned, linked or copied into staging, and the very inode that will be served is hashed;
it gets its name only when its digest is right and its bytes are on the disk. A blob that has its
name was therefore verified, however an earlier import ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final

from bundle.model.digest import PREFIX, hex_of
from bundle.model.limits import KIB
from bundle.model.lock import Content
from bundle.store.atomic import storage_errors
from bundle.store.hashing import check_content, hash_stream
from bundle.store.layout import BundleDirectory
from installer.depot.directory import DepotDirectory

_FICLONE: Final = 0x40049409
"""ioctl of linux/fs.h: share the other file's extents; btrfs and XFS can."""
_MODE: Final = 0o444
_COPY_BYTES: Final = 256 * KIB
"""Read, hash and write unit of a copy: larger writes make the kernel look for larger pieces of free
memory for its cache, which was measured to take up to four times the time on a busy machine."""

Advance = Callable[[int], None]


class Way(Enum):
    """How content gets from the medium into the depot."""

    CLONE = "cloned"
    LINK = "linked"
    COPY = "copied"


class Intake:
    """Blobs of one medium on their way into one depot; the caller holds the depot's lock."""

    def __init__(self, bundle: BundleDirectory, depot: DepotDirectory) -> None:
        """Take from `bundle` into `depot`."""
        self._bundle = bundle
        self._depot = depot

    def is_present(self, blob: Content) -> bool:
        """Say whether the depot has the blob, which was verified when it came."""
        try:
            found = self._depot.blob_path(blob.digest).lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == blob.size

    def check(self, blob: Content, advance: Advance) -> None:
        """Check the medium's copy of a blob that the depot has already.

        Raises:
            IntegrityError: It is missing or damaged; a medium is refused whole, or not at all.
        """
        name = self._bundle.blob_name(blob.digest)
        with self._bundle.open_blob(blob.digest) as source:
            hash_stream(source, blob.size, blob.digest, name, advance)

    def way_for(self, blob: Content) -> Way:
        """Try how a blob can get into the depot, leaving nothing behind.

        Raises:
            MissingBlobError: The medium does not have it.
        """
        staged = self._staged(blob)
        with self._bundle.open_blob(blob.digest) as source:
            way = _place(source, staged)
        staged.unlink(missing_ok=True)
        return way

    def take(self, blob: Content, advance: Advance) -> Way:
        """Bring a blob in.

        Args:
            blob: From a verified manifest.
            advance: Told of bytes as they are read.
        Raises:
            IntegrityError: The medium's copy is missing or damaged; the depot is as it was.
            StorageError: The medium cannot be read or the depot cannot be written.
        """
        staged = self._staged(blob)
        name = self._bundle.blob_name(blob.digest)
        try:
            with self._bundle.open_blob(blob.digest) as source:
                way = _place(source, staged)
                if way is Way.COPY:
                    _copy(source, staged, blob, name, advance)
                elif way is Way.LINK:
                    hash_stream(source, blob.size, blob.digest, name, advance)
            # A linked file may be read-only already; reading is enough to sync it.
            with storage_errors(f"write {staged}"), staged.open("rb", buffering=0) as file:
                if way is Way.CLONE:
                    hash_stream(file, blob.size, blob.digest, name, advance)
                os.fchmod(file.fileno(), _MODE)
                os.fsync(file.fileno())
            with storage_errors(f"name {self._depot.blob_path(blob.digest)}"):
                staged.replace(self._depot.blob_path(blob.digest))
        finally:
            staged.unlink(missing_ok=True)
        return way

    def clear_staging(self) -> None:
        """Remove what an import that was killed left in staging."""
        with storage_errors(f"clear {self._depot.staging}"):
            shutil.rmtree(self._depot.staging, ignore_errors=True)
            self._depot.staging.mkdir(parents=True, exist_ok=True)

    def _staged(self, blob: Content) -> Path:
        return self._depot.staging / hex_of(blob.digest)


def _place(source: BinaryIO, staged: Path) -> Way:
    """Clone or link the open file `source` to `staged`, or leave an empty file there."""
    with storage_errors(f"write {staged}"):
        with staged.open("xb", buffering=0) as target:
            try:
                fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
            except OSError:
                pass  # Another file system, or one that cannot.
            else:
                return Way.CLONE
        if not _is_ours(source):
            return Way.COPY
        staged.unlink()
        with contextlib.suppress(OSError):
            _link_open_file(source, staged)
            return Way.LINK
        staged.touch(exist_ok=False)
    return Way.COPY


def _is_ours(source: BinaryIO) -> bool:
    """Say whether nobody but this user could change the file once it was checked.

    Under a second name, somewhere else, it could be written still, and would lose that right by
    being brought in.
    """
    found = os.fstat(source.fileno())
    shared = found.st_nlink > 1 and found.st_mode & 0o222
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022 and not shared


def _link_open_file(source: BinaryIO, target: Path) -> None:
    """Link the inode that is open, whatever its path may name by now."""
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a directory given, Python calls linkat with AT_SYMLINK_FOLLOW, which this needs.
        os.link(f"/proc/self/fd/{source.fileno()}", target.name, dst_dir_fd=directory)
    finally:
        os.close(directory)


def _copy(source: BinaryIO, staged: Path, blob: Content, name: str, advance: Advance) -> None:
    """Hash while copying; at most one byte more than promised is read."""
    state = hashlib.sha256()
    buffer = memoryview(bytearray(_COPY_BYTES))
    seen = 0
    with staged.open("r+b", buffering=0) as target:
        while True:
            with storage_errors(f"read {name}"):
                count = source.readinto(buffer)  # type: ignore[attr-defined]  # raw files have it
            if not count:
                break
            seen += count
            if seen > blob.size:
                break
            state.update(buffer[:count])
            with storage_errors(f"write {staged}"):
                _write_all(target, buffer[:count])
            advance(count)
    check_content(name, blob.size, blob.digest, seen, PREFIX + state.hexdigest())


def _write_all(target: BinaryIO, data: memoryview) -> None:
    """Write all of `data`: a raw file may take less at a time."""
    while data:
        data = data[target.write(data) :]
