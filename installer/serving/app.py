"""The depot as an RSGI application: requests in, replies out, files sent by the server itself.

Source: RSGI specification 1.6 (granian).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from installer.depot.directory import DepotDirectory
from installer.serving.content import BlobBrokenError
from installer.serving.http import (
    MAX_TARGET_CHARS,
    Reply,
    Request,
    json_reply,
    names_its_host,
    text_reply,
)
from installer.serving.live import LiveDepot, Snapshot
from installer.serving.replies import broken_reply, error_reply, unopened_reply
from installer.serving.shown import Expiry, expiry_of
from installer.serving.tls.certificate import Identity
from installer.serving.watch import Watch

_READ: Final = ("GET", "HEAD")
_WELCOME: Final = """\
This is an Isoward depot: verified content for machines without a network.

/v2/                 images and charts, for containerd, skopeo, podman, helm: a reference
                     registry.example.org/app/web:2.1 is registry.example.org/app/web here
/charts/index.yaml   charts, as a Helm repository; /charts/<host>/<path>/ for one repository alone
/files/              files, below the host and path that they came from
/os/                 packages of operating systems, for apt and dnf
/pypi/               Python packages: /pypi/<set>/simple/ is an index for pip, with
                     /pypi/<set>/requirements/<environment>.txt, pinned and with hashes:
                     pip install --no-deps --require-hashes, then pip check
/healthz             whether all is well

bundles {bundles}, repositories {repositories}, charts {charts}, files {files}, blobs {blobs}
Python packages {wheels}
"""


async def answer(live: LiveDepot, request: Request, expiry: Expiry | None = None) -> Reply:
    """Answer any request, also a hostile one.

    Args:
        live: What is served.
        request: What is asked for.
        expiry: Of the certificate that is shown.
    """
    if len(request.path) + len(request.query) > MAX_TARGET_CHARS:
        return text_reply(414, "the address is too long\n")
    if request.method not in _READ:
        message = "the depot is read-only; content comes in with `isoward import`"
        return error_reply(405, "UNSUPPORTED", message, extra={"allow": ", ".join(_READ)})
    snapshot = await live.snapshot()
    try:
        return _route(snapshot, request, expiry)
    except BlobBrokenError as error:
        cause = error.__cause__
        digest = str(error)
        return unopened_reply(digest, cause) if isinstance(cause, OSError) else broken_reply(digest)
    except ValueError:
        return text_reply(400, "the query has too many fields\n")


def _route(snapshot: Snapshot, request: Request, expiry: Expiry | None) -> Reply:
    top = request.path.split("/", 2)[1] if request.path.startswith("/") else ""
    downloads = snapshot.downloads
    answers: dict[str, Callable[[Request], Reply]] = {
        "v2": snapshot.registry.answer,
        "files": downloads.files,
        "charts": downloads.charts,
        "os": downloads.os_packages,
        "pypi": snapshot.python.answer,
    }
    if top in answers:
        return answers[top](request)
    if top in snapshot.catalogue.paths:
        return downloads.other(top, request)
    if request.path == "/healthz":
        return _health(snapshot, expiry)
    if request.path == "/":
        return _welcome(snapshot)
    return text_reply(404, "not found; / lists what is where\n")


def _health(snapshot: Snapshot, expiry: Expiry | None) -> Reply:
    blobs = snapshot.health.facts()
    expired = expiry is not None and expiry.state == "expired"
    body: dict[str, Any] = {
        "status": "degraded" if snapshot.broken or blobs["damaged"] or expired else "ok",
        "bundles": snapshot.bundles,
        "broken": list(snapshot.broken),
        **blobs,
    }
    if expiry is not None:
        body["certificate"] = {
            "expires": f"{expiry.expires:%Y-%m-%dT%H:%M:%SZ}",
            "days": expiry.days,
            "state": expiry.state,
        }
    return json_reply(200, body, {"cache-control": "no-store"})


def _welcome(snapshot: Snapshot) -> Reply:
    catalogue = snapshot.catalogue
    text = _WELCOME.format(
        bundles=snapshot.bundles,
        repositories=len(catalogue.repositories),
        charts=sum(len(charts) for charts in catalogue.charts.values()),
        files=len(catalogue.files),
        wheels=sum(len(wheels) for wheels in catalogue.python_wheels.values()),
        blobs=len(catalogue.sizes),
    )
    return text_reply(200, text, {"cache-control": "no-store"})


class Worker(Protocol):
    """The process that the application runs in."""

    retired: bool
    """Whether another took its place: clients are to come back by another connection."""

    def report(self, loop: Any) -> None:
        """Take note that requests are answered now."""


class DepotApp:
    """What granian calls."""

    def __init__(self, depot: DepotDirectory, worker: Worker, identity: Identity) -> None:
        """Serve `depot`.

        Args:
            depot: Checked and open.
            worker: Told with the event loop once, before the first request.
            identity: The certificate that is shown.
        """
        self._live = LiveDepot(depot)
        self._watch = Watch(depot)
        self._worker = worker
        self._expires = identity.expires

    def __rsgi_init__(self, loop: Any) -> None:
        self._worker.report(loop)
        self._watch.start()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        # granian has percent-decoded the path once; what is no UTF-8 became U+FFFD.
        request = Request(scope.method, scope.path, scope.query_string, scope.headers)
        # A bug ends in granian's log with its traceback, and in a 500 for this request alone.
        if names_its_host(scope.headers.get_all("host"), scope.http_version):
            expiry = expiry_of(self._expires, dt.datetime.now(dt.UTC))
            made = await answer(self._live, request, expiry)
        else:
            made = text_reply(400, "expected one Host header, with the name of a host\n")
        extra = [("connection", "close")] if self._worker.retired else []
        _send(request.method, protocol, made, extra)


def _send(method: str, protocol: Any, made: Reply, extra: Sequence[tuple[str, str]]) -> None:
    headers = [*made.headers, *extra]
    if method == "HEAD" or (made.file is None and not made.body):
        protocol.response_empty(made.status, headers)
    elif made.file is None:
        protocol.response_bytes(made.status, headers, made.body)
    elif made.file.whole:
        protocol.response_file(made.status, headers, str(made.file.path))
    else:
        protocol.response_file_range(
            made.status, headers, str(made.file.path), made.file.start, made.file.end
        )
