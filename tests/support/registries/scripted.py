"""A web server that answers as a test scripts it, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.registries.http import Server, serving
from tests.support.registries.tls import ServerTls


@dataclass(frozen=True)
class Asked:
    """One request, with its headers by lower-case name."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        length: Content-Length; None for the body's own, negative for none at all.
        drop: The connection is cut without any answer.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    drop: bool = False


Script = Callable[[Asked], Reply]


@dataclass
class Scripted:
    """A running server."""

    script: Script
    host: str = ""
    scheme: str = "http"
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


@contextmanager
def scripted(script: Script, tls: ServerTls | None = None) -> Iterator[Scripted]:
    """Answer by `script` on a loopback port until the end of the block."""
    state = Scripted(script, scheme="https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body are two writes, and the second must not wait for the first one's ACK.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, self.rfile.read(length))
            with state.lock:
                state.asked.append(asked)
            self._reply(state.script(asked))

        do_HEAD = do_POST = do_GET  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep the terminal clean."""

        def _reply(self, reply: Reply) -> None:
            self.close_connection = self.close_connection or reply.drop or reply.length is not None
            if reply.drop:
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            length = len(reply.body) if reply.length is None else reply.length
            if length >= 0:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

    with serving(Server(Handler, tls.context() if tls else None)) as port:
        state.host = f"127.0.0.1:{port}"
        yield state


def in_turn(*replies: Reply) -> Script:
    """Give these answers one after the other, the last one for ever."""
    rest = list(replies)
    return lambda _: rest.pop(0) if len(rest) > 1 else rest[0]
