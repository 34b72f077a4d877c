"""The blob cache: what was fetched once is not fetched again, by any build on this machine.

A file under blobs/sha256 was read whole and matched its digest before it got its name. A file under
partial is the beginning of a blob whose download was cut; it is hashed again before it goes on.
Beside them sources have folders of their own, such as git.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import DigestMismatchError
from bundle.store.atomic import storage_errors, write_atomic

READ_ONLY: Final = 0o444


def default_cache() -> Path:
    """Return the user's cache folder by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "isoward" / "content"


class BlobCache:
    """Verified blobs by digest, shared between builds by hard links."""

    def __init__(self, path: Path) -> None:
        """Open the cache, and make its folders.

        Raises:
            StorageError: They cannot be made.
        """
        self.path = path
        self._blobs = path / "blobs" / "sha256"
        self.partials = path / "partial"
        with storage_errors(f"create the cache {path}"):
            self._blobs.mkdir(parents=True, exist_ok=True)
            self.partials.mkdir(parents=True, exist_ok=True)

    def blob_path(self, digest: str) -> Path:
        """Return where the blob is, or would be."""
        return self._blobs / hex_of(digest)

    def partial_path(self, digest: str) -> Path:
        """Return where the blob's download lives until it is whole."""
        return self.partials / hex_of(digest)

    def workspace(self, name: str) -> Path:
        """Return a folder beside the blobs, for what a kind of source keeps or has in work.

        Raises:
            StorageError: It cannot be made.
        """
        folder = self.path / name
        with storage_errors(f"create {folder}"):
            folder.mkdir(exist_ok=True)
        return folder

    def has(self, digest: str, size: int) -> bool:
        """Return whether the blob is here; one with the wrong size counts as missing."""
        try:
            return self.blob_path(digest).lstat().st_size == size
        except FileNotFoundError:
            return False

    def put_bytes(self, digest: str, data: bytes) -> None:
        """Store a small blob.

        Raises:
            DigestMismatchError: `data` is not what `digest` says.
            StorageError: The disk refused.
        """
        found = digest_of(data)
        if found != digest:
            raise DigestMismatchError(
                f"expected {digest}, found {found}", "The source sent other bytes; try again."
            )
        if self.read_bytes(digest, len(data)) is None:
            write_atomic(self.blob_path(digest), data, READ_ONLY)

    def read_bytes(self, digest: str, size: int) -> bytes | None:
        """Return a small blob, checked again, or None when it is not here or damaged."""
        if not self.has(digest, size):
            return None
        with storage_errors(f"read {self.blob_path(digest)}"):
            data = self.blob_path(digest).read_bytes()
        return data if digest_of(data) == digest else None

    def find_bytes(self, digest: str, limit: int) -> bytes | None:
        """Return a blob of at most `limit` bytes whose size nobody told; else as `read_bytes`."""
        try:
            size = self.blob_path(digest).lstat().st_size
        except FileNotFoundError:
            return None
        return self.read_bytes(digest, size) if size <= limit else None
