"""Keys, signatures and thresholds.

The names are those of theupdateframework/tuf-conformance.
Source: docs/adr/0012-tuf-conformance.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner, Key, SSlibKey
from tuf.api.metadata import (
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from bundle.base.errors import (
    SignatureError,
    ThresholdError,
    TrustError,
)
from bundle.trust.keys.stored import SigningKey, name_key
from tests.support.trust.tuf_simulator import (
    ROLES,
    Site,
    Vendor,
    person,
)
from tests.support.trust.tuf_verdicts import ALL_BELOW, refused, stricter


def test_snapshot_does_not_meet_threshold(vendor: Vendor, site: Site) -> None:
    site.take()
    builders = [person("Build System"), person("Second Build System")]
    vendor.set_keys(Snapshot.type, builders, 2)
    vendor.signers[Snapshot.type] = builders[:1]
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    refused(site, ThresholdError, "snapshot.json")


def test_snapshot_has_too_few_keys(vendor: Vendor, site: Site) -> None:
    """Stricter: a root whose threshold is out of reach is refused as such."""
    site.take()
    vendor.root.roles[Snapshot.type].threshold = 2
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    refused(site, TrustError, "2.root.json")


def _twin(signer: SigningKey, key_id: str, name: str) -> CryptoSigner:
    """Make a signer with the same key under another id."""
    assert isinstance(signer, CryptoSigner)
    fields = signer.public_key.to_dict()
    key = Key.from_dict(key_id, fields)
    assert isinstance(key, SSlibKey)
    name_key(key, name)
    return CryptoSigner(signer._private_key, key)


def test_duplicate_keys(vendor: Vendor, site: Site) -> None:
    """One key under two ids may not count twice; here a root with such keys is refused."""
    site.take()
    one = vendor.signers[Targets.type][0]
    vendor.set_keys(Targets.type, [one, _twin(one, "ab" * 32, "Cyd Example")], 2)
    vendor.publish(*ROLES)
    refused(site, TrustError, "one public key is listed twice")


def test_duplicate_sig_keyids(vendor: Vendor, site: Site) -> None:
    site.take()
    vendor.publish(*ALL_BELOW)
    body = json.loads(vendor.files["targets.json"])
    body["signatures"] = [body["signatures"][0]] * 2
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    vendor.files["targets.json"] = data
    refused(site, SignatureError, "targets.json")


@pytest.mark.parametrize("type_", ["ed25519", "ecdsa-p256", "ecdsa-p384", "ml-dsa-65"])
def test_keytype_and_scheme(vendor: Vendor, site: Site, type_: str) -> None:
    vendor.set_keys(Snapshot.type, [person("New Build System", type_)], 1)
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    site.take()
    body = json.loads(vendor.files["snapshot.json"])
    other = vendor.signers[Timestamp.type][0].sign(b"something else").signature
    body["signatures"][0]["sig"] = other
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    vendor.files["snapshot.json"] = data
    vendor.timestamp.version += 1
    vendor.put(Timestamp.type)
    assert isinstance(site.refusal(), SignatureError)


def test_keytype_rsa(vendor: Vendor, site: Site, tmp_path: Path) -> None:
    """Stricter: keys are of a type whose signatures have one spelling."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    signer = CryptoSigner(rsa.generate_private_key(65537, 2048))
    name_key(signer.public_key, "New Build System")
    vendor.set_keys(Snapshot.type, [signer], 1)
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    stricter(vendor, site, TrustError, "not a public key of a supported type", tmp_path)


def test_invalid_sig_in_valid_metadata(vendor: Vendor, site: Site, tmp_path: Path) -> None:
    """Stricter: every signature must verify, also those beyond the threshold."""
    third = person("Cyd Example")
    vendor.set_keys(Targets.type, [*vendor.signers[Targets.type], third], 2)
    vendor.publish(*ROLES)
    body = json.loads(vendor.files["targets.json"])
    body["signatures"][2]["sig"] = "00" * 64
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    vendor.files["targets.json"] = data
    stricter(vendor, site, SignatureError, "is not valid", tmp_path)
