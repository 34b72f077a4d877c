"""Content that a server compresses on its way, although it was asked not to.

What is meant is the content below. But some servers say `Content-Encoding: gzip` of a file that is
compressed itself, and mean the file: there, one layer of gzip is what they have.

Source: RFC 9110, section 8.4; RFC 1952.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

from bundle.base.errors import FormatError, TransportError
from bundle.base.limits import KIB

_CODINGS: Final = frozenset({"gzip", "x-gzip"})
_MAGIC: Final = b"\x1f\x8b"
_GZIP: Final = 31
"""zlib's sign for gzip's own header and trailer."""

_READ_BYTES: Final = 64 * KIB
_ENDS: Final = (".gz", ".gzip", ".svgz", ".tgz", ".taz")
"""Of files that are gzip themselves, and of media types of such."""


def is_coded(encoding: str) -> bool:
    """Return whether a Content-Encoding is one that we undo."""
    return encoding.strip().lower() in _CODINGS


def plain_bytes(data: bytes, encoding: str, limit: int, shown: str) -> bytes:
    """Return a small document as it was before a server compressed it.

    Raises:
        FormatError: It unpacks to more than `limit` bytes, or is cut.
    """
    if not is_coded(encoding) or not data.startswith(_MAGIC):
        return data
    unpack = zlib.decompressobj(_GZIP)
    try:
        plain = unpack.decompress(data, limit + 1)
    except zlib.error as error:
        raise FormatError(f"{shown}: its gzip is damaged ({error})", "Try again later.") from error
    if len(plain) > limit:
        raise FormatError(
            f"{shown}: expected at most {limit} bytes, found more",
            "The server is broken or hostile; ask its operator.",
        )
    if not unpack.eof:
        raise FormatError(f"{shown}: its gzip is truncated", "Try again later.")
    return plain


class Uncoded:
    """The content within an answer that says it is compressed."""

    def __init__(self, read: Callable[[memoryview], int], shown: str, path: str | None) -> None:
        """Look into the answer at the first reading.

        Args:
            read: Fills a buffer with what comes in; returns 0 at the end.
            shown: The address, for messages.
            path: Of the file, whose name tells whether it is gzip itself; None when it is not to
                be asked, and one layer is taken off.
        """
        self._read = read
        self._shown = shown
        self._path = path
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._held = b""
        self._unpack: zlib._Decompress | None = None
        self._decided = False

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the front and return how many bytes, 0 at the end.

        Raises:
            TransportError: The compressed data is damaged or cut.
        """
        if not self._decided:
            self._decide()
        if self._unpack is None:
            return self._as_it_is(buffer)
        try:
            data = self._unpacked(len(buffer), self._unpack)
        except zlib.error as error:
            raise self._broken(str(error)) from error
        buffer[: len(data)] = data
        return len(data)

    def _decide(self) -> None:
        """Find out what is below, from the first bytes."""
        self._decided = True
        while len(self._held) < KIB and (data := self._more()):
            self._held += data
        if not self._held.startswith(_MAGIC):
            return
        try:
            inner = zlib.decompressobj(_GZIP).decompress(self._held, len(_MAGIC))
        except zlib.error:
            return
        if self._path is None or not self._path.lower().endswith(_ENDS) or inner == _MAGIC:
            self._unpack = zlib.decompressobj(_GZIP)

    def _as_it_is(self, buffer: memoryview) -> int:
        if not self._held:
            return self._read(buffer)
        count = min(len(buffer), len(self._held))
        buffer[:count] = self._held[:count]
        self._held = self._held[count:]
        return count

    def _unpacked(self, most: int, unpack: zlib._Decompress) -> bytes:
        while True:
            data = unpack.decompress(self._held or self._more(), most)
            self._held = unpack.unconsumed_tail
            if unpack.eof:
                # There may be one more piece of gzip behind it; anything else is no content.
                self._held = unpack.unused_data or self._more()
                if self._held.startswith(_MAGIC):
                    self._unpack = unpack = zlib.decompressobj(_GZIP)
                else:
                    self._unpack, self._read, self._held = None, lambda _: 0, b""
                    return data
            elif not data and not self._held:
                self._held = self._more()
                if not self._held:
                    raise self._broken("it is truncated")
            if data:
                return data

    def _more(self) -> bytes:
        return bytes(self._buffer[: self._read(self._buffer)])

    def _broken(self, why: str) -> TransportError:
        return TransportError(
            f"{self._shown}: its gzip cannot be unpacked ({why})", "Run the command again later."
        )
