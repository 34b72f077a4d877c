"""Marks on blobs of the depot that were found damaged, so that they are not served.

A mark is a small file beside the blobs, `damaged/<hex>.json`; the blob itself is not touched, since
its bytes are evidence, and moving it could move one that an import has just restored. A mark names
the very file that was read: when another takes its place, the mark says nothing any more.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import PREFIX, Digest, hex_of, is_digest
from bundle.base.documents import API_VERSION, Document, Text
from bundle.base.errors import IsowardError
from bundle.base.limits import MIB
from bundle.store.atomic import make_directory, storage_errors, write_atomic
from installer.depot.directory import DepotDirectory

MARKS: Final = "damaged"
"""The folder of the marks in a depot."""

Problem = Literal["missing", "size", "digest", "unreadable"]
PROBLEM_WORDS: Final[dict[Problem, str]] = {
    "missing": "missing",
    "size": "damaged (another size)",
    "digest": "damaged (other bytes)",
    "unreadable": "damaged (it cannot be read)",
}
"""What each problem is called."""
Number = Annotated[int, msgspec.Meta(ge=0)]
_SUFFIX: Final = ".json"
_MAX_BYTES: Final = MIB
_MAX_NAMES: Final = 20


class FileIdentity(Document, frozen=True, kw_only=True):
    """What tells one file from the next that has its name."""

    inode: Number
    size: Number
    changed: Number
    """When its content was written last, in nanoseconds."""

    @classmethod
    def of(cls, found: os.stat_result) -> FileIdentity:
        """Return it as the kernel says."""
        return cls(inode=found.st_ino, size=found.st_size, changed=found.st_mtime_ns)


class Mark(Document, frozen=True, kw_only=True):
    """`damaged/<hex>.json`."""

    api_version: Literal["isoward/v1"] = API_VERSION
    kind: Literal["DamagedBlob"] = "DamagedBlob"
    digest: Digest
    problem: Problem
    when: Text
    """UTC, RFC 3339."""
    file: FileIdentity | None = None
    """The file that was read; none where there was none."""
    of: tuple[Text, ...] = ()
    """What the blob is of: images, charts, files; empty where that was not looked up."""


class Marks:
    """The marks of one depot."""

    def __init__(self, depot: DepotDirectory) -> None:
        """Read and write below `depot`; nothing is touched yet."""
        self._depot = depot
        self._folder = depot.path / MARKS
        # For a depot that this process may not write to.
        self._unwritten: dict[str, Mark] = {}

    def add(self, mark: Mark) -> None:
        """Keep a mark, in memory alone if the disk refuses.

        Raises:
            StorageError: The disk refused; the mark counts for this process.
        """
        if len(mark.of) > _MAX_NAMES:
            mark = msgspec.structs.replace(mark, of=mark.of[:_MAX_NAMES])
        self._unwritten[mark.digest] = mark
        make_directory(self._folder)
        write_atomic(self._path(mark.digest), canonical_json(mark))
        del self._unwritten[mark.digest]

    def clear(self, digest: str) -> None:
        """Take a mark away: the blob was read, and is good.

        Raises:
            StorageError: The disk refused.
        """
        self._unwritten.pop(digest, None)
        with storage_errors(f"remove {self._path(digest)}"):
            self._path(digest).unlink(missing_ok=True)

    def find(self, digest: str) -> Mark | None:
        """Return the mark that stands for what has the blob's name now."""
        mark = self._load(digest)
        if mark is None:
            return None
        try:
            file = FileIdentity.of(os.lstat(self._depot.blob_path(digest)))
        except OSError:
            file = None
        return mark if mark.file == file else None

    def names(self) -> set[str]:
        """Return the digests that have a mark, whether it stands or not."""
        found = set(self._unwritten)
        with suppress(OSError):
            for path in self._folder.iterdir():
                found.add(PREFIX + path.name.removesuffix(_SUFFIX))
        return {digest for digest in found if is_digest(digest)}

    def standing(self) -> list[Mark]:
        """Return every mark that stands, by digest."""
        found = (self.find(digest) for digest in sorted(self.names()))
        return [mark for mark in found if mark is not None]

    def _path(self, digest: str) -> Path:
        return self._folder / f"{hex_of(digest)}{_SUFFIX}"

    def _load(self, digest: str) -> Mark | None:
        path = self._path(digest)
        try:
            # Once a request: without a mark, it costs one system call.
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES)
        except OSError:
            return self._unwritten.get(digest)
        try:
            mark = decode_canonical(data, Mark, path.name)
        except IsowardError:
            mark = None
        if mark is None or mark.digest != digest:
            # Something is said against the blob: what cannot be read is not taken as praise.
            return self._unreadable(digest)
        return mark

    def _unreadable(self, digest: str) -> Mark | None:
        try:
            file = FileIdentity.of(os.lstat(self._depot.blob_path(digest)))
        except OSError:
            return None
        return Mark(digest=digest, problem="unreadable", when="", file=file)
