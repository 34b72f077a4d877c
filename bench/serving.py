"""The depot's throughput against nginx, over TLS, with several clients at a time."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.measure import ISOWARD, MIB, Row, Run, alternate
from tests.support.programs.processes import free_port, listens, running

CLIENTS = 4
_LARGE = 16 * MIB
_NGINX = """\
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile on;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {tls}/server.pem;
    ssl_certificate_key {tls}/server.key;
    ssl_protocols TLSv1.3;
    root {root};
  }}
}}
"""


def serve_rows(work: Path, depot: Path, rounds: int) -> list[Row]:
    """Fetch every large blob from both and compare the rates."""
    blobs = sorted(p for p in (depot / "blobs" / "sha256").iterdir() if p.stat().st_size > _LARGE)
    size = sum(path.stat().st_size for path in blobs)
    names = [path.name for path in blobs]
    memory = _PeakMemory()
    with _depot(work, depot) as (url, ca, child), _nginx(work, depot) as nginx:
        memory.watch(child)
        repository = _repository(depot)
        mine, theirs = alternate(
            rounds,
            lambda _: _fetch([f"{url}/v2/{repository}/blobs/sha256:{n}" for n in names], ca),
            lambda _: _fetch([f"{nginx}/{n}" for n in names], ca),
        )
        memory.stop()
    rate = size / MIB / mine.seconds
    peer = size / MIB / theirs.seconds
    return [Row("serve", rate, peer, "nginx, TLS 1.3", "MiB/s", 0.85, memory.peak)]


def _fetch(urls: list[str], ca: Path) -> Run:
    """Fetch with some clients at a time, each on one connection."""
    began = time.monotonic()
    clients = [
        subprocess.Popen(
            ["curl", "--silent", "--show-error", "--fail", "--http1.1", "--cacert", str(ca)]
            + [part for url in urls[i::CLIENTS] for part in ("--output", "/dev/null", url)]
        )
        for i in range(CLIENTS)
    ]
    codes = [client.wait() for client in clients]
    if any(codes):
        raise RuntimeError("a client failed")
    return Run(time.monotonic() - began, 0)


@contextmanager
def _depot(work: Path, depot: Path) -> Iterator[tuple[str, Path, int]]:
    ready = work / "ready.json"
    command: list[str | Path] = [*ISOWARD, "serve", "--depot", depot]
    command += ["--address", "127.0.0.1", "--port", "0"]
    with running(
        "isoward serve",
        [*command, "--ready-file", ready],
        work / "serve.log",
        ready=ready.exists,
    ) as child:
        said = json.loads(ready.read_text())
        yield said["url"].rstrip("/"), Path(said["ca"]), child.pid


@contextmanager
def _nginx(work: Path, depot: Path) -> Iterator[str]:
    folder = work / "nginx"
    folder.mkdir()
    # A folder of root's own is closed to nginx's workers.
    folder.chmod(0o777)
    port = free_port()
    blobs = depot / "blobs" / "sha256"
    for parent in (blobs, *blobs.parents):
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, tls=depot / "tls", root=blobs))
    with running(
        "nginx",
        ["nginx", "-c", config, "-p", folder],
        work / "nginx.log",
        ready=lambda: listens(port),
    ):
        yield f"https://127.0.0.1:{port}"


def _repository(depot: Path) -> str:
    """Return the path of any repository in the depot."""
    bundle = next((depot / "bundles").iterdir()) / "bundle.json"
    reference: str = json.loads(bundle.read_text())["images"][0]["reference"]
    return reference.rpartition(":")[0].replace(":", "_")


class _PeakMemory:
    """The largest resident memory of a process and its children together, in MiB."""

    def __init__(self) -> None:
        self.peak = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, pid: int) -> None:
        self._thread = threading.Thread(target=self._sample, args=(psutil.Process(pid),))
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread:
            self._thread.join()

    def _sample(self, process: psutil.Process) -> None:
        while not self._stopped.wait(0.1):
            family = [process, *process.children(recursive=True)]
            total = 0.0
            for member in family:
                try:
                    # Proportional: what processes share counts once.
                    total += member.memory_full_info().pss / MIB
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)
