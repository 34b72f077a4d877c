"""Bringing one blob from a medium into the depot, each byte read once.

A blob is cloned or copied into staging, which is its owner's alone, and what will be served is
hashed; it gets its name only when its digest is right and its bytes are on the disk. A blob that
has its name was therefore good once. Disks forget, so that it is compared with the medium's copy,
which is hashed, and replaced where it differs.

Nothing is ever linked: who has the medium's file open, or may write to it later, would write to
the depot. A clone shares blocks with it until either is written, and not one byte after that.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final

from bundle.base.content import Content
from bundle.base.digest import PREFIX, hex_of
from bundle.base.limits import KIB
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
    COPY = "copied"


class Intake:
    """Blobs of one medium on their way into one depot; the caller holds the depot's lock."""

    def __init__(self, bundle: BundleDirectory, depot: DepotDirectory) -> None:
        """Take from `bundle` into `depot`."""
        self._bundle = bundle
        self._depot = depot

    def is_present(self, blob: Content) -> bool:
        """Say whether the depot has a file of the blob's size, which nobody else could change."""
        try:
            found = self._depot.blob_path(blob.digest).lstat()
        except FileNotFoundError:
            return False
        return (
            stat.S_ISREG(found.st_mode)
            and found.st_size == blob.size
            and found.st_uid in {0, os.geteuid()}
            and not found.st_mode & 0o022
            # A second name may be on the medium: earlier releases linked.
            and found.st_nlink == 1
        )

    def has_damaged(self, blob: Content) -> bool:
        """Say whether something is in the place of a blob that `is_present` does not count."""
        return os.path.lexists(self._depot.blob_path(blob.digest)) and not self.is_present(blob)

    def check(self, blob: Content, advance: Advance) -> bool:
        """Check the medium's copy of a blob that the depot has, and compare the depot's with it.

        Returns:
            Whether the depot's copy can be read, and is the same.
        Raises:
            IntegrityError: The medium's is missing or damaged; a medium is refused whole, or not at
                all.
        """
        name = self._bundle.blob_name(blob.digest)
        with self._bundle.open_blob(blob.digest) as source:
            try:
                own = self._own(blob)
            except OSError:
                # The medium's is checked all the same: nothing is replaced by what is no better.
                hash_stream(source, blob.size, blob.digest, name=name, advance=advance)
                return False
            with own:
                return _compare(source, own, blob, name=name, advance=advance)

    def _own(self, blob: Content) -> BinaryIO:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.fdopen(os.open(self._depot.blob_path(blob.digest), flags), "rb", buffering=0)

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
                    _copy(source, staged, blob, name=name, advance=advance)
            with storage_errors(f"write {staged}"), staged.open("rb", buffering=0) as file:
                if way is Way.CLONE:
                    hash_stream(file, blob.size, blob.digest, name=name, advance=advance)
                os.fchmod(file.fileno(), _MODE)
                os.fsync(file.fileno())
            self._name(staged, self._depot.blob_path(blob.digest))
        finally:
            staged.unlink(missing_ok=True)
        return way

    def clear_staging(self) -> None:
        """Remove what an import that was killed left in staging."""
        with storage_errors(f"clear {self._depot.staging}"):
            shutil.rmtree(self._depot.staging, ignore_errors=True)
            self._depot.staging.mkdir(mode=0o700, exist_ok=True)
            # What lies there gets its final mode before it gets its name.
            self._depot.staging.chmod(0o700)

    def _name(self, staged: Path, path: Path) -> None:
        with storage_errors(f"name {path}"):
            if path.is_dir() and not path.is_symlink():
                # A file cannot take a folder's name; staging is cleared by every import.
                path.rename(staged.with_suffix(".folder"))
            staged.replace(path)

    def _staged(self, blob: Content) -> Path:
        return self._depot.staging / hex_of(blob.digest)


def _place(source: BinaryIO, staged: Path) -> Way:
    """Clone the open file `source` to `staged`, or leave an empty file there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with storage_errors(f"write {staged}"):
        # Nobody may open it for writing before it is read-only, whatever the umask.
        descriptor = os.open(staged, flags, 0o600)
        try:
            fcntl.ioctl(descriptor, _FICLONE, source.fileno())
        except OSError:
            return Way.COPY  # Another file system, or one that cannot.
        finally:
            os.close(descriptor)
    return Way.CLONE


def _compare(source: BinaryIO, own: BinaryIO, blob: Content, name: str, advance: Advance) -> bool:
    """Hash `source`, and say whether `own` has the same bytes: one pass, and one hash."""
    state = hashlib.sha256()
    theirs, ours = bytearray(_COPY_BYTES), bytearray(_COPY_BYTES)
    seen, same = 0, True
    while True:
        with storage_errors(f"read {name}"):
            count = source.readinto(theirs)  # type: ignore[attr-defined]  # raw files have it
        seen += count
        if not count or seen > blob.size:
            break
        state.update(memoryview(theirs)[:count])
        same = same and _fill(own, memoryview(ours)[:count]) and ours[:count] == theirs[:count]
        advance(count)
    check_content(name, blob.size, blob.digest, found_size=seen, found=PREFIX + state.hexdigest())
    return same


def _fill(own: BinaryIO, wanted: memoryview) -> bool:
    """Read exactly as much as `wanted` holds; False if the disk cannot."""
    while wanted:
        try:
            count = own.readinto(wanted)  # type: ignore[attr-defined]  # raw files have it
        except OSError:
            return False
        if not count:
            return False
        wanted = wanted[count:]
    return True


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
    check_content(name, blob.size, blob.digest, found_size=seen, found=PREFIX + state.hexdigest())


def _write_all(target: BinaryIO, data: memoryview) -> None:
    """Write all of `data`: a raw file may take less at a time."""
    while data:
        data = data[target.write(data) :]
