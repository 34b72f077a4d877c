"""Bundles of any lock, signed and imported, and a real `isoward serve` over the depot."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3

from bundle.model.lock import Lock, LockedReferrer
from bundle.model.oci import OCI_MANIFEST
from installer.depot.importer import ImportOutcome, import_bundle
from tests.support.bundles import write_bundle
from tests.support.content import Maker, sample
from tests.support.processes import Child, running
from tests.support.trust import ReleaseKit, approve_all, release_bundle

ISOWARD = (sys.executable, "-m", "bundle.cli.main")
READY_NAME = "ready.json"


def signed_bundle(path: Path, kit: ReleaseKit, lock: Lock, blobs: Mapping[str, bytes]) -> Path:
    """Write the bundle of `lock`, released and approved."""
    write_bundle(path, lock, blobs)
    release_bundle(path, kit)
    approve_all(path, kit)
    return path


def import_now(bundle: Path, depot: Path) -> ImportOutcome:
    """Import by this machine's clock."""
    return import_bundle(bundle, depot, lambda: datetime.now(UTC))


def change_lock(lock: Lock, **fields: Any) -> Lock:
    """Return a lock with other fields."""
    made = {name: getattr(lock, name) for name in lock.__struct_fields__}
    return Lock(**{**made, **fields})


def rich_sample() -> tuple[Lock, dict[str, bytes]]:
    """Return the sample, and what a depot may also meet: a second registry with a repository of
    the same name, a port, one chart in two repositories, a fallback tag, and a large blob."""
    make = Maker()
    lock, blobs = sample(make)
    images = [
        *lock.images,
        make.image("docker.io/bitnami/redis:7"),
        make.image("quay.example.org/app/web:9.9"),
        make.image("registry.example.org:5000/team/tool:v1"),
        make.image("registry.example.org/many/tags:a"),
    ]
    images += [make.image(f"registry.example.org/many/tags:{tag}") for tag in ("b", "c", "d")]
    listed = make.image("registry.example.org/app/listed:1")
    by_list = fallback_referrer(make, listed.manifests[0].digest)
    images.append(
        type(listed)(
            reference=listed.reference,
            digest=listed.digest,
            manifests=listed.manifests,
            referrers=(by_list,),
        )
    )
    charts = (
        *lock.charts,
        make.chart("both", "0.1.0", "https://charts.example.org/stable"),
        make.chart("both", "0.1.0", "https://mirror.example.org"),
        make.chart("db", "0.9.0+build.7", "oci://registry.example.org/charts"),
    )
    files = (*lock.files, make.file("https://example.org:8443/a%20b/tool.bin"))
    large = make.put(bytes(range(256)) * 4096 * 3)
    files += (
        type(lock.files[0])(
            url="https://example.org/large.bin", digest=large.digest, size=large.size
        ),
    )
    return change_lock(lock, images=tuple(images), charts=charts, files=files), blobs


def fallback_referrer(make: Maker, subject: str) -> LockedReferrer:
    """Make a referrer that was found by the fallback tag of its subject."""
    size = len(make.blobs[subject])
    config, layer = make.put(b"{}"), make.put(f"signature of {subject}".encode())
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": make.descriptor(config, "application/vnd.example.signature"),
        "layers": [make.descriptor(layer, "application/octet-stream")],
        "subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": size},
    }
    made = make.put(json.dumps(body).encode())
    return LockedReferrer(
        digest=made.digest,
        size=made.size,
        media_type=OCI_MANIFEST,
        config=config,
        layers=(layer,),
        subject=subject,
        artifact_type="application/vnd.example.signature",
        via="fallback-tag",
        tag=subject.replace(":", "-"),
    )


@dataclass(frozen=True)
class RunningDepot:
    """A depot that is being served.

    Attributes:
        url: Without a final slash.
        ca: What to trust.
        child: The process.
        pool: A client that trusts it.
    """

    url: str
    ca: Path
    child: Child
    pool: urllib3.PoolManager

    @property
    def host(self) -> str:
        return self.url.removeprefix("https://")

    def request(self, path: str, method: str = "GET", **headers: str) -> urllib3.BaseHTTPResponse:
        """Ask for `path`; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.pool.request(method, self.url + path, headers=named, redirect=False)

    def json(self, path: str) -> Any:
        """Ask for `path`, expecting 200 and JSON."""
        found = self.request(path)
        assert found.status == 200, (path, found.status, found.data)
        return json.loads(found.data)


@contextmanager
def serving(depot: Path, work: Path, options: Sequence[str] = ()) -> Iterator[RunningDepot]:
    """Run `isoward serve` on a port of the kernel's choice until the end of the block."""
    ready = work / READY_NAME
    ready.unlink(missing_ok=True)
    argv = [
        *ISOWARD,
        "serve",
        "--depot",
        str(depot),
        "--address",
        "127.0.0.1",
        "--port",
        "0",
        "--ready-file",
        str(ready),
        *options,
    ]
    with running("isoward serve", argv, work / "serve.log", ready=ready.exists) as child:
        said = json.loads(ready.read_bytes())
        ca = Path(said["ca"]) if said["ca"] else work / "none"
        pool = urllib3.PoolManager(
            ca_certs=str(ca) if said["ca"] else None, retries=False, timeout=30
        )
        try:
            yield RunningDepot(said["url"], ca, child, pool)
        finally:
            pool.clear()
