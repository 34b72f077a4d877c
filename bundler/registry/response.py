"""What is asked of a server, and its answer, read as it arrives."""

from __future__ import annotations

import http.client
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import urllib3

from bundle.base.errors import FormatError, TransportError
from bundle.base.limits import KIB
from bundler.registry.encoding import is_coded
from bundler.registry.hosts import Url
from bundler.registry.pace import Pace

_DRAIN_BYTES: Final = 64 * KIB
"""Rest of a body that is cheaper to read than a new connection is to make."""

_READ_BYTES: Final = 64 * KIB
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a server.

    Attributes:
        method: GET, HEAD or POST.
        url: Where to.
        headers: Without Authorization.
        body: Only with a POST; such a request follows no redirect.
    """

    method: str
    url: Url
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A small answer, read whole.

    Attributes:
        status: HTTP status.
        headers: Names in any case.
        url: Where it came from, after redirects.
        data: The body.
    """

    status: int
    headers: urllib3.HTTPHeaderDict
    url: Url
    data: bytes

    def close(self) -> None:
        """Do nothing: it has been read. It is here so that both kinds of answer are alike."""


class Closing(ABC):
    """What is closed at the end of a `with`."""

    @abstractmethod
    def close(self) -> None:
        """Free what it holds, at any moment."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


class Response(Closing):
    """An answer whose body is still to be read; close it, for it holds one of the host's slots."""

    def __init__(
        self, raw: urllib3.BaseHTTPResponse, url: Url, release: Callable[[], None], pace: Pace
    ) -> None:
        """Wrap an answer.

        Args:
            raw: From urllib3, with its content neither read nor decoded.
            url: Where it came from.
            release: Called once, when the connection is free again.
            pace: Counts what comes in.
        """
        self.status = raw.status
        self.headers = raw.headers
        self.url = url
        self._raw = raw
        self._pace = pace
        self._release: Callable[[], None] | None = release
        # urllib3 reads into memory of its own and copies; the object of the standard library
        # below it reads straight into the caller's buffer.
        self._body: http.client.HTTPResponse = raw._fp  # type: ignore[attr-defined]  # noqa: SLF001
        self._left: int | None = self._body.length

    @property
    def length(self) -> int | None:
        """Bytes still to come, or None when the server did not say."""
        return self._left

    @property
    def is_coded(self) -> bool:
        """Whether it says that its content is compressed for the way."""
        return is_coded(self.headers.get("Content-Encoding", ""))

    def readinto(self, buffer: memoryview) -> int:
        """Read into `buffer` and return how many bytes, 0 at the end.

        Raises:
            TransportError: The connection broke, or ended before the announced length.
            TooSlowError: The server would never end.
        """
        if self._release is None or not buffer:
            return 0
        self._pace.expect(len(buffer))
        try:
            count = self._body.readinto(buffer)
        except TransportError:
            self._abandon()
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._abandon()
            raise TransportError(
                f"{self.url.shown}: the connection broke ({type(error).__name__})",
                "Run the command again; it resumes.",
            ) from error
        if self._left is not None:
            self._left -= count
        if count == 0 and self._left:
            self._abandon()
            raise TransportError(
                f"{self.url.shown}: expected {self._left} bytes more, found the end",
                "Run the command again; it resumes.",
            )
        if count == 0 or self._left == 0:
            self._finish()
        return count

    def read(self, limit: int) -> bytes:
        """Read the whole body and close.

        Raises:
            FormatError: It has more than `limit` bytes.
            TransportError: As `readinto`.
        """
        if self._left is not None and self._left > limit:
            self._abandon()
            raise self._too_large(limit)
        data = bytearray()
        chunk = memoryview(bytearray(_READ_BYTES))
        while count := self.readinto(chunk):
            data += chunk[:count]
            if len(data) > limit:
                self._abandon()
                raise self._too_large(limit)
        return bytes(data)

    def content_range(self) -> tuple[int, int | None] | None:
        """Return the first byte's position and the whole size of a partial answer.

        Returns:
            None when this is no partial answer, or its Content-Range makes no sense.
        """
        match = _CONTENT_RANGE.fullmatch(self.headers.get("Content-Range", ""))
        if self.status != http.client.PARTIAL_CONTENT or match is None:
            return None
        return int(match[1]), None if match[3] == "*" else int(match[3])

    def close(self) -> None:
        """Give the connection back, or end it when more is left than is worth reading."""
        if self._release is None:
            return
        if self._left is None or self._left > _DRAIN_BYTES:
            self._abandon()
            return
        chunk = memoryview(bytearray(_DRAIN_BYTES))
        try:
            while self.readinto(chunk):
                pass
        except TransportError:
            return
        self._finish()

    def _finish(self) -> None:
        if self._release is not None:
            self._raw.release_conn()
            self._let_go()

    def _abandon(self) -> None:
        if self._release is not None:
            self._raw.close()
            self._raw.release_conn()
            self._let_go()

    def _let_go(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

    def _too_large(self, limit: int) -> FormatError:
        return FormatError(
            f"{self.url.shown}: expected at most {limit} bytes, found more",
            "The server is broken or hostile; ask its operator.",
        )
