"""A pull-only registry in this process that misbehaves on demand.

It speaks the pull side of the OCI distribution specification with referrers, token and basic
authentication and TLS, counts what is asked of it, and breaks as a `Fault` says. It has none of
the product's code, so that a misreading there is not repeated here.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlsplit

from tests.support.registries.content import RegistryContent
from tests.support.registries.http import (
    LOOPBACK,
    Request,
    RequestLog,
    Server,
    parse_range,
    serving,
)
from tests.support.registries.oci import INDEX, to_json
from tests.support.registries.tls import ServerTls

_ROUTE = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs|referrers)/(?P<what>[^/]+)")
_TAGS = re.compile(r"/v2/(?P<repository>.+)/tags/list")
_REASONS = {401: "UNAUTHORIZED", 404: "MANIFEST_UNKNOWN", 405: "UNSUPPORTED"}


@dataclass(frozen=True)
class Auth:
    """Who may pull.

    Attributes:
        kind: `basic`, or `token` for a token service at /token of the same server.
        user: Name; an empty one lets everybody fetch a token.
        password: Its password.
        token_uses: After so many requests a token is refused as expired; 0 for never.
    """

    kind: Literal["basic", "token"]
    user: str = ""
    password: str = ""
    token_uses: int = 0

    @property
    def basic(self) -> str:
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


@dataclass(frozen=True)
class Fault:
    """How an answer goes wrong; the default changes nothing.

    Attributes:
        times: For how many requests; None for all.
        cut_after: The connection is closed after so many bytes of the body.
        flip: One bit in the middle of what is sent is another.
        extend: So many bytes more than promised, also in Content-Length.
        shorten: So many bytes fewer, also in Content-Length.
        ignore_range: A Range request is answered with 200 and everything.
        status: This status and no content.
        headers: Sent along with it, or with the content.
        body: Sent in the place of what is there, with `status` or 200; HTML unless `headers` say.
        redirect: The path is appended to this address, and 307 sends the client there.
        chunk: With `pause`, bytes at a time.
        pause: Seconds before each chunk.
    """

    times: int | None = None
    cut_after: int | None = None
    flip: bool = False
    extend: int = 0
    shorten: int = 0
    ignore_range: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    redirect: str = ""
    chunk: int = 65536
    pause: float = 0.0


_NO_FAULT = Fault()


class FaultyRegistry:
    """The registry's state and switches; `faulty_registry` runs it.

    Attributes:
        content: What it serves; may be changed while it runs.
        log: What was asked of it, with faults and refusals.
        url: Such as http://127.0.0.1:41234.
        host: The same without the scheme, as it stands in a reference.
        referrers_api: Whether it has the referrers API; without it that answers 404.
        page: Entries on one page of tags or referrers; 0 for all on one.
    """

    def __init__(
        self, content: RegistryContent, *, auth: Auth | None, secure: bool, referrers_api: bool
    ) -> None:
        self.content = content
        self.auth = auth
        self.log = RequestLog()
        self.referrers_api = referrers_api
        self.page = 0
        self.scheme = "https" if secure else "http"
        self.port = 0
        self._faults: list[tuple[str, Fault, list[int]]] = []
        self._tokens: dict[str, tuple[str, int]] = {}
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    def fault(self, where: str, fault: Fault) -> None:
        """Break every answer whose path contains `where`, such as a digest or `/manifests/`."""
        with self._lock:
            self._faults.append((where, fault, [0]))

    def blob_fetches(self) -> Counter[str]:
        """Return how often each blob was asked for with GET, by digest."""
        paths = (urlsplit(r.path).path for r in self.log.entries if r.method == "GET")
        return Counter(path.rpartition("/")[2] for path in paths if "/blobs/sha256:" in path)

    def heal(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._faults.clear()

    def fault_for(self, path: str) -> Fault:
        """Return the first fault for this path that is not used up, and use it once."""
        with self._lock:
            for where, fault, used in self._faults:
                if where in path and (fault.times is None or used[0] < fault.times):
                    used[0] += 1
                    return fault
        return _NO_FAULT

    def issue_token(self, scope: str) -> str:
        """Return a new token for a scope."""
        token = secrets.token_hex(16)
        with self._lock:
            self._tokens[token] = (scope, 0)
        return token

    def accepts(self, header: str, repository: str) -> bool:
        """Say whether an Authorization header lets its sender pull from `repository`."""
        if self.auth is None:
            return True
        if self.auth.kind == "basic":
            return secrets.compare_digest(header, self.auth.basic)
        with self._lock:
            scope, uses = self._tokens.get(header.removeprefix("Bearer "), ("", 0))
            if scope != f"repository:{repository}:pull" or 0 < self.auth.token_uses <= uses:
                return False
            self._tokens[header.removeprefix("Bearer ")] = (scope, uses + 1)
            return True


@contextmanager
def faulty_registry(
    content: RegistryContent,
    *,
    auth: Auth | None = None,
    tls: ServerTls | None = None,
    referrers_api: bool = True,
    address: tuple[str, int] = LOOPBACK,
) -> Iterator[FaultyRegistry]:
    """Serve `content` on a loopback port, or at `address`, until the end of the block."""
    state = FaultyRegistry(content, auth=auth, secure=tls is not None, referrers_api=referrers_api)

    class Handler(_RegistryHandler):
        registry = state

    with serving(Server(Handler, tls.context() if tls else None, address)) as port:
        state.port = port
        yield state


class _RegistryHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes, and the second must not wait for the client's ACK.
    disable_nagle_algorithm = True
    registry: FaultyRegistry

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the terminal clean; `RequestLog` has it all."""

    def _route(self) -> None:
        authorization = self.headers.get("Authorization", "")
        self.registry.log.add(
            Request(
                self.command,
                self.path,
                self.headers.get("Range", ""),
                authorization.partition(" ")[0],
            )
        )
        address = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if address.path == "/token":
            self._token(authorization, query)
            return
        fault = self.registry.fault_for(self.path)
        if fault.body is not None:
            self._send(fault.status or 200, fault.body, "text/html", headers=fault.headers)
            return
        if fault.status or fault.redirect:
            self._fail(fault)
            return
        route = _ROUTE.fullmatch(address.path)
        tags = _TAGS.fullmatch(address.path)
        match = route or tags
        repository = match["repository"] if match else ""
        if not self._allowed(authorization, repository, bool(match)):
            return
        if address.path == "/v2/":
            self._send(200, b"{}", "application/json", fault)
        elif tags:
            self._tags(repository, query, fault)
        elif route:
            self._content(repository, route["kind"], route["what"], query, fault)
        else:
            self._error(404)

    def _allowed(self, authorization: str, repository: str, scoped: bool) -> bool:
        auth = self.registry.auth
        if auth is None or (scoped and self.registry.accepts(authorization, repository)):
            return True
        if auth.kind == "basic":
            if self.registry.accepts(authorization, repository):
                return True
            self._error(401, {"WWW-Authenticate": 'Basic realm="registry"'})
            return False
        challenge = f'Bearer realm="{self.registry.url}/token",service="test"'
        if scoped:
            challenge += f',scope="repository:{repository}:pull"'
        self._error(401, {"WWW-Authenticate": challenge})
        return False

    def _token(self, authorization: str, query: Mapping[str, str]) -> None:
        auth = self.registry.auth
        if auth is None or (auth.user and authorization != auth.basic):
            self._error(401, {"WWW-Authenticate": 'Basic realm="token"'})
            return
        token = self.registry.issue_token(query.get("scope", ""))
        self._send(200, to_json({"token": token, "expires_in": 300}), "application/json")

    def _content(
        self, repository: str, kind: str, what: str, query: Mapping[str, str], fault: Fault
    ) -> None:
        content = self.registry.content
        if kind == "referrers":
            self._referrers(repository, what, query, fault)
            return
        tags = content.tags.get(repository)
        digest = (tags or {}).get(what, what)
        if tags is None or digest not in content.blobs:
            self._error(404)
        elif kind == "blobs":
            self._send(200, content.read(digest), "application/octet-stream", fault, digest=digest)
        elif digest in content.media_types:
            self._send(200, content.read(digest), content.media_types[digest], fault, digest=digest)
        else:
            self._error(404)

    def _tags(self, repository: str, query: Mapping[str, str], fault: Fault) -> None:
        tags = self.registry.content.tags.get(repository)
        if tags is None:
            self._error(404)
            return
        page, link = self._page(sorted(tags), query, f"/v2/{repository}/tags/list?")
        body = to_json({"name": repository, "tags": page})
        self._send(200, body, "application/json", fault, headers=link)

    def _referrers(
        self, repository: str, subject: str, query: Mapping[str, str], fault: Fault
    ) -> None:
        if not self.registry.referrers_api:
            self._error(404)
            return
        found = self.registry.content.referrers(subject)
        headers = {}
        if kind := query.get("artifactType", ""):
            found = [entry for entry in found if entry["artifactType"] == kind]
            headers["OCI-Filters-Applied"] = "artifactType"
        by_digest = {entry["digest"]: entry for entry in found}
        route = f"/v2/{repository}/referrers/{subject}?" + (
            f"artifactType={quote(kind)}&" * bool(kind)
        )
        page, link = self._page(list(by_digest), query, route)
        listing = [by_digest[digest] for digest in page]
        body = to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": listing})
        self._send(200, body, INDEX, fault, headers={**headers, **link})

    def _page(
        self, entries: list[str], query: Mapping[str, str], route: str
    ) -> tuple[list[str], dict[str, str]]:
        last, size = query.get("last", ""), int(query.get("n", self.registry.page))
        left = [entry for entry in entries if entry > last]
        if not 0 < size < len(left):
            return left, {}
        return left[:size], {"Link": f'<{route}n={size}&last={left[size - 1]}>; rel="next"'}

    def _fail(self, fault: Fault) -> None:
        headers = dict(fault.headers)
        if fault.redirect:
            headers["Location"] = fault.redirect + self.path
        self._error(fault.status or 307, headers)

    def _error(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        code = _REASONS.get(status, "UNKNOWN")
        body = to_json({"errors": [{"code": code, "message": code.lower(), "detail": None}]})
        self._send(status, body, "application/json", headers=headers)

    def _send(
        self,
        status: int,
        data: bytes,
        media_type: str,
        fault: Fault = _NO_FAULT,
        *,
        digest: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        made = {"Content-Type": media_type, **(headers or {}), **fault.headers}
        if digest:
            made["Docker-Content-Digest"] = digest
        wanted = self.headers.get("Range", "")
        if wanted and digest and not fault.ignore_range:
            try:
                part = parse_range(wanted, len(data))
            except ValueError:
                self._error(416, {"Content-Range": f"bytes */{len(data)}"})
                return
            if part:
                status = 206
                made["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{len(data)}"
                data = data[part[0] : part[1]]
        body = _spoil(data, fault)
        self.send_response(status)
        for name, value in {**made, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._write(body, fault)

    def _write(self, body: bytes, fault: Fault) -> None:
        if fault.cut_after is not None:
            body = body[: fault.cut_after]
            self.close_connection = True
        if not fault.pause:
            self.wfile.write(body)
            return
        for start in range(0, len(body), fault.chunk):
            time.sleep(fault.pause)
            self.wfile.write(body[start : start + fault.chunk])


def _spoil(data: bytes, fault: Fault) -> bytes:
    if fault.flip and data:
        middle = len(data) // 2
        data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    if fault.shorten:
        data = data[: -fault.shorten]
    return data + b"\0" * fault.extend
