"""Servers that never end, on real sockets: each is left, in a bounded time."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from bundle.base.errors import FormatError, TooSlowError, TransportError, TransportRefusedError
from bundle.base.reference import parse_reference
from bundler.registry.client import RegistryClient
from bundler.registry.config import HostSource
from bundler.registry.hosts import AllowList, Url, parse_url
from bundler.registry.pace import Patience
from bundler.registry.response import Request
from bundler.registry.transport import Transport, Waiting
from bundler.sources.common.download import read_whole
from tests.support.registries.connecting import Naps, source_config

PATIENCE = Patience(
    silence_seconds=5,
    header_seconds=0.3,
    header_bytes=20_000,
    grace_seconds=0.3,
    bytes_per_second=10_000,
)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LONG = b"A: " + b"b" * 60_000 + b"\r\n"
SIZED = OK + b"Content-Length: 9000000\r\n\r\n"
SMALL = OK + b"Content-Length: 900000\r\n\r\n"
DIGEST = "sha256:" + "0" * 64
Script = Callable[[], Iterable[bytes]]


class Endless:
    """A server that sends what a script gives, and counts its connections."""

    def __init__(self, script: Script, pause: float) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = 0
        self._script = script
        self._pause = pause

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(5)
            connection.recv(65536)
            for part in self._script():
                connection.sendall(part)
                time.sleep(self._pause)


@contextmanager
def endless(script: Script, pause: float) -> Iterator[Endless]:
    server = Endless(script, pause)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join()


def drip(text: bytes, then: bytes = b"x") -> Script:
    """A byte at a time, and no end of the last one."""
    return lambda: (bytes([byte]) for byte in itertools.chain(text, itertools.cycle(then)))


def after(begin: bytes, part: bytes) -> Script:
    return lambda: itertools.chain([begin], itertools.repeat(part))


ENDLESS: dict[str, tuple[Script, float, type[TransportError], str]] = {
    "100 Continue": (after(b"", CONTINUE * 50), 0, TransportRefusedError, "of headers"),
    "100 Continue, now and then": (after(b"", CONTINUE), 0.05, TooSlowError, "in 0 seconds"),
    "a status line": (drip(b"HTTP/1.1 "), 0.02, TooSlowError, "bytes in"),
    "a header": (drip(OK + b"A: "), 0.02, TooSlowError, "bytes in"),
    "headers": (after(OK, b"A: b\r\n"), 0, TransportError, "the connection broke"),
    "large headers": (
        after(OK, b"A: " + b"b" * 9000 + b"\r\n"),
        0,
        TransportRefusedError,
        "headers",
    ),
    "a body": (
        after(SIZED, b"x"),
        0.05,
        TooSlowError,
        "bytes in",
    ),
    "chunks": (after(CHUNKED, b"1\r\nx\r\n"), 0.05, TooSlowError, "bytes in"),
    "chunk extensions": (
        after(CHUNKED, b"1;" + b"e" * 60_000 + b"\r\nx\r\n"),
        0,
        TransportRefusedError,
        "around its content",
    ),
    "trailers": (after(CHUNKED + b"0\r\n", LONG), 0, TransportRefusedError, "around"),
    "a trailer": (after(CHUNKED + b"0\r\n", b"A: b\r\n"), 0.05, TooSlowError, "bytes in"),
}


def paced(host: str, config: HostSource | None = None) -> Transport:
    sources = source_config({host: config} if config else None)
    return Transport(sources, AllowList([host], sources), Waiting(sleep=Naps()), PATIENCE)


def _fetch(transport: Transport, url: Url) -> None:
    transport.fetch(Request("GET", url), limit=10_000_000)


def _stream(transport: Transport, url: Url) -> None:
    with transport.open(Request("GET", url)) as response:
        while response.readinto(memoryview(bytearray(1 << 20))):
            pass


@pytest.mark.parametrize("what", ENDLESS)
@pytest.mark.parametrize("ask", [_fetch, _stream])
def test_an_answer_without_an_end_is_left(what: str, ask: Callable[[Transport, Url], None]) -> None:
    script, pause, kind, said = ENDLESS[what]
    begun = time.monotonic()
    with endless(script, pause) as server:
        transport, url = paced(server.host), parse_url(f"http://{server.host}/x")
        with pytest.raises(kind, match=said) as caught:
            ask(transport, url)
        # What is refused is not asked for again.
        assert server.connections == (5 if caught.type is TransportError else 1)
    assert time.monotonic() - begun < 3


def test_content_without_an_end_is_left_at_its_limit() -> None:
    with endless(after(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"), 0) as server:
        url = parse_url(f"http://{server.host}/x")
        with pytest.raises(FormatError, match="at most 50000 bytes"):
            paced(server.host).fetch(Request("GET", url), limit=50_000)


def test_a_handshake_without_an_end_is_left() -> None:
    begun = time.monotonic()
    # A record of TLS that never is whole; each byte is within any time-out on silence.
    with endless(drip(b"\x16\x03\x03\x40\x00\x02"), 0.02) as server:
        transport = paced(server.host, HostSource(plain_http=False))
        with pytest.raises(TransportError, match="2 times"):
            transport.open(Request("GET", parse_url(f"https://{server.host}/x")), attempts=2)
    assert time.monotonic() - begun < 3


def test_small_chunks_and_a_pause_within_the_grace_are_no_fault() -> None:
    def script() -> Iterator[bytes]:
        yield CONTINUE * 3 + CHUNKED
        yield b"1\r\nx\r\n" * 30_000
        yield b"0\r\nA: b\r\n\r\n"

    with endless(script, 0.05) as server:
        url = parse_url(f"http://{server.host}/x")
        assert len(paced(server.host).fetch(Request("GET", url), limit=40_000).data) == 30_000


def test_time_between_two_reads_is_the_callers_own() -> None:
    data = b"x" * 200_000
    begin = OK + b"Content-Length: %d\r\n\r\n" % len(data)
    with endless(lambda: [begin + data], 0) as server:
        url = parse_url(f"http://{server.host}/x")
        count = 0
        with paced(server.host).open(Request("GET", url)) as response:
            while got := response.readinto(memoryview(bytearray(70_000))):
                count += got
                time.sleep(0.2)
    assert count == len(data)


def _token_realm(host: str) -> Script:
    demand = f'Bearer realm="http://{host}/token",service="x"'
    begin = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {demand}\r\nContent-Length: 0\r\n\r\n"
    return lambda: [begin.encode()]


@pytest.mark.parametrize(
    "ask",
    [
        lambda made, host: made.get_manifest(parse_reference(f"{host}/app/web:1")),
        lambda made, host: made.referrers(parse_reference(f"{host}/app/web:1"), DIGEST),
        lambda made, host: made.get_page(f"http://{host}/simple/x/", "text/html", 10_000_000),
        lambda made, host: read_whole(
            lambda: made.open_url(f"http://{host}/index.yaml"), 10_000_000, "x"
        ),
    ],
    ids=["manifest", "referrers", "page", "document"],
)
@pytest.mark.parametrize("at_the_token", [False, True], ids=["itself", "its token"])
def test_whatever_is_asked_has_an_end(
    ask: Callable[[RegistryClient, str], object], at_the_token: bool
) -> None:
    begun = time.monotonic()
    with endless(after(SMALL, b"x"), 0.05) as slow:
        if not at_the_token:
            with pytest.raises(TooSlowError):
                ask(RegistryClient(paced(slow.host)), slow.host)
        else:
            with endless(_token_realm(slow.host), 0) as server:
                sources = source_config()
                allowed = AllowList([server.host, slow.host], sources)
                both = Transport(sources, allowed, Waiting(sleep=Naps()), PATIENCE)
                with pytest.raises(TooSlowError):
                    ask(RegistryClient(both), server.host)
        assert slow.connections == 1
    assert time.monotonic() - begun < 3
