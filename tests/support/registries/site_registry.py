"""A registry that a site has, with a user who is logged in, into which content is pushed."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import urllib3

from tests.support.registries.journey import Machine
from tests.support.registries.registry import PASSWORD, USER, Registry
from tests.support.registries.seeded import SeededImage
from tests.support.registries.tls import ServerTls

PREFIX = "hospital/mirror"
TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


@dataclass(frozen=True)
class Site:
    """A registry with TLS by an authority of the site's own, and a user who is logged in."""

    registry: Registry
    tls: ServerTls
    machine: Machine
    depot: Path
    auth: Path

    @property
    def to(self) -> str:
        return f"{self.registry.host}/{PREFIX}"

    @property
    def options(self) -> list[str | Path]:
        return ["push", "--depot", self.depot, "--to", self.to, "--ca", self.tls.ca]

    def where(self, reference: str) -> str:
        host, _, rest = reference.partition("/")
        return f"{self.to}/{host.replace(':', '_')}/{rest}"

    def repository(self, image: SeededImage) -> str:
        return self.where(image.reference).partition("/")[2].rpartition(":")[0]

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "Accept": "*/*, " + ", ".join(TYPES)}
        with urllib3.PoolManager(ca_certs=str(self.tls.ca)) as pool:
            return pool.request("GET", f"{self.registry.url}/v2/{path}", headers=headers)


def log_in(machine: Machine, host: str, password: str = PASSWORD) -> Path:
    """Write what `docker login` would."""
    pair = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path = machine.home / ".docker" / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {host: {"auth": pair}}}), encoding="utf-8")
    return path
