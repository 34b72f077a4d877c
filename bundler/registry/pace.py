"""An end to answers that have none: a server may be slow, but not for ever.

A time-out on silence is no defence against a byte a minute, nor against a stream of `100 Continue`,
of trailers or of chunk extensions. So all bytes from a server are counted where they come in, and
the time that was waited for them; what a caller does between two reads is its own time.

Source: RFC 9110, section 15.2 (interim answers); RFC 9112, section 7.1 (extensions, trailers).
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from bundle.base.errors import TooSlowError, TransportRefusedError
from bundle.base.limits import (
    HEADER_SECONDS,
    MAX_HEADER_BYTES,
    MIB,
    MIN_BYTES_PER_SECOND,
    TRANSFER_GRACE_SECONDS,
)

_FRAMING: Final = 8
"""Times what was asked for: even a chunk of one byte has six."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how much of a server is waited for.

    Attributes:
        connect_seconds: To make a connection.
        silence_seconds: On a connection, after which it counts as broken.
        header_seconds: To the end of the headers of one answer.
        header_bytes: Of these, with all that goes before.
        grace_seconds: In which a body need not have come at the rate.
        bytes_per_second: The rate of a body, from its beginning.
    """

    connect_seconds: float = 10.0
    silence_seconds: float = 60.0
    header_seconds: float = HEADER_SECONDS
    header_bytes: int = MAX_HEADER_BYTES
    grace_seconds: float = TRANSFER_GRACE_SECONDS
    bytes_per_second: int = MIN_BYTES_PER_SECOND


class Pace:
    """Counts what comes in of one answer, and the time waited for it."""

    def __init__(self, patience: Patience, clock: Callable[[], float], shown: str) -> None:
        """Begin with nothing.

        Args:
            patience: When it is enough.
            clock: Seconds, which only grow.
            shown: The address, for messages.
        """
        self._patience = patience
        self._clock = clock
        self._shown = shown
        self._in_headers = True
        self._waited = 0.0
        self._received = 0
        self._most = patience.header_bytes

    def headers_end(self) -> None:
        """Go on to the body."""
        self._in_headers = False
        self._waited, self._received, self._most = 0.0, 0, MIB

    def expect(self, count: int) -> None:
        """Let as many bytes of content come, with what a server needs around them."""
        self._most = self._received + _FRAMING * count + MIB

    def measure(self, read: Callable[[], int | None]) -> int | None:
        """Read once, and check what came against the time that it took.

        Raises:
            TooSlowError: The server takes too long.
            TransportRefusedError: It sends much, and nothing that was asked for.
        """
        begun = self._clock()
        try:
            count = read()
        finally:
            self._waited += self._clock() - begun
        self._received += count or 0
        self._check()
        return count

    def _check(self) -> None:
        if self._received > self._most:
            what = "headers" if self._in_headers else "what is around its content"
            raise TransportRefusedError(
                f"{self._shown}: expected an answer, found more than {self._most} bytes of {what}",
                "The server is broken or hostile; ask its operator.",
                {"answer": f"more than {self._most} bytes of {what}"},
            )
        patience = self._patience
        if self._in_headers:
            longest = patience.header_seconds
        else:
            longest = patience.grace_seconds + self._received / patience.bytes_per_second
        if self._waited > longest:
            raise TooSlowError(
                f"{self._shown}: {self._received} bytes in {self._waited:.0f} seconds, expected "
                f"{patience.bytes_per_second} bytes per second",
                "Run the command again when the server or the network is faster; it resumes ",
            )


class PacedBody(http.client.HTTPResponse):
    """An answer of the standard library whose every byte goes through a pace."""

    current: ClassVar[threading.local] = threading.local()

    def __init__(self, sock: socket.socket, *rest: Any, **more: Any) -> None:
        """Read from a socket, at the pace of this thread's request."""
        super().__init__(sock, *rest, **more)
        self.pace: Pace | None = getattr(self.current, "pace", None)
        if self.pace is not None:
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_PacedBytes(raw, self.pace))

    def begin(self) -> None:
        """Read the headers."""
        super().begin()
        if self.pace is not None:
            self.pace.headers_end()


class _PacedBytes(io.RawIOBase):
    """Bytes of a connection as they come in."""

    def __init__(self, raw: io.RawIOBase, pace: Pace) -> None:
        self._raw = raw
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        return self._pace.measure(lambda: self._raw.readinto(buffer))

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


class _PlainConnection(HTTPConnection):
    response_class = PacedBody


class _TlsConnection(HTTPSConnection):
    """One whose handshake ends: each of its reads is timed alone by the TLS library."""

    response_class = PacedBody
    _guard: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        made = super()._new_conn()
        self._guard = made.dup()
        return made

    def connect(self) -> None:
        seconds = getattr(PacedBody.current, "handshake_seconds", HEADER_SECONDS)
        timer = threading.Timer(seconds, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            super().connect()
        finally:
            timer.cancel()
            if self._guard is not None:
                self._guard.close()
                self._guard = None

    def _give_up(self) -> None:
        """End the connection under the thread that waits for it."""
        guard = self._guard
        if guard is not None:
            with suppress(OSError):
                guard.shutdown(socket.SHUT_RDWR)


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def paced_pool(pool: urllib3.PoolManager) -> urllib3.PoolManager:
    """Return connections that read at the pace of the request at hand; see `at_pace`."""
    pool.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return pool


@contextmanager
def at_pace(pace: Pace, patience: Patience) -> Iterator[None]:
    """Let the requests of this thread be answered at a pace."""
    PacedBody.current.pace = pace
    PacedBody.current.handshake_seconds = patience.header_seconds
    try:
        yield
    finally:
        PacedBody.current.pace = None
