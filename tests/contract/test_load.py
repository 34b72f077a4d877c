"""The depot among clients that do nothing, and while its certificate is replaced."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import http.client
import os
import resource
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from installer.serving.tls.certificate import made_identity
from tests.support.depot.idle_clients import Crowd, wait_in
from tests.support.depot.imported import RunningDepot, serving

LARGE = "/files/example.org/large.bin"
CONTENT = bytes(range(256)) * 4096 * 3
_NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 8192:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_others_do_not_wait_for_idle_and_stalled_clients(
    served: RunningDepot, many_files: None
) -> None:
    # More than the 1,024 at which granian stops unless it is told otherwise.
    found = wait_in(Crowd(1060, 40, 12), served.url, LARGE)
    assert found.longest < 5, found


@pytest.fixture
def site_files(depot_path: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    made_identity(folder, ["127.0.0.1"], lambda: _NOW)
    return folder


def _options(folder: Path) -> list[str]:
    return ["--tls-cert", f"{folder}/server.pem", "--tls-key", f"{folder}/server.key"]


def _replace(folder: Path, other: Path) -> None:
    for name in ("server.pem", "server.key"):
        shutil.copy(other / name, folder / name)


def _shown(served: RunningDepot) -> bytes:
    host, port = served.host.split(":")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


def _until_shown(served: RunningDepot, other: bytes) -> None:
    for _ in range(600):
        if _shown(served) != other and _shown(served) != other:
            return
        time.sleep(0.05)
    pytest.fail(served.child.log.read_text())


class _Clients:
    """Clients that go on until they are told to stop; `errors` has what befell them."""

    def __init__(self, served: RunningDepot) -> None:
        self.errors: list[str] = []
        self.answered = 0
        self.received = hashlib.sha256()
        self._served = served
        self._stop = threading.Event()
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._threads = [
            threading.Thread(target=self._ask, args=(keep,)) for keep in (True, False, False)
        ]
        self._slow = threading.Thread(target=self._download)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        for thread in (*self._threads, self._slow):
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in (*self._threads, self._slow):
                thread.join(60)

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._served.host, context=self._context, timeout=30)

    def _ask(self, keep: bool) -> None:
        connection = self._connect()
        while not self._stop.is_set():
            try:
                connection.request("GET", "/v2/")
                with connection.getresponse() as response:
                    response.read()
                    if response.will_close or not keep:
                        connection.close()
                self.answered += 1
            except (OSError, http.client.HTTPException) as error:
                self.errors.append(repr(error))
                connection = self._connect()

    def _download(self) -> None:
        """Take a file so slowly that it lasts until the end."""
        connection = self._connect()
        try:
            connection.request("GET", LARGE)
            with connection.getresponse() as response:
                while data := response.read(65536):
                    self.received.update(data)
                    self._stop.wait(0.1)
        except (OSError, http.client.HTTPException) as error:
            self.errors.append(f"download: {error!r}")


def test_a_new_certificate_is_taken_without_dropping_a_connection(
    depot_path: Path, site_files: Path, tmp_path: Path
) -> None:
    made_identity(tmp_path / "next", ["127.0.0.1"], lambda: _NOW)
    with serving(depot_path, tmp_path, _options(site_files)) as served:
        first = _shown(served)
        clients = _Clients(served)
        with clients.running():
            _replace(site_files, tmp_path / "next")
            os.kill(served.child.pid, signal.SIGHUP)
            _until_shown(served, first)
            before = clients.answered
            while clients.answered < before + 50 and not clients.errors:
                time.sleep(0.01)
        assert clients.errors == []
        assert clients.received.digest() == hashlib.sha256(CONTENT).digest()
        assert "the certificate was replaced" in served.child.log.read_text()
        # The workers that showed the former one end with their last connection.
        for _ in range(600):
            if len(psutil.Process(served.child.pid).children()) == 2:
                break
            time.sleep(0.05)
        else:
            pytest.fail("workers that were replaced live on")


@pytest.mark.parametrize("fault", ["another key", "no file", "for another host"])
def test_a_new_certificate_that_does_not_hold_changes_nothing(
    depot_path: Path, site_files: Path, tmp_path: Path, fault: str
) -> None:
    made_identity(tmp_path / "next", ["elsewhere.example"], lambda: _NOW)
    options = [*_options(site_files), "--name", "127.0.0.1"]
    with serving(depot_path, tmp_path, options) as served:
        first = _shown(served)
        if fault == "no file":
            (site_files / "server.pem").unlink()
        elif fault == "another key":
            shutil.copy(tmp_path / "next" / "server.key", site_files / "server.key")
        else:
            _replace(site_files, tmp_path / "next")
        os.kill(served.child.pid, signal.SIGHUP)
        for _ in range(600):
            if "the certificate was not replaced" in served.child.log.read_text():
                break
            time.sleep(0.05)
        else:
            pytest.fail(served.child.log.read_text())
        # Also a worker that is started again shows what was checked.
        (worker, _) = psutil.Process(served.child.pid).children()
        worker.kill()
        for _ in range(20):
            assert _shown(served) == first


def test_health_says_when_the_certificate_ends(served: RunningDepot) -> None:
    said = served.json("/healthz")["certificate"]
    assert said["state"] == "ok"
    assert said["days"] > 700
    assert said["expires"].endswith("Z")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"GET /v2/ HTTP/1.1\r\nHost: depot.example\r\n", 200),
        (b"GET /v2/ HTTP/1.1\r\nHost: [fd00::5]:5443\r\n", 200),
        (b"GET /v2/ HTTP/1.0\r\n", 200),
        (b"GET /v2/ HTTP/1.1\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost:\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: a\r\nhOST: b\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: a b\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: a/b\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: user@a\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: a, b\r\n", 400),
        (b"HEAD /v2/ HTTP/1.1\r\n", 400),
        (b"GET https://a.example/v2/ HTTP/1.1\r\n", 400),
        (b"POST /v2/ HTTP/1.1\r\n", 400),
    ],
)
def test_a_request_names_one_host(served: RunningDepot, lines: bytes, status: int) -> None:
    host, port = served.host.split(":")
    context = ssl.create_default_context(cafile=str(served.ca))
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        secure.sendall(lines + b"Connection: close\r\n\r\n")
        answer = secure.recv(65536)
    assert answer.split()[1] == str(status).encode(), answer
