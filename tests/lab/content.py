"""A depot with one image that can really run: busybox, from this machine's own package."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Final

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.base.oci import OCI_MANIFEST
from bundle.kinds.artifacts import LockedArtifact, LockedManifest
from bundle.model.lock import Lock
from tests.support.depot.imported import import_now, signed_bundle
from tests.support.documents.content import CONFIG, LAYER, Maker
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release
from tests.support.trust.signature_rules import waive_all

IMAGE: Final = "registry.example.org:5000/lab/busybox:1"
HUB_IMAGE: Final = "docker.io/library/busybox:1"
_BUSYBOX: Final = Path("/bin/busybox")


def lab_depot(work: Path, platform: str = "linux/amd64") -> Path:
    """Make a signed bundle of the images and import it; return the depot."""
    depot, kit = work / "depot", make_release(work)
    make = Maker()
    images = (busybox_image(make, HUB_IMAGE, platform), busybox_image(make, IMAGE, platform))
    add_bundle(work / "bundle", depot, kit, lock_of(images, platform), make)
    return depot


def add_bundle(bundle: Path, depot: Path, kit: ReleaseKit, lock: Lock, make: Maker) -> None:
    """Sign, enrol and import."""
    signed_bundle(bundle, kit, lock, make.blobs)
    enrolled(depot, kit)
    import_now(bundle, depot)


def lock_of(images: tuple[LockedArtifact, ...], platform: str = "linux/amd64") -> Lock:
    """Lock images."""
    lock = Lock(
        api_version="isoward/v1",
        kind="BundleLock",
        metadata=Metadata(name="lab", version="1.0.0"),
        definition=digest_of(b"definition"),
        platforms=(platform,),
        images=tuple(sorted(images, key=lambda image: image.reference)),
    )
    return waive_all(lock)


def busybox_image(make: Maker, reference: str, platform: str = "linux/amd64") -> LockedArtifact:
    """Make an image of one layer with a shell in it."""
    layer_tar = _layer()
    layer = make.put(gzip.compress(layer_tar, mtime=0))
    os, architecture = platform.split("/")
    settings = {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Labels": {"reference": reference}}
    rootfs = {"type": "layers", "diff_ids": [digest_of(layer_tar)]}
    config = make.put(
        json.dumps(
            {"os": os, "architecture": architecture, "config": settings, "rootfs": rootfs}
        ).encode()
    )
    manifest = make.put(
        canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": make.descriptor(config, CONFIG),
                "layers": [make.descriptor(layer, LAYER)],
            }
        )
    )
    locked = LockedManifest(
        digest=manifest.digest,
        size=manifest.size,
        media_type=OCI_MANIFEST,
        platform=platform,
        config=config,
        layers=(layer,),
    )
    return LockedArtifact(reference=reference, digest=manifest.digest, manifests=(locked,))


def _layer() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("bin", "etc", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        program = tarfile.TarInfo("bin/busybox")
        data = _BUSYBOX.read_bytes() if _BUSYBOX.exists() else b"#!/bin/true\n"
        program.size, program.mode = len(data), 0o755
        tar.addfile(program, io.BytesIO(data))
        for applet in ("sh", "echo", "cat", "uname", "sleep"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return raw.getvalue()
