"""Small content with a lock to match, of every kind, all in memory."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass, field
from typing import Any

from bundle.base.canonical import canonical_json
from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.base.oci import OCI_INDEX, OCI_MANIFEST
from bundle.kinds.artifacts import LockedArtifact, LockedIndex, LockedManifest, LockedReferrer
from bundle.kinds.charts import LockedChart
from bundle.kinds.files import LockedFile
from bundle.kinds.os_packages import (
    LockedKeyring,
    LockedOs,
    LockedOsFile,
    OsPackage,
    OsPlace,
)
from bundle.model.lock import Lock
from bundler.model.chart import chart_artifact
from tests.support.trust.signature_rules import WAIVE_ALL, WAIVED

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
SBOM = "application/vnd.cyclonedx+json"


@dataclass
class Maker:
    """Makes content and remembers its bytes by digest."""

    blobs: dict[str, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> Content:
        digest = digest_of(data)
        self.blobs[digest] = data
        return Content(digest=digest, size=len(data))

    def descriptor(self, content: Content, media_type: str, **more: Any) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": content.digest, "size": content.size, **more}

    def manifest(self, seed: str, platform: str = "linux/amd64") -> LockedManifest:
        os, architecture = platform.split("/")[:2]
        config = self.put(canonical_json({"os": os, "architecture": architecture, "x": seed}))
        layer = self.put(f"layer of {seed} for {platform}".encode() * 50)
        data = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.descriptor(config, CONFIG),
            "layers": [self.descriptor(layer, LAYER)],
        }
        made = self.put(canonical_json(data))
        return LockedManifest(
            digest=made.digest,
            size=made.size,
            media_type=OCI_MANIFEST,
            platform=platform,
            config=config,
            layers=(layer,),
        )

    def image(self, reference: str) -> LockedArtifact:
        made = self.manifest(reference)
        return LockedArtifact(
            reference=reference, digest=made.digest, manifests=(made,), verified=(WAIVED,)
        )

    def index(self, reference: str, platforms: tuple[str, ...]) -> LockedArtifact:
        made = tuple(self.manifest(reference, platform) for platform in platforms)
        entries = [
            self.descriptor(
                m,
                OCI_MANIFEST,
                platform=dict(zip(("os", "architecture"), p.split("/"), strict=True)),
            )
            for m, p in zip(made, platforms, strict=True)
        ]
        index = self.put(
            canonical_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        )
        return LockedArtifact(
            reference=reference,
            digest=index.digest,
            indexes=(LockedIndex(digest=index.digest, size=index.size, media_type=OCI_INDEX),),
            manifests=made,
            verified=(WAIVED,),
        )

    def referrer(
        self, subject: LockedManifest | LockedIndex, artifact_type: str = SBOM, tag: str = ""
    ) -> LockedReferrer:
        config = self.put(b"{}")
        layer = self.put(f"{artifact_type} about {subject.digest} {tag}".encode())
        data: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": self.descriptor(config, "application/vnd.oci.empty.v1+json"),
            "layers": [self.descriptor(layer, artifact_type)],
            "annotations": {"org.example.made": "yes"},
        }
        if not tag:
            data["subject"] = self.descriptor(subject, subject.media_type)
        made = self.put(canonical_json(data))
        return LockedReferrer(
            digest=made.digest,
            size=made.size,
            media_type=OCI_MANIFEST,
            config=config,
            layers=(layer,),
            subject=subject.digest,
            artifact_type=artifact_type,
            via="cosign-tag" if tag else "api",
            tag=tag,
        )

    def chart(self, name: str, version: str, repository: str) -> LockedChart:
        archive = chart_archive(name, version)
        content = self.put(archive)
        made = chart_artifact(archive, name)
        config, manifest = self.put(made.config), self.put(made.manifest)
        locked = LockedManifest(
            digest=manifest.digest,
            size=manifest.size,
            media_type=OCI_MANIFEST,
            config=config,
            layers=(content,),
        )
        host = repository.split("://")[1]
        return LockedChart(
            name=name,
            version=version,
            repository=repository,
            archive=content,
            url=f"{repository}/{name}-{version}.tgz" if repository.startswith("http") else None,
            artifact=LockedArtifact(
                reference=f"{host}/{name}:{version.replace('+', '_')}",
                digest=manifest.digest,
                manifests=(locked,),
            ),
        )

    def os_packages(self, name: str, *versions: str) -> LockedOs:
        """Make OS packages that look right to everything but apt."""

        def file(path: str) -> LockedOsFile:
            made = self.put(f"{name} {path}".encode())
            url = f"https://mirror.example.org/debian/{path}"
            return LockedOsFile(path=f"debian/{path}", digest=made.digest, size=made.size, url=url)

        keyring = self.put(b"\x99 public keys")
        debs = [file(f"pool/main/s/socat/socat_{version}_amd64.deb") for version in versions]
        return LockedOs(
            name=name,
            release="debian-12",
            repositories=(OsPlace(folder="debian", suite="bookworm", components=("main",)),),
            keyring=LockedKeyring(
                path="keyring.gpg", digest=keyring.digest, size=keyring.size, source="debian.gpg"
            ),
            files=(file("dists/bookworm/InRelease"), *debs),
            packages=tuple(
                OsPackage(name="socat", version=version, architecture="amd64", digest=deb.digest)
                for version, deb in zip(versions, debs, strict=True)
            ),
        )

    def file(self, url: str) -> LockedFile:
        content = self.put(f"the file {url}\n".encode() * 100)
        return LockedFile(url=url, digest=content.digest, size=content.size)


def chart_archive(name: str, version: str) -> bytes:
    """Make a chart archive, the same bytes every time."""
    files = {
        "Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: 1.10\n",
        "templates/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n",
    }
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue(), mtime=0)


def sample(maker: Maker | None = None, *, version: str = "1.0.0") -> tuple[Lock, dict[str, bytes]]:
    """Return a lock of every kind of content, and the blobs that it names."""
    make = maker or Maker()
    index = make.index("registry.example.org/app/web:2.1", ("linux/amd64", "linux/arm64"))
    signed = LockedArtifact(
        reference=index.reference,
        digest=index.digest,
        indexes=index.indexes,
        manifests=index.manifests,
        referrers=(
            make.referrer(index.indexes[0]),
            make.referrer(index.manifests[0], tag=f"sha256-{index.manifests[0].digest[7:]}.sig"),
        ),
        verified=(WAIVED,),
    )
    lock = Lock(
        api_version="isoward/v1",
        kind="BundleLock",
        metadata=Metadata(name="hospital-platform", version=version),
        definition=digest_of(b"definition"),
        platforms=("linux/amd64", "linux/arm64"),
        images=(make.image("docker.io/library/busybox:1.36"), signed),
        charts=(make.chart("web", "1.2.3", "https://charts.example.org/stable"),),
        files=(make.file("https://example.org/tool-1.4.tar.gz"),),
        signatures=(WAIVE_ALL,),
    )
    return lock, make.blobs
