"""The CNCF distribution registry as Debian ships it, on a loopback port, with an access log."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs.processes import Child, ProcessFailedError, free_port, listens, running

_ATTEMPTS = 5
_REQUEST = re.compile(r'"(?P<method>[A-Z]+) (?P<path>\S+) HTTP/[0-9.]+" (?P<status>\d{3}) ')
_CONFIG = """\
version: 0.1
log:
  level: warn
  accesslog:
    disabled: false
storage:
  filesystem:
    rootdirectory: {root}
  maintenance:
    uploadpurging:
      enabled: false
http:
  addr: 127.0.0.1:{port}
  secret: not-a-secret
"""


@dataclass(frozen=True)
class Registry:
    """A running registry.

    Attributes:
        host: As it stands in references: 127.0.0.1 and its port.
        child: Its process.
        access_log: One line a request, in the combined log format.
    """

    host: str
    child: Child
    access_log: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def requests(self) -> list[tuple[str, str, int]]:
        """Return method, path and status of every request so far."""
        text = self.access_log.read_text(encoding="utf-8", errors="replace")
        return [(m["method"], m["path"], int(m["status"])) for m in _REQUEST.finditer(text)]

    def blob_fetches(self) -> Counter[str]:
        """Return how often the bytes of each blob were sent, by digest."""
        return Counter(
            path.partition("?")[0].rpartition("/")[2]
            for method, path, status in self.requests()
            if method == "GET" and "/blobs/sha256:" in path and status in {200, 206}
        )


@contextmanager
def distribution_registry(directory: Path) -> Iterator[Registry]:
    """Run `docker-registry` with its storage below `directory` until the end of the block."""
    for attempt in range(_ATTEMPTS):
        # Another program may take the port between our look and the registry's start.
        port = free_port()
        try:
            with _serve(directory, port) as registry:
                yield registry
                return
        except ProcessFailedError as error:
            if "address already in use" not in str(error) or attempt == _ATTEMPTS - 1:
                raise


@contextmanager
def _serve(directory: Path, port: int) -> Iterator[Registry]:
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "config.yml"
    config.write_text(_CONFIG.format(root=directory / "storage", port=port), encoding="utf-8")
    access = directory / "access.log"
    with running(
        "docker-registry",
        ["docker-registry", "serve", config],
        directory / "registry.log",
        ready=lambda: listens(port),
        output=access,
        env={"OTEL_TRACES_EXPORTER": "none"},
    ) as child:
        yield Registry(f"127.0.0.1:{port}", child, access)
