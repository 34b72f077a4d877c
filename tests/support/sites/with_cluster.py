"""A signed bundle that says that it carries Kubespray, and a depot that trusts it."""

from __future__ import annotations

from pathlib import Path

from bundle.base.canonical import canonical_json
from bundle.base.digest import hex_of
from bundle.model.manifest import Manifest
from tests.support.sites.clusters import BLOBS, kubespray_manifest
from tests.support.trust.release_kit import approve_all, enrolled, make_release, release_bundle


def write_cluster_bundle(path: Path, manifest: Manifest | None = None) -> Path:
    """Write a bundle for Calico, or another, that nobody has signed; return its folder."""
    folder = path / "blobs" / "sha256"
    folder.mkdir(parents=True)
    for digest, data in BLOBS.items():
        (folder / hex_of(digest)).write_bytes(data)
    (path / "bundle.json").write_bytes(canonical_json(manifest or kubespray_manifest("calico")))
    return path


def cluster_bundle(path: Path, depot: Path, manifest: Manifest | None = None) -> Path:
    """Write it and sign it; enrol its root in a depot, which need not be there yet."""
    kit = make_release(path.parent / "kit")
    write_cluster_bundle(path, manifest)
    release_bundle(path, kit)
    approve_all(path, kit)
    enrolled(depot, kit)
    return path
