"""What the little HTTP servers of the tests share: threads, TLS, counting, byte ranges."""

from __future__ import annotations

import ssl
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOPBACK = ("127.0.0.1", 0)
"""A port of the kernel's choice."""


@dataclass(frozen=True)
class Request:
    """One request as it arrived.

    Attributes:
        method: GET, HEAD and so on.
        path: Path and query.
        range: The Range header, or an empty string.
        authorization: The scheme of the Authorization header, or an empty string.
    """

    method: str
    path: str
    range: str = ""
    authorization: str = ""


@dataclass
class RequestLog:
    """Requests in the order of their arrival; safe to read from other threads."""

    _entries: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: Request) -> None:
        with self._lock:
            self._entries.append(request)

    @property
    def entries(self) -> list[Request]:
        with self._lock:
            return list(self._entries)

    def count(self, method: str | None = None) -> Counter[str]:
        """Return how often each path was asked for, by one method or by any."""
        return Counter(r.path for r in self.entries if method in {None, r.method})

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


class Server(ThreadingHTTPServer):
    """A server on a loopback port that the kernel chooses, or at an address."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self,
        handler: type[BaseHTTPRequestHandler],
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = LOOPBACK,
    ) -> None:
        super().__init__(address, handler)
        self._tls = tls

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self._tls is None:
            return connection, address
        connection.settimeout(10)
        # The handshake is left to the request's own thread, or a silent client would block all.
        wrapped = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, address

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._tls is not None:
            request.do_handshake()
            request.settimeout(None)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when a client leaves early or does not trust us; that is part of tests."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@contextmanager
def serving(server: Server) -> Iterator[int]:
    """Serve until the end of the block; yields the port."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Read a Range header of one range.

    Returns:
        First byte and the byte after the last; None when the header is to be ignored.
    Raises:
        ValueError: It cannot be satisfied (416).
    Source: RFC 9110, section 14.
    """
    unit, _, spec = header.partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in spec:
        return None
    if not (first + last).isdigit():
        return None
    if not first:
        if int(last) == 0:
            raise ValueError(header)
        return max(0, size - int(last)), size
    start, end = int(first), min(int(last) + 1 if last else size, size)
    if start >= size:
        raise ValueError(header)
    return (start, end) if start < end else None
