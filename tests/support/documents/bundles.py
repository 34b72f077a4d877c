"""Write the bundle of a lock straight from memory, without fetching and without trust."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bundle.model.lock import Lock
from bundle.model.plan import Plan, plan_bundle
from bundle.store.layout import BLOB_DIRECTORY, MANIFEST_NAME, BundleDirectory
from bundle.store.sums import write_sums


def write_bundle(path: Path, lock: Lock, blobs: Mapping[str, bytes]) -> Plan:
    """Write blobs, layout files, bundle.json and SHA256SUMS; trust/ is the caller's."""
    return write_plan(path, plan_bundle(lock), blobs)


def write_plan(path: Path, plan: Plan, blobs: Mapping[str, bytes]) -> Plan:
    """Write the same of a plan, which may be a bad one."""
    (path / BLOB_DIRECTORY).mkdir(parents=True)
    bundle = BundleDirectory(path)
    for blob in plan.manifest.blobs:
        bundle.blob_path(blob.digest).write_bytes(blobs[blob.digest])
    for name, data in plan.layout.items():
        (path / name).write_bytes(data)
    (path / MANIFEST_NAME).write_bytes(plan.manifest_bytes)
    write_sums(path, plan.manifest)
    return plan
