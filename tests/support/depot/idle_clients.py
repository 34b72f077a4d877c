"""Clients that connect and do nothing, clients that ask and read nothing, and how others fare."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

_AT_A_TIME = 8
_ANSWER_SECONDS = 60.0
_PATIENCE_SECONDS = 0.5
"""A server that is full lets a client of the crowd wait; it is there all the same."""
_SMALL_WINDOW = 4096


@dataclass(frozen=True)
class Crowd:
    """Who is there.

    Attributes:
        idle: Clients that shake hands and say nothing.
        stalled: Clients that ask for something large and take nothing of it.
        asks: How many requests of others are timed.
    """

    idle: int
    stalled: int
    asks: int


@dataclass(frozen=True)
class Waited:
    """How long requests took, each on a connection of its own, in seconds."""

    longest: float
    middle: float


def wait_in(crowd: Crowd, url: str, large: str) -> Waited:
    """Open connections that stay, then ask as somebody else.

    Args:
        crowd: Who is there.
        url: Of a server on loopback, over TLS; whom its certificate is by does not matter here.
        large: A path of more content than the kernel keeps for a connection.
    """
    host, _, port = url.removeprefix("https://").rpartition(":")
    address = (host, int(port))
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def connect(window: int = 0, patience: float = _ANSWER_SECONDS) -> ssl.SSLSocket:
        plain = socket.socket()
        plain.settimeout(patience)
        if window:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        plain.connect(address)
        return context.wrap_socket(plain, do_handshake_on_connect=False)

    def be_idle(_: int) -> ssl.SSLSocket:
        made = connect(patience=_PATIENCE_SECONDS)
        with contextlib.suppress(TimeoutError):
            made.do_handshake()
        return made

    def be_stalled(_: int) -> ssl.SSLSocket:
        made = connect(_SMALL_WINDOW, _PATIENCE_SECONDS)
        with contextlib.suppress(TimeoutError):
            made.do_handshake()
            made.sendall(_get(large, ""))
        return made

    def ask() -> float:
        began = time.monotonic()
        with connect() as made:
            made.do_handshake()
            made.sendall(_get("/v2/", "Connection: close\r\n"))
            answer = made.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise AssertionError(answer[:200])
        return time.monotonic() - began

    with ThreadPoolExecutor(_AT_A_TIME) as threads, _closing() as kept:
        kept.extend(threads.map(be_idle, range(crowd.idle)))
        kept.extend(threads.map(be_stalled, range(crowd.stalled)))
        times = [ask() for _ in range(crowd.asks)]
    return Waited(max(times), median(times))


@contextlib.contextmanager
def _closing() -> Iterator[list[ssl.SSLSocket]]:
    kept: list[ssl.SSLSocket] = []
    try:
        yield kept
    finally:
        for each in kept:
            each.close()


def _get(path: str, header: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: depot.example\r\n{header}\r\n".encode()
