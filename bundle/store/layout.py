"""A bundle's directory, read without ever following a link out of it.

Source: OCI image-spec, image-layout.md; docs/FORMAT.md, "The bundle".
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Literal

from bundle.base.digest import hex_of
from bundle.base.errors import (
    FormatError,
    MissingBlobError,
    SizeMismatchError,
    StorageError,
    UnsafePathError,
)
from bundle.store.advice import INCOMPLETE, NO_BUNDLE, NOT_PLAIN, PLACE, UNREADABLE
from bundle.store.atomic import storage_errors
from bundle.store.leftovers import is_leftover

MANIFEST_NAME: Final = "bundle.json"
SUMS_NAME: Final = "SHA256SUMS"
TRUST_DIRECTORY: Final = "trust"
ATTESTATION_DIRECTORY: Final = "attestations"
KEY_DIRECTORY: Final = f"{ATTESTATION_DIRECTORY}/keys"
BLOB_DIRECTORY: Final = "blobs/sha256"
_MAX_ENTRIES: Final = 2_000_000
_MAX_DEPTH: Final = 8
"""Nesting of folders; ours are two deep."""
_MAX_LEFTOVERS: Final = 1000
"""Leftovers that are reported; macOS leaves one beside every file it copies."""

_Kind = Literal["file", "folder", "leftover", "other"]


class BundleDirectory:
    """A bundle on a disk or medium. Creating one reads nothing."""

    def __init__(self, path: Path) -> None:
        """Remember the directory; nothing is read yet."""
        self.path = path

    def require(self) -> None:
        """Check that this looks like a bundle.

        Raises:
            FormatError: Not a directory, or without bundle.json.
        """
        if not (self.path / MANIFEST_NAME).is_file():
            raise FormatError(
                f"{self.path}: not a bundle: it has no {MANIFEST_NAME}",
                PLACE,
            )

    def blob_name(self, digest: str) -> str:
        """Return the blob's path relative to the bundle."""
        return f"{BLOB_DIRECTORY}/{hex_of(digest)}"

    def blob_path(self, digest: str) -> Path:
        """Return the blob's path."""
        return self.path / self.blob_name(digest)

    def open_blob(self, digest: str) -> BinaryIO:
        """Open a blob for unbuffered reading; see `open_file`."""
        return self.open_file(self.blob_name(digest))

    def open_file(self, relative: str) -> BinaryIO:
        """Open a regular file of the bundle for unbuffered reading, following no link.

        Args:
            relative: From our own code, or checked by the model; its components are checked again.
        Raises:
            MissingBlobError: It does not exist.
            UnsafePathError: It, or a directory above it, is a link or not a regular file.
            StorageError: A blob cannot be read.
        """
        descriptor = self._open_beneath(relative)
        try:
            _require_regular(relative, os.fstat(descriptor))
        except UnsafePathError:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb", buffering=0)

    def _open_beneath(self, relative: str) -> int:
        """Open component by component, so that no link along the way is followed."""
        parts = relative.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise _unsafe(relative, "leaves the bundle")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        current = -1
        try:
            current = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for part in parts[:-1]:
                current = _step(current, part, flags | os.O_DIRECTORY)
            # Checked first: opening a device or a pipe can have side effects.
            found = os.stat(parts[-1], dir_fd=current, follow_symlinks=False)
            _require_regular(relative, found)
            current = _step(current, parts[-1], flags)
        except UnsafePathError:
            _close(current)
            raise
        except FileNotFoundError as error:
            _close(current)
            raise MissingBlobError(
                f"{relative}: expected in the bundle {self.path}, found nothing",
                INCOMPLETE,
            ) from error
        except OSError as error:
            _close(current)
            # A link gives ELOOP; a file or link in place of a directory gives ENOTDIR.
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise _unsafe(relative, "is a link, or is below one") from error
            raise StorageError(
                f"cannot read {relative} in {self.path}: {error.strerror}", UNREADABLE
            ) from error
        return current

    def read_small(self, relative: str, limit: int) -> bytes:
        """Read a small file completely.

        Raises:
            SizeMismatchError: Larger than `limit` bytes.
            MissingBlobError, UnsafePathError, StorageError: As `open_file`.
        """
        with self.open_file(relative) as file, storage_errors(f"read {relative}"):
            chunks: list[bytes] = []
            size = 0
            while chunk := file.read(limit + 1 - size):
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise SizeMismatchError(
                        f"{relative}: expected at most {limit} bytes, found more",
                        NO_BUNDLE,
                    )
        # Usually there is one chunk: a large file is not copied a second time.
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def files(self) -> list[str]:
        """List every file of the bundle, relative and sorted.

        Raises:
            UnsafePathError: There is a link, a device or the like, or nesting without end.
        """
        return sorted(self.walk())

    def walk(self, leftovers: list[str] | None = None) -> Iterator[str]:
        """Yield every file of the bundle, relative; memory does not grow with their number.

        Args:
            leftovers: Receives what other systems left there; it is skipped and never opened.
        Raises:
            UnsafePathError: As `files`.
        """
        for count, (name, kind) in enumerate(self._walk(self.path, "", 0)):
            if count > _MAX_ENTRIES:
                raise _unsafe(".", "has too many files")
            if kind == "file":
                yield name
            elif kind == "leftover" and leftovers is not None and len(leftovers) < _MAX_LEFTOVERS:
                leftovers.append(name)

    def top_leftovers(self) -> list[str]:
        """List what other systems left at the top level, without looking deeper."""
        with storage_errors(f"list {self.path}"), os.scandir(self.path) as entries:
            names = (e.name for e in entries if _kind_of(e, e.name) == "leftover")
            return sorted(islice(names, _MAX_LEFTOVERS))

    def _walk(self, directory: Path, prefix: str, depth: int) -> Iterator[tuple[str, _Kind]]:
        if depth > _MAX_DEPTH:
            raise _unsafe(prefix[:100], "is nested too deep")
        with storage_errors(f"list {directory}"), os.scandir(directory) as entries:
            for entry in entries:
                relative = prefix + entry.name
                kind = _kind_of(entry, relative)
                if kind == "other":
                    raise _unsafe(relative, "is a link or a special file")
                yield relative, kind
                if kind == "folder":
                    yield from self._walk(directory / entry.name, f"{relative}/", depth + 1)


def _kind_of(entry: os.DirEntry[str], relative: str) -> _Kind:
    folder = entry.is_dir(follow_symlinks=False)
    if not folder and not entry.is_file(follow_symlinks=False):
        return "other"
    if is_leftover(relative, folder=folder):
        return "leftover"
    return "folder" if folder else "file"


def _step(directory: int, part: str, flags: int) -> int:
    """Open `part` below an open directory, which is then closed."""
    opened = os.open(part, flags, dir_fd=directory)
    os.close(directory)
    return opened


def _require_regular(relative: str, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise _unsafe(relative, "is a link")
    if not stat.S_ISREG(found.st_mode):
        raise _unsafe(relative, "is not a regular file")


def _unsafe(relative: str, why: str) -> UnsafePathError:
    return UnsafePathError(f"{relative!r} {why}", NOT_PLAIN)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
