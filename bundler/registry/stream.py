"""Content as it arrives, from wherever the server lets it begin."""

from __future__ import annotations

from collections.abc import Callable

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_DOWNLOAD_BYTES
from bundler.registry.encoding import Uncoded
from bundler.registry.response import Closing, Response


class ContentStream(Closing):
    """Unverified bytes of a blob or a file; close it.

    Nothing here checks a digest: the caller hashes what it reads while it writes it, so that each
    byte is touched once.

    Attributes:
        start: Position in the content of the first byte to come. It may be 0 although more was
            asked for, since a server need not honour Range.
        size: Size of the whole content by the server's word, or None; in bytes.
        host: The host that answered in the end.
    """

    def __init__(
        self,
        response: Response,
        limit: int = MAX_DOWNLOAD_BYTES,
        *,
        undo: bool = False,
        path: str | None = None,
    ) -> None:
        """Read from an answer of status 200 or 206.

        Args:
            response: The answer.
            limit: The most bytes of content.
            undo: Whether a compression for the way is undone, if there is one.
            path: See `Uncoded`.
        """
        self._response = response
        self._read: Callable[[memoryview], int] = response.readinto
        self._limit = self._rest = limit
        place = response.content_range()
        self.start = place[0] if place else 0
        self.size = place[1] if place else response.length
        self.host = response.url.key
        if undo and response.is_coded:
            # Its length is that of what comes in.
            self.size = None
            self._read = Uncoded(response.readinto, response.url.shown, path).readinto

    def readinto(self, buffer: memoryview) -> int:
        """Read into `buffer` and return how many bytes, 0 at the end.

        Raises:
            TransportError: The connection broke; what was read so far is good to go on from.
            FormatError: It has more than anything that is carried.
        """
        count = self._read(buffer)
        self._rest -= count
        if self._rest < 0:
            self.close()
            raise FormatError(
                f"{self._response.url.shown}: expected at most {self._limit} bytes, found more",
                "The server is broken or hostile; ask its operator.",
            )
        return count

    def close(self) -> None:
        """Free the connection, at any moment."""
        self._response.close()


class BytesStream:
    """Content that is in memory already, in the form of a stream."""

    def __init__(self, data: bytes, host: str) -> None:
        """Read `data`, which came from `host`, from its beginning."""
        self.start = 0
        self.size: int | None = len(data)
        self.host = host
        self._rest = memoryview(data)

    def readinto(self, buffer: memoryview) -> int:
        """Read into `buffer` and return how many bytes, 0 at the end."""
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Forget the rest."""
        self._rest = memoryview(b"")
