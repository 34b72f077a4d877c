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

from bundle.base.oci import OCI_INDEX, OCI_MANIFEST
from bundle.kinds.artifacts import LockedArtifact, LockedIndex, LockedManifest, LockedReferrer
from bundle.model.lock import Lock
from installer.depot.importer import ImportOutcome, import_bundle
from tests.support.documents.bundles import write_bundle
from tests.support.documents.content import Maker, sample
from tests.support.programs.processes import Child, running
from tests.support.registries import oci as upstream_oci
from tests.support.trust.release_kit import ReleaseKit, approve_all, release_bundle
from tests.support.trust.signature_rules import waive_all

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
    systems = (make.os_packages("debian-12", "1.7.4.4-2"),)
    lock = change_lock(lock, images=tuple(images), charts=charts, files=files, os_packages=systems)
    return waive_all(lock), blobs


def real_images(tree: Path, *references: str) -> tuple[Lock, dict[str, bytes]]:
    """Return a lock of images that a runtime can unpack: an index of two platforms each.

    Args:
        tree: Where the layers' files are written.
        references: Each gets content of its own.
    """
    make = Maker()
    artifacts = []
    for number, reference in enumerate(references):
        folder = tree / str(number) / "etc"
        folder.mkdir(parents=True)
        (folder / "reference").write_text(reference)
        layer = upstream_oci.layer_of(folder.parent)
        children = [
            upstream_oci.image([layer], platform, ["/bin/none"], {})
            for platform in ("linux/amd64", "linux/arm64")
        ]
        index = upstream_oci.index(children)
        listed = make.put(index.data)
        artifacts.append(
            LockedArtifact(
                reference=reference,
                digest=listed.digest,
                indexes=(
                    LockedIndex(digest=listed.digest, size=listed.size, media_type=OCI_INDEX),
                ),
                manifests=tuple(_locked(make, child) for child in children),
            )
        )
    lock, _ = sample(make)
    return waive_all(change_lock(lock, images=tuple(artifacts), charts=(), files=())), make.blobs


def _locked(make: Maker, image: upstream_oci.Artifact) -> LockedManifest:
    config, *layers = (make.put(blob.data) for blob in image.blobs)
    content = make.put(image.data)
    return LockedManifest(
        digest=content.digest,
        size=content.size,
        media_type=image.media_type,
        platform=image.platform,
        config=config,
        layers=tuple(layers),
    )


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
