"""A static HTTP site with Range, HEAD and ETag, which counts its requests.

The standard library's server has neither Range nor ETag, and a resumed download needs both.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.registries.http import (
    LOOPBACK,
    Request,
    RequestLog,
    Server,
    parse_range,
    serving,
)
from tests.support.registries.tls import ServerTls


@dataclass(frozen=True)
class StaticSite:
    """A running site.

    Attributes:
        url: Its root, without a final slash.
        root: The directory that it serves.
        log: What was asked of it.
    """

    url: str
    root: Path
    log: RequestLog

    def put(self, path: str, data: bytes) -> str:
        """Add a file and return its address."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return f"{self.url}/{path}"


@contextmanager
def static_site(
    root: Path,
    address: tuple[str, int] = LOOPBACK,
    tls: ServerTls | None = None,
    absent: tuple[HTTPStatus, bytes] = (HTTPStatus.NOT_FOUND, b""),
) -> Iterator[StaticSite]:
    """Serve a directory on a loopback port, or at `address`, until the end of the block.

    Args:
        root: The directory.
        address: Where to listen.
        tls: For https.
        absent: What is answered to whoever asks for a file that is not there.
    """
    root.mkdir(parents=True, exist_ok=True)
    log = RequestLog()
    handler = _handler_for(root.resolve(), log, absent)
    server = Server(handler, tls.context() if tls else None, address)
    with serving(server) as port:
        scheme = "https" if tls else "http"
        yield StaticSite(f"{scheme}://{address[0]}:{port}", root, log)


def _handler_for(
    root: Path, log: RequestLog, absent: tuple[HTTPStatus, bytes]
) -> type[BaseHTTPRequestHandler]:
    class Handler(_SiteHandler):
        site_absent = absent
        site_root = root
        site_log = log

    return Handler


class _SiteHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes, and the second must not wait for the client's ACK.
    disable_nagle_algorithm = True
    site_root: Path
    site_log: RequestLog
    site_absent: tuple[HTTPStatus, bytes]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the terminal clean; `RequestLog` has it all."""

    def _answer(self, *, body: bool) -> None:
        wanted = self.headers.get("Range", "")
        self.site_log.add(Request(self.command, self.path, wanted))
        path = (self.site_root / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if not path.is_relative_to(self.site_root) or not path.is_file():
            self._refuse(self.site_absent[0], page=self.site_absent[1])
            return
        size, etag = path.stat().st_size, _etag(path)
        if self.headers.get("If-None-Match") == etag:
            self._head(HTTPStatus.NOT_MODIFIED, 0, etag)
            return
        if self.headers.get("If-Range", etag) != etag:
            wanted = ""
        try:
            part = parse_range(wanted, size) if wanted else None
        except ValueError:
            self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"bytes */{size}")
            return
        start, end = part or (0, size)
        status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
        content_range = f"bytes {start}-{end - 1}/{size}" if part else ""
        self._head(status, end - start, etag, content_range)
        if body:
            self._send(path, start, end - start)

    def _head(self, status: HTTPStatus, length: int, etag: str, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", etag)
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def _send(self, path: Path, start: int, length: int) -> None:
        with path.open("rb") as stream:
            stream.seek(start)
            if start == 0 and length == path.stat().st_size:
                shutil.copyfileobj(stream, self.wfile, 1 << 20)
                return
            while length > 0 and (chunk := stream.read(min(length, 1 << 20))):
                self.wfile.write(chunk)
                length -= len(chunk)

    def _refuse(self, status: HTTPStatus, content_range: str = "", page: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(page)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page)


def _etag(path: Path) -> str:
    stat = path.stat()
    seed = f"{path}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}"
    return f'"{hashlib.sha256(seed.encode()).hexdigest()[:32]}"'
