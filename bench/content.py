"""Images that do not compress, of any size, in a registry on loopback."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.support.registries.registry import Registry, distribution_registry

_CHUNK = 1024 * 1024
LAYERS = 4
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Source:
    """A registry with images.

    Attributes:
        references: What is in it.
        size: All layers together, in bytes.
    registry: Where they are.
    """

    references: tuple[str, ...]
    size: int
    registry: Registry


@contextmanager
def source(directory: Path, images: int, size: int) -> Iterator[Source]:
    """Run a registry with `images` images that are `size` bytes together."""
    layout = directory / "layout"
    names = [f"image-{i}" for i in range(images)]
    write_layout(layout, names, size // images // LAYERS)
    with distribution_registry(directory / "registry") as registry:
        references = tuple(f"{registry.host}/bench/{name}:1" for name in names)
        for name, reference in zip(names, references, strict=True):
            command = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false"]
            command += [f"oci:{layout}:{name}", f"docker://{reference}"]
            subprocess.run(command, check=True)
        # What the push left to be written must not be written during the measurements.
        os.sync()
        yield Source(references, size, registry)


def write_layout(layout: Path, names: list[str], layer_size: int) -> None:
    """Write an OCI layout of images of random bytes, under these names."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    entries = []
    for name in names:
        layers = [_random_blob(blobs, layer_size) for _ in range(LAYERS)]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _json_blob(blobs, config, CONFIG),
            "layers": layers,
        }
        annotations = {"org.opencontainers.image.ref.name": name}
        entries.append({**_json_blob(blobs, manifest, MANIFEST), "annotations": annotations})
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def _random_blob(blobs: Path, size: int) -> dict[str, object]:
    state = sha256()
    temporary = blobs / "new"
    with temporary.open("wb") as file:
        for start in range(0, size, _CHUNK):
            chunk = os.urandom(min(_CHUNK, size - start))
            state.update(chunk)
            file.write(chunk)
    temporary.rename(blobs / state.hexdigest())
    return {"mediaType": LAYER, "digest": f"sha256:{state.hexdigest()}", "size": size}


def _json_blob(blobs: Path, value: object, media_type: str) -> dict[str, object]:
    data = json.dumps(value).encode()
    digest = sha256(data).hexdigest()
    (blobs / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
