"""Metadata that a site reads for the first time and again, its form, and its end.

The names are those of theupdateframework/tuf-conformance.
Source: docs/adr/0012-tuf-conformance.md.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import (
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from bundle.base.errors import (
    ExpiredError,
    IsowardError,
    MissingBlobError,
    MixedMetadataError,
    SignatureError,
    ThresholdError,
)
from bundle.trust.site.state import new_state
from tests.support.trust.release_kit import now
from tests.support.trust.tuf_simulator import (
    BELOW,
    ROLES,
    Site,
    Vendor,
    person,
)
from tests.support.trust.tuf_verdicts import ALL_BELOW, refused, resign, stricter


def test_basic_refresh_trusted_data(vendor: Vendor, site: Site) -> None:
    site.take()
    state = site.state
    seen = (state.targets, state.snapshot, state.timestamp)
    assert seen == tuple(vendor.files[name].decode() for name in BELOW.values())
    assert state.roots[-1].encode() == vendor.roots[1]


def test_invalid_initial_root(vendor: Vendor) -> None:
    body = json.loads(vendor.roots[1])
    del body["signed"]["version"]
    with pytest.raises(SignatureError):
        new_state(json.dumps(body).encode(), now())


def test_unsigned_initial_root(vendor: Vendor) -> None:
    body = json.loads(vendor.roots[1])
    body["signatures"][0]["sig"] = "00" * 64
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(SignatureError):
        new_state(data, now())


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        (Root.type, SignatureError),
        (Timestamp.type, ThresholdError),
        (Snapshot.type, ThresholdError),
        (Targets.type, ThresholdError),
    ],
)
def test_unsigned_metadata(vendor: Vendor, site: Site, role: str, kind: type[IsowardError]) -> None:
    site.take()
    vendor.signers[role] = []
    vendor.publish(*ROLES)
    error = site.refusal()
    assert isinstance(error, kind), error


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        (Root.type, SignatureError),
        (Snapshot.type, MixedMetadataError),
        (Targets.type, MixedMetadataError),
    ],
)
def test_url_and_metadata_version_mismatch(
    vendor: Vendor, site: Site, role: str, kind: type[IsowardError]
) -> None:
    vendor.publish(*ROLES)
    if role == Root.type:
        vendor.root.version = 3
        vendor.put(Root.type)
        vendor.roots[2] = vendor.roots.pop(3)
    elif role == Snapshot.type:
        vendor.timestamp.snapshot_meta.version = 9
        resign(vendor, Timestamp.type)
    else:
        vendor.snapshot.meta["targets.json"].version = 9
        resign(vendor, Snapshot.type)
        vendor.publish(Timestamp.type)
    refused(site, kind)


def test_timestamp_content_changes(vendor: Vendor, site: Site) -> None:
    """TUF keeps the one that it has; a medium with another one is refused."""
    site.take()
    vendor.timestamp.expires += timedelta(days=1)
    vendor.put(Timestamp.type)
    refused(site, MixedMetadataError, "timestamp.json")


def test_basic_metadata_hash_support(vendor: Vendor, site: Site) -> None:
    vendor.hashes = True
    vendor.publish(*ALL_BELOW)
    site.take()
    assert site.version(Snapshot.type) == 2


def test_targets_hash_mismatch(vendor: Vendor, site: Site) -> None:
    vendor.hashes = True
    vendor.publish(*ALL_BELOW)
    site.take()
    vendor.publish(*ALL_BELOW)
    named = vendor.snapshot.meta["targets.json"]
    assert named.hashes is not None
    named.hashes["sha256"] = "0" * 64
    resign(vendor, Snapshot.type)
    vendor.publish(Timestamp.type)
    refused(site, SignatureError)
    assert site.version(Targets.type) == 2


def test_snapshot_hash_mismatch(vendor: Vendor, site: Site) -> None:
    site.take()
    vendor.publish(Snapshot.type, Timestamp.type)
    named = vendor.timestamp.snapshot_meta
    assert named.hashes is not None
    named.hashes["sha256"] = "0" * 64
    resign(vendor, Timestamp.type)
    refused(site, MixedMetadataError, "snapshot.json")


def test_metadata_bytes_match(vendor: Vendor, site: Site, tmp_path: Path) -> None:
    """Stricter: a space more is another spelling, and every byte of a medium counts."""
    vendor.files["timestamp.json"] += b" "
    stricter(vendor, site, SignatureError, "another encoding", tmp_path)


def test_custom_fields(vendor: Vendor, site: Site) -> None:
    site.take()
    signer = person("Rolf Root")
    signer.public_key.unrecognized_fields["extra-field"] = {"a": 1, "b": 2}
    vendor.root.unrecognized_fields["custom-field"] = "value"
    vendor.root.roles[Root.type].unrecognized_fields["another-field"] = "value"
    vendor.root.add_key(signer.public_key, Root.type)
    vendor.publish(Root.type)
    site.take()
    assert site.version(Root.type) == 2


def test_custom_fields_below_the_root(vendor: Vendor, site: Site) -> None:
    for role in ALL_BELOW:
        signed: Any = getattr(vendor, role)
        signed.unrecognized_fields["custom-field"] = {"x": [1, 2]}
    vendor.publish(*ALL_BELOW)
    site.take()


def test_deprecated_keyid_hash_algorithms(vendor: Vendor, site: Site) -> None:
    site.take()
    signer = person("New Build System")
    signer.public_key.unrecognized_fields["keyid_hash_algorithms"] = "md5"
    vendor.set_keys(Snapshot.type, [signer], 1)
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    site.take()
    assert (site.version(Root.type), site.version(Snapshot.type)) == (2, 2)


@pytest.mark.parametrize("name", sorted(BELOW.values()))
def test_404(vendor: Vendor, site: Site, name: str) -> None:
    """test_snapshot_404, test_targets_404 and test_timestamp_404."""
    site.take()
    vendor.publish(*ALL_BELOW)
    del vendor.files[name]
    refused(site, MissingBlobError, name)


def test_named_but_not_published(vendor: Vendor, site: Site) -> None:
    site.take()
    before = vendor.files["snapshot.json"]
    vendor.publish(Snapshot.type, Timestamp.type)
    vendor.files["snapshot.json"] = before
    refused(site, MixedMetadataError, "snapshot.json")


def test_incorrect_metadata_type(vendor: Vendor, site: Site) -> None:
    vendor.files["timestamp.json"] = vendor.files["snapshot.json"]
    refused(site, SignatureError, "role timestamp")


def test_faketime(vendor: Vendor, site: Site) -> None:
    site.take()
    refused(site, ExpiredError, at=now() + timedelta(days=31))


# test_expiration


@pytest.mark.parametrize("role", ROLES)
def test_expired(vendor: Vendor, site: Site, role: str) -> None:
    """test_root_expired, test_timestamp_expired, test_snapshot_expired and test_targets_expired."""
    site.take()
    signed: Any = getattr(vendor, role)
    signed.expires = now() - timedelta(days=5)
    vendor.publish(*ROLES)
    refused(site, ExpiredError, f"{role}.json")
    # A client would keep the expired root; a site keeps nothing of a medium that it refused.
    assert [site.version(name) for name in ROLES] == [1, 1, 1, 1]


def test_expired_local_root(vendor: Vendor, site: Site) -> None:
    start = now()
    vendor.root.expires = start + timedelta(days=7)
    vendor.publish(Root.type)
    site.take()
    vendor.root.expires = start + timedelta(days=21)
    vendor.publish(Root.type)
    site.take(start + timedelta(days=18))
    assert site.version(Root.type) == 3


def test_expired_local_timestamp(vendor: Vendor, site: Site) -> None:
    start = now()
    vendor.timestamp.expires = start + timedelta(days=7)
    vendor.publish(Timestamp.type)
    site.take()
    vendor.timestamp.expires = start + timedelta(days=21)
    vendor.publish(*ALL_BELOW)
    site.take(start + timedelta(days=18))
    assert [site.version(role) for role in ALL_BELOW] == [2, 2, 3]
