"""The CNCF distribution registry as Debian ships it, on a loopback port, with an access log."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.support.programs.processes import Child, ProcessFailedError, free_port, listens, running
from tests.support.registries.tls import ServerTls

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
    readonly:
      enabled: {read_only}
http:
  addr: 127.0.0.1:{port}
  secret: not-a-secret
"""
_TLS = """\
  tls:
    certificate: {certificate}
    key: {key}
"""
_LOGIN = """\
auth:
  htpasswd:
    realm: a site's registry
    path: {path}
"""
USER, PASSWORD = "pusher", "open sesame"


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
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

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


@dataclass(frozen=True)
class Settings:
    """How a registry runs.

    Attributes:
        tls: Its certificate; plain HTTP when left out.
        login: Whether USER has to log in with PASSWORD.
        read_only: Whether it takes nothing.
    """

    tls: ServerTls | None = None
    login: bool = False
    read_only: bool = False


PLAIN = Settings()


@contextmanager
def distribution_registry(directory: Path, settings: Settings = PLAIN) -> Iterator[Registry]:
    """Run `docker-registry` with its storage below `directory` until the end of the block."""
    for attempt in range(_ATTEMPTS):
        # Another program may take the port between our look and the registry's start.
        port = free_port()
        try:
            with _serve(directory, port, settings) as registry:
                yield registry
                return
        except ProcessFailedError as error:
            if "address already in use" not in str(error) or attempt == _ATTEMPTS - 1:
                raise


@contextmanager
def _serve(directory: Path, port: int, settings: Settings) -> Iterator[Registry]:
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "config.yml"
    text = _CONFIG.format(
        root=directory / "storage", port=port, read_only=str(settings.read_only).lower()
    )
    if settings.tls is not None:
        text += _TLS.format(certificate=settings.tls.certificate, key=settings.tls.key)
    if settings.login:
        users = directory / "htpasswd"
        users.write_bytes(f"{USER}:".encode() + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)))
        text += _LOGIN.format(path=users)
    config.write_text(text, encoding="utf-8")
    access = directory / "access.log"
    with running(
        "docker-registry",
        ["docker-registry", "serve", config],
        directory / "registry.log",
        ready=lambda: listens(port),
        output=access,
        env={"OTEL_TRACES_EXPORTER": "none"},
    ) as child:
        scheme = "http" if settings.tls is None else "https"
        yield Registry(f"127.0.0.1:{port}", child, access, scheme)
