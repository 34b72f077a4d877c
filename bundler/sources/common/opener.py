"""How a blob is opened, wherever it lives: what a build needs of each kind of source."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, Protocol

from bundle.base.content import Content
from bundle.base.digest import PREFIX
from bundle.base.errors import DigestMismatchError, SizeMismatchError
from bundler.registry.client import RegistryClient
from bundler.registry.stream import BytesStream


class BlobStream(Protocol):
    """Untrusted bytes on their way in."""

    @property
    def start(self) -> int:
        """Where in the blob the bytes begin; 0 when the server did not go on where it was asked."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the front and return how many bytes came; 0 at the end."""

    def close(self) -> None:
        """Give the connection back."""


class Opener(Protocol):
    """Opens one blob."""

    def __call__(self, offset: int, *, mirrors: bool) -> BlobStream:
        """Open it at `offset` bytes, at its origin alone unless `mirrors` may answer."""


class WholeBytes(BytesStream):
    """Bytes that are in memory already and came from no host, as a stream."""

    def __init__(self, data: bytes) -> None:
        """Read `data` from its beginning."""
        super().__init__(data, host="")


class CheckedStream:
    """A stream from this machine that is compared with the lock, so that an error can name it."""

    start = 0

    def __init__(self, stream: BlobStream, content: Content, name: str, hint: str) -> None:
        """Check `stream`, from its beginning.

        Args:
            stream: Untrusted; closed with this one.
            content: What the lock says it is.
            name: What it is, for messages.
            hint: What to do when it is something else.
        """
        self._stream = stream
        self._content = content
        self._name = name
        self._hint = hint
        self._state = hashlib.sha256()
        self._size = 0

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the front.

        Raises:
            SizeMismatchError: It has another length.
            DigestMismatchError: The length is right, but the bytes differ.
        """
        count = self._stream.readinto(buffer)
        self._state.update(buffer[:count])
        self._size += count
        if count == 0 or self._size > self._content.size:
            self._check()
        return count

    def _check(self) -> None:
        found = PREFIX + self._state.hexdigest()
        expected = self._content
        if self._size != expected.size:
            raise SizeMismatchError(
                f"{self._name}: expected {expected.size} bytes, found another size", self._hint
            )
        if found != expected.digest:
            raise DigestMismatchError(
                f"{self._name}: expected {expected.digest}, found {found}", self._hint
            )

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class FileStream:
    """A part of a file on this machine, as a stream."""

    def __init__(self, path: Path, size: int, begin: int = 0, offset: int = 0) -> None:
        """Open `size` bytes that begin at `begin` in the file, from `offset` within them.

        Raises:
            OSError: The file cannot be read; callers say whose it is.
        """
        self.start = offset
        self._rest = size - offset
        self._file: BinaryIO = path.open("rb")
        self._file.seek(begin + offset)

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the front."""
        part = buffer[: min(len(buffer), self._rest)]
        count = self._file.readinto(part) if len(part) else 0  # type: ignore[attr-defined]
        self._rest -= count
        return int(count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def url_opener(client: RegistryClient, url: str) -> Opener:
    """Return how what is at an address is opened."""

    def opener(offset: int, *, mirrors: bool) -> BlobStream:
        if mirrors:
            return client.open_url(url, offset)
        # It has none; but other bytes than were promised may be what came out of gzip, and is it.
        return client.open_url(url, offset, undo=False)

    return opener
