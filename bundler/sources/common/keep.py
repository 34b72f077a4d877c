"""Keeping content whose digest is only known once it is written: hashed on its way to the disk."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bundle.base.content import Content
from bundle.base.digest import PREFIX
from bundle.base.limits import CHUNK_BYTES
from bundle.store.atomic import fsync_directory, storage_errors
from bundle.store.hashing import write_all
from bundler.sources.common.context import Store

_READ_ONLY: Final = 0o444


class Keeper:
    """Takes the bytes of one blob; see `keeping`."""

    def __init__(self, descriptor: int) -> None:
        """Write into an open, empty file."""
        self._descriptor = descriptor
        self._state: Any = hashlib.sha256()
        self._size = 0

    def write(self, chunk: bytes | memoryview) -> int:
        """Take the next bytes and return how many they are, as a file does.

        Raises:
            OSError: The disk refused; `keeping` says it as a StorageError.
        """
        view = memoryview(chunk)
        write_all(self._descriptor, view)
        self._state.update(view)
        self._size += len(view)
        return len(view)

    @property
    def content(self) -> Content:
        """Digest and size of what was written so far."""
        return Content(digest=PREFIX + self._state.hexdigest(), size=self._size)


@contextmanager
def keeping(store: Store) -> Iterator[Keeper]:
    """Write a blob into the store; when the block ends well, it is there under its digest.

    Raises:
        StorageError: The disk refused; nothing is kept.
    """
    partial = new_file(store)
    with storage_errors(f"write {partial}"):
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            keeper = Keeper(descriptor)
            yield keeper
            final = store.blob_path(keeper.content.digest)
            os.fchmod(descriptor, _READ_ONLY)
            os.fsync(descriptor)
            partial.replace(final)
            fsync_directory(final.parent)
        finally:
            os.close(descriptor)
            partial.unlink(missing_ok=True)


def adopt(store: Store, path: Path) -> Content:
    """Make a file of the store's own, from `new_file`, a blob; it is read once, to be hashed.

    Raises:
        StorageError: The disk refused.
    """
    state = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    size = 0
    with storage_errors(f"keep {path}"):
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                state.update(buffer[:count])
                size += count
            os.fchmod(file.fileno(), _READ_ONLY)
            os.fsync(file.fileno())
        content = Content(digest=PREFIX + state.hexdigest(), size=size)
        final = store.blob_path(content.digest)
        path.replace(final)
        fsync_directory(final.parent)
    return content


def new_file(store: Store) -> Path:
    """Return a name of the store's that nobody else uses, for what is in work."""
    return store.workspace("incoming") / secrets.token_hex(12)
