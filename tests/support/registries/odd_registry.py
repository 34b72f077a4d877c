"""A registry in this process that takes pushes, and can be as odd as those that people have met."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from tests.support.registries.oci import sha256


@dataclass
class Odd:
    """What it holds, and how it behaves.

    Attributes:
        host: Its address.
        blobs: By repository and digest.
        manifests: By repository and tag or digest.
        seen: Method and path of each request, in order.
        logins: The Authorization of each request, in order.
        location: Makes the Location of an upload from its path.
        realm: Of its token service; no login is wanted without one.
        token_lives: How many requests a token is good for.
        referrers: Whether it has the referrers API.
        refuse: Status and body by what a request's method and path begin with.
        elsewhere: Whether HEAD of a blob leads to another storage.
        mounts: Whether it mounts blobs.
        digest_header: Whether it says digests of manifests.
    """

    host: str = ""
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    location: Callable[[str], str] = lambda path: path
    realm: str = ""
    basic: bool = False
    token_lives: int = 1000
    referrers: bool = False
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    fail_once: set[str] = field(default_factory=set)
    elsewhere: bool = False
    mounts: bool = True
    digest_header: bool = True
    _uploads: dict[str, bytes] = field(default_factory=dict)
    _tokens: dict[str, int] = field(default_factory=dict)

    def tags(self, repository: str) -> set[str]:
        return {n for r, n in self.manifests if r == repository and not n.startswith("sha256:")}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    odd: Odd

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""

    def _reply(self, status: int, data: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        self.odd.seen.append((self.command, self.path))
        self.odd.logins.append(self.headers.get("Authorization", ""))
        if url.path == "/token":
            self._token()
            return
        if not self._may_enter():
            return
        named = f"{self.command} {self.path}"
        for prefix in sorted(self.odd.fail_once):
            if named.startswith(prefix):
                self.odd.fail_once.remove(prefix)
                self._reply(503)
                return
        for prefix, (status, text) in self.odd.refuse.items():
            if named.startswith(prefix):
                self._reply(status, text.encode())
                return
        self._route(url.path.removeprefix("/v2/"), parse_qs(url.query), body)

    def _token(self) -> None:
        made = f"token-{len(self.odd._tokens)}"
        self.odd._tokens[made] = self.odd.token_lives
        self._reply(200, json.dumps({"token": made}).encode())

    def _may_enter(self) -> bool:
        given = self.headers.get("Authorization", "")
        if self.odd.basic:
            wanted = "Basic " + base64.b64encode(b"me:secret").decode()
            if given != wanted:
                self._reply(401, WWW_Authenticate='Basic realm="Registry Realm"')
            return given == wanted
        if not self.odd.realm:
            return True
        token = given.removeprefix("Bearer ")
        if self.odd._tokens.get(token, 0) > 0:
            self.odd._tokens[token] -= 1
            return True
        said = f'Bearer realm="{self.odd.realm}",service="odd",scope="x"'
        self._reply(401, WWW_Authenticate=said)
        return False

    def _route(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        if "/blobs/uploads/" in path:
            self._upload(path, query, body)
        elif "/blobs/" in path:
            repository, _, digest = path.partition("/blobs/")
            known = (repository, digest) in self.odd.blobs
            if known and self.odd.elsewhere:
                self._reply(307, Location="https://storage.invalid/blob")
            else:
                self._reply(200 if known else 404)
        elif "/manifests/" in path:
            repository, _, name = path.partition("/manifests/")
            self._manifest(repository, name, body)
        elif "/referrers/" in path and self.odd.referrers:
            self._reply(200, b'{"schemaVersion":2,"manifests":[]}')
        else:
            self._reply(404)

    def _upload(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        repository, _, name = path.partition("/blobs/uploads/")
        if self.command == "POST":
            origin, digest = query.get("from", [""])[0], query.get("mount", [""])[0]
            if self.odd.mounts and (origin, digest) in self.odd.blobs:
                self.odd.blobs[repository, digest] = self.odd.blobs[origin, digest]
                self._reply(201)
                return
            name = f"u{len(self.odd._uploads)}"
            self.odd._uploads[name] = b""
        elif name not in self.odd._uploads:
            self._reply(404)
            return
        elif self.command == "DELETE":
            del self.odd._uploads[name]
            self._reply(204)
            return
        self.odd._uploads[name] += body
        if self.command == "PUT":
            digest, data = query["digest"][0], self.odd._uploads.pop(name)
            if sha256(data) != digest:
                self._reply(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
                return
            self.odd.blobs[repository, digest] = data
            self._reply(201)
            return
        where = self.odd.location(f"/v2/{repository}/blobs/uploads/{name}?_state=a%2Bb")
        self._reply(202, Location=where)

    def _manifest(self, repository: str, name: str, body: bytes) -> None:
        if self.command == "PUT":
            for key in (name, sha256(body)):
                self.odd.manifests[repository, key] = body
            self._reply(201, Docker_Content_Digest=sha256(body))
            return
        data = self.odd.manifests.get((repository, name))
        if data is None:
            self._reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        elif self.odd.digest_header:
            self._reply(200, data, Docker_Content_Digest=sha256(data))
        else:
            self._reply(200, data)


@contextmanager
def odd_registry() -> Iterator[Odd]:
    """Run one on a loopback port until the end of the block."""
    odd = Odd()
    methods = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")
    answers = {f"do_{method}": _Handler._handle for method in methods}
    handler = type("Handler", (_Handler,), {"odd": odd, **answers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    odd.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield odd
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
