"""OCI content made in memory: blobs, manifests, indexes, and layouts of them on disk.

Written apart from the product on purpose, so that the product is checked against a second reading
of the OCI specifications.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"


def sha256(data: bytes) -> str:
    """Return the digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(value: Any) -> bytes:
    """Return compact JSON in the order in which the value was written."""
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Blob:
    """A config or a layer."""

    media_type: str
    data: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        return sha256(self.data)

    @property
    def descriptor(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.data),
        }
        if self.annotations:
            made["annotations"] = dict(self.annotations)
        return made


@dataclass(frozen=True)
class Artifact:
    """A manifest or an index with all that hangs below it."""

    media_type: str
    data: bytes
    blobs: tuple[Blob, ...] = ()
    children: tuple[Artifact, ...] = ()
    artifact_type: str = ""
    platform: str = ""

    @cached_property
    def digest(self) -> str:
        return sha256(self.data)

    @property
    def is_index(self) -> bool:
        return self.media_type == INDEX

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}

    def pieces(self) -> Iterator[tuple[str, bytes]]:
        """Yield digest and bytes of its own manifest, its config and its layers."""
        yield self.digest, self.data
        for blob in self.blobs:
            yield blob.digest, blob.data

    def walk(self) -> Iterator[Artifact]:
        """Yield what is below, then itself: the order in which a registry takes them."""
        for child in self.children:
            yield from child.walk()
        yield self


@dataclass(frozen=True)
class Layer:
    """A compressed layer and the digest of the tar in it."""

    blob: Blob
    diff_id: str


def layer_of(tree: Path) -> Layer:
    """Make a layer of a directory, the same bytes wherever and whenever it is made."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(tree.rglob("*")):
            tar.add(path, arcname=path.relative_to(tree).as_posix(), recursive=False, filter=_plain)
    tar_bytes = buffer.getvalue()
    data = gzip.compress(tar_bytes, compresslevel=6, mtime=0)
    return Layer(Blob(LAYER, data), sha256(tar_bytes))


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def image(
    layers: Sequence[Layer],
    platform: str,
    command: Sequence[str],
    labels: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
) -> Artifact:
    """Make an image of one platform; `settings` are of its config, in the place of ours."""
    system, architecture = platform.split("/")
    config = Blob(
        CONFIG,
        to_json(
            {
                "created": "2025-01-01T00:00:00Z",
                "architecture": architecture,
                "os": system,
                "config": {
                    "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
                    "Cmd": list(command),
                    "Labels": dict(labels),
                    **(settings or {}),
                },
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
                "history": [
                    {"created": "2025-01-01T00:00:00Z", "created_by": "isoward test content"}
                    for _ in layers
                ],
            }
        ),
    )
    blobs = tuple(layer.blob for layer in layers)
    return manifest(config, blobs, platform=platform)


def manifest(
    config: Blob,
    layers: Sequence[Blob],
    *,
    artifact_type: str = "",
    subject: Artifact | None = None,
    annotations: Mapping[str, str] | None = None,
    platform: str = "",
) -> Artifact:
    """Make a manifest of any kind: an image, a chart, a signature, an SBOM."""
    body: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST}
    if artifact_type:
        body["artifactType"] = artifact_type
    body["config"] = config.descriptor
    body["layers"] = [layer.descriptor for layer in layers]
    if subject is not None:
        body["subject"] = subject.descriptor
    if annotations:
        body["annotations"] = dict(annotations)
    return Artifact(
        MANIFEST,
        to_json(body),
        (config, *layers),
        artifact_type=artifact_type or config.media_type,
        platform=platform,
    )


def index(
    children: Sequence[Artifact], entries: Sequence[Mapping[str, Any]] | None = None
) -> Artifact:
    """Make an index of images by their platforms, or with these entries for its children."""
    made = entries if entries is not None else [platform_entry(child) for child in children]
    body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [dict(entry) for entry in made]}
    return Artifact(INDEX, to_json(body), children=tuple(children))


def platform_entry(child: Artifact) -> dict[str, Any]:
    """Return an index's entry for an image."""
    system, architecture = child.platform.split("/")
    return {**child.descriptor, "platform": {"architecture": architecture, "os": system}}


def write_layout(path: Path, artifacts: Mapping[str, Artifact]) -> None:
    """Write an OCI image layout with each artifact under its name.

    Source: OCI image-spec, image-layout.md.
    """
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (path / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))
    entries = []
    for name, artifact in artifacts.items():
        for part in artifact.walk():
            for digest, data in part.pieces():
                (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        annotations = {"org.opencontainers.image.ref.name": name}
        entries.append({**artifact.descriptor, "annotations": annotations})
    listing = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    (path / "index.json").write_bytes(to_json(listing))
