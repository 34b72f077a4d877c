"""Versions that go back, and those that went too far.

The names are those of theupdateframework/tuf-conformance.
Source: docs/adr/0012-tuf-conformance.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tuf.api.metadata import (
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from bundle.base.errors import (
    MixedMetadataError,
    RollbackError,
)
from tests.support.trust.tuf_simulator import (
    Site,
    Vendor,
)
from tests.support.trust.tuf_verdicts import ALL_BELOW, refused, resign, stricter


def test_new_timestamp_version_rollback(vendor: Vendor, site: Site) -> None:
    vendor.publish(Timestamp.type)
    site.take()
    vendor.timestamp.version = 1
    vendor.put(Timestamp.type)
    refused(site, RollbackError)
    assert site.version(Timestamp.type) == 2


@pytest.mark.parametrize("hashes", [False, True])
def test_snapshot_rollback(vendor: Vendor, site: Site, hashes: bool) -> None:
    vendor.hashes = hashes
    vendor.publish(Snapshot.type, Timestamp.type)
    site.take()
    vendor.snapshot.version = 1
    vendor.put(Snapshot.type)
    vendor.publish(Timestamp.type)
    refused(site, RollbackError)
    assert (site.version(Snapshot.type), site.version(Timestamp.type)) == (2, 2)


@pytest.mark.parametrize("hashes", [False, True])
def test_targets_rollback(vendor: Vendor, site: Site, hashes: bool) -> None:
    vendor.hashes = hashes
    vendor.publish(*ALL_BELOW)
    site.take()
    vendor.targets.version = 1
    vendor.put(Targets.type)
    vendor.publish(Snapshot.type, Timestamp.type)
    refused(site, RollbackError, "release 1 is older than release 2")


def test_targets_role_removal(vendor: Vendor, site: Site) -> None:
    site.take()
    del vendor.snapshot.meta["targets.json"]
    vendor.snapshot.version = 2
    resign(vendor, Snapshot.type)
    vendor.publish(Timestamp.type)
    refused(site, MixedMetadataError, "targets.json")


def test_targets_fast_forward_recovery(vendor: Vendor, site: Site, tmp_path: Path) -> None:
    """Stricter: a release number only grows, whoever's key was rotated."""
    vendor.targets.version = 99
    vendor.publish(*ALL_BELOW)
    site.take()
    assert site.version(Targets.type) == 100
    vendor.rotate(Snapshot.type)
    vendor.targets.version = 1
    vendor.put(Targets.type)
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    stricter(vendor, site, RollbackError, "release 1 is older than release 100", tmp_path)
    vendor.targets.version = 100
    vendor.publish(*ALL_BELOW)
    site.take()
    assert site.version(Targets.type) == 101


def test_new_snapshot_fast_forward_recovery(vendor: Vendor, site: Site) -> None:
    vendor.snapshot.version = 99
    vendor.publish(Snapshot.type, Timestamp.type)
    site.take()
    assert site.version(Snapshot.type) == 100
    vendor.rotate(Snapshot.type, Timestamp.type)
    vendor.snapshot.version = 1
    vendor.put(Snapshot.type)
    vendor.publish(Root.type, Timestamp.type)
    site.take()
    assert site.version(Snapshot.type) == 1


def test_new_timestamp_fast_forward_recovery(vendor: Vendor, site: Site) -> None:
    vendor.timestamp.version = 99
    vendor.publish(Timestamp.type)
    site.take()
    assert site.version(Timestamp.type) == 100
    vendor.rotate(Timestamp.type)
    vendor.timestamp.version = 1
    vendor.put(Timestamp.type)
    vendor.publish(Root.type)
    site.take()
    assert site.version(Timestamp.type) == 1
