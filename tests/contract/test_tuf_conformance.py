"""The cases of TUF's conformance suite that a medium can pose, to our verifier.

The names are those of theupdateframework/tuf-conformance; docs/adr/0012-tuf-conformance.md says
which cases do not apply, and where we refuse what TUF allows. In those, python-tuf's own client is
shown to accept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner, Key, SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from bundle.base.errors import (
    DigestMismatchError,
    ExpiredError,
    IsowardError,
    MissingBlobError,
    MixedMetadataError,
    RollbackError,
    SignatureError,
    SizeMismatchError,
    ThresholdError,
    TrustError,
    UnexpectedFileError,
    UnknownKeyError,
)
from bundle.trust.keys.stored import SigningKey, name_key
from bundle.trust.site.state import new_state
from tests.support.trust.release_kit import now
from tests.support.trust.tuf_simulator import (
    BELOW,
    ROLES,
    Site,
    Vendor,
    person,
    stock_client_accepts,
)

_ALL_BELOW = (Targets.type, Snapshot.type, Timestamp.type)


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path)


@pytest.fixture
def site(vendor: Vendor) -> Site:
    return Site(vendor)


def _refused(site: Site, kind: type[IsowardError], says: str = "", **more: Any) -> None:
    error = site.refusal(**more)
    assert error is not None, "it was accepted"
    assert type(error) is kind, error.message
    assert says in error.message


def _stricter(vendor: Vendor, site: Site, kind: type[IsowardError], says: str, base: Path) -> None:
    """Check that TUF allows what is published, and that we do not."""
    assert stock_client_accepts(vendor, base / "stock")
    _refused(site, kind, says)


# test_basic


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
        _resign(vendor, Timestamp.type)
    else:
        vendor.snapshot.meta["targets.json"].version = 9
        _resign(vendor, Snapshot.type)
        vendor.publish(Timestamp.type)
    _refused(site, kind)


def _resign(vendor: Vendor, role: str) -> None:
    """Publish what a role says now, without letting it name what is there."""
    signed: Any = getattr(vendor, role)
    metadata: Metadata[Any] = Metadata(signed)
    for signer in vendor.signers[role]:
        metadata.sign(signer, append=True)
    vendor.files[BELOW[role]] = metadata.to_bytes()


def test_timestamp_content_changes(vendor: Vendor, site: Site) -> None:
    """TUF keeps the one that it has; a medium with another one is refused."""
    site.take()
    vendor.timestamp.expires += timedelta(days=1)
    vendor.put(Timestamp.type)
    _refused(site, MixedMetadataError, "timestamp.json")


def test_basic_metadata_hash_support(vendor: Vendor, site: Site) -> None:
    vendor.hashes = True
    vendor.publish(*_ALL_BELOW)
    site.take()
    assert site.version(Snapshot.type) == 2


def test_targets_hash_mismatch(vendor: Vendor, site: Site) -> None:
    vendor.hashes = True
    vendor.publish(*_ALL_BELOW)
    site.take()
    vendor.publish(*_ALL_BELOW)
    named = vendor.snapshot.meta["targets.json"]
    assert named.hashes is not None
    named.hashes["sha256"] = "0" * 64
    _resign(vendor, Snapshot.type)
    vendor.publish(Timestamp.type)
    _refused(site, SignatureError)
    assert site.version(Targets.type) == 2


def test_snapshot_hash_mismatch(vendor: Vendor, site: Site) -> None:
    site.take()
    vendor.publish(Snapshot.type, Timestamp.type)
    named = vendor.timestamp.snapshot_meta
    assert named.hashes is not None
    named.hashes["sha256"] = "0" * 64
    _resign(vendor, Timestamp.type)
    _refused(site, MixedMetadataError, "snapshot.json")


def test_metadata_bytes_match(vendor: Vendor, site: Site, tmp_path: Path) -> None:
    """Stricter: a space more is another spelling, and every byte of a medium counts."""
    vendor.files["timestamp.json"] += b" "
    _stricter(vendor, site, SignatureError, "another spelling", tmp_path)


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
    for role in _ALL_BELOW:
        signed: Any = getattr(vendor, role)
        signed.unrecognized_fields["custom-field"] = {"x": [1, 2]}
    vendor.publish(*_ALL_BELOW)
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
    vendor.publish(*_ALL_BELOW)
    del vendor.files[name]
    _refused(site, MissingBlobError, name)


def test_named_but_not_published(vendor: Vendor, site: Site) -> None:
    site.take()
    before = vendor.files["snapshot.json"]
    vendor.publish(Snapshot.type, Timestamp.type)
    vendor.files["snapshot.json"] = before
    _refused(site, MixedMetadataError, "snapshot.json")


def test_incorrect_metadata_type(vendor: Vendor, site: Site) -> None:
    vendor.files["timestamp.json"] = vendor.files["snapshot.json"]
    _refused(site, SignatureError, "role timestamp")


def test_faketime(vendor: Vendor, site: Site) -> None:
    site.take()
    _refused(site, ExpiredError, at=now() + timedelta(days=31))


# test_expiration


@pytest.mark.parametrize("role", ROLES)
def test_expired(vendor: Vendor, site: Site, role: str) -> None:
    """test_root_expired, test_timestamp_expired, test_snapshot_expired and test_targets_expired."""
    site.take()
    signed: Any = getattr(vendor, role)
    signed.expires = now() - timedelta(days=5)
    vendor.publish(*ROLES)
    _refused(site, ExpiredError, f"{role}.json")
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
    vendor.publish(*_ALL_BELOW)
    site.take(start + timedelta(days=18))
    assert [site.version(role) for role in _ALL_BELOW] == [2, 2, 3]


# test_file_download: the one target of a bundle is bundle.json


def test_repository_substitutes_target_file(vendor: Vendor, site: Site) -> None:
    site.take()
    vendor.content = b"CONTENT"
    _refused(site, DigestMismatchError, "bundle.json")
    vendor.content = b"longer than content" * 10
    _refused(site, SizeMismatchError, "bundle.json")


def test_multiple_changes_to_target(vendor: Vendor, site: Site) -> None:
    for number in range(2, 6):
        vendor.content = f"content {number}".encode()
        vendor.name_target()
        vendor.publish(*_ALL_BELOW)
        site.take()
        assert site.version(Targets.type) == number


def test_download_with_hash_algorithms(vendor: Vendor, site: Site) -> None:
    vendor.name_target("sha256", "sha512")
    vendor.publish(*_ALL_BELOW)
    site.take()


@pytest.mark.parametrize("algorithm", ["sha384", "sha512", "blake2b-256"])
def test_download_with_another_hash_algorithm(
    vendor: Vendor, site: Site, tmp_path: Path, algorithm: str
) -> None:
    """Stricter: SHA-256 must be among them, since `sha256sum` is what an auditor has."""
    vendor.name_target(algorithm)
    vendor.publish(*_ALL_BELOW)
    _stricter(vendor, site, SignatureError, "by SHA-256", tmp_path)


def test_download_with_unknown_hash_algorithm(vendor: Vendor, site: Site) -> None:
    vendor.targets.targets["bundle.json"].hashes = {"sha256": "0" * 64, "no-such": "0" * 64}
    vendor.publish(*_ALL_BELOW)
    assert site.refusal() is not None


# test_keys


def test_snapshot_does_not_meet_threshold(vendor: Vendor, site: Site) -> None:
    site.take()
    builders = [person("Build System"), person("Second Build System")]
    vendor.set_keys(Snapshot.type, builders, 2)
    vendor.signers[Snapshot.type] = builders[:1]
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    _refused(site, ThresholdError, "snapshot.json")


def test_snapshot_has_too_few_keys(vendor: Vendor, site: Site) -> None:
    """Stricter: a root whose threshold is out of reach is refused as such."""
    site.take()
    vendor.root.roles[Snapshot.type].threshold = 2
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    _refused(site, TrustError, "2.root.json")


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
    _refused(site, TrustError, "one public key stands twice")


def test_duplicate_sig_keyids(vendor: Vendor, site: Site) -> None:
    site.take()
    vendor.publish(*_ALL_BELOW)
    body = json.loads(vendor.files["targets.json"])
    body["signatures"] = [body["signatures"][0]] * 2
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    vendor.files["targets.json"] = data
    _refused(site, SignatureError, "targets.json")


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
    _stricter(vendor, site, TrustError, "not a public key of a type that counts", tmp_path)


def test_invalid_sig_in_valid_metadata(vendor: Vendor, site: Site, tmp_path: Path) -> None:
    """Stricter: every signature must verify, also those beyond the threshold."""
    third = person("Cyd Example")
    vendor.set_keys(Targets.type, [*vendor.signers[Targets.type], third], 2)
    vendor.publish(*ROLES)
    body = json.loads(vendor.files["targets.json"])
    body["signatures"][2]["sig"] = "00" * 64
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    vendor.files["targets.json"] = data
    _stricter(vendor, site, SignatureError, "does not verify", tmp_path)


# test_rollback


def test_new_timestamp_version_rollback(vendor: Vendor, site: Site) -> None:
    vendor.publish(Timestamp.type)
    site.take()
    vendor.timestamp.version = 1
    vendor.put(Timestamp.type)
    _refused(site, RollbackError)
    assert site.version(Timestamp.type) == 2


@pytest.mark.parametrize("hashes", [False, True])
def test_snapshot_rollback(vendor: Vendor, site: Site, hashes: bool) -> None:
    vendor.hashes = hashes
    vendor.publish(Snapshot.type, Timestamp.type)
    site.take()
    vendor.snapshot.version = 1
    vendor.put(Snapshot.type)
    vendor.publish(Timestamp.type)
    _refused(site, RollbackError)
    assert (site.version(Snapshot.type), site.version(Timestamp.type)) == (2, 2)


@pytest.mark.parametrize("hashes", [False, True])
def test_targets_rollback(vendor: Vendor, site: Site, hashes: bool) -> None:
    vendor.hashes = hashes
    vendor.publish(*_ALL_BELOW)
    site.take()
    vendor.targets.version = 1
    vendor.put(Targets.type)
    vendor.publish(Snapshot.type, Timestamp.type)
    _refused(site, RollbackError, "release 1 is older than release 2")


def test_targets_role_removal(vendor: Vendor, site: Site) -> None:
    site.take()
    del vendor.snapshot.meta["targets.json"]
    vendor.snapshot.version = 2
    _resign(vendor, Snapshot.type)
    vendor.publish(Timestamp.type)
    _refused(site, MixedMetadataError, "targets.json")


def test_targets_fast_forward_recovery(vendor: Vendor, site: Site, tmp_path: Path) -> None:
    """Stricter: a release number only grows, whoever's key was rotated."""
    vendor.targets.version = 99
    vendor.publish(*_ALL_BELOW)
    site.take()
    assert site.version(Targets.type) == 100
    vendor.rotate(Snapshot.type)
    vendor.targets.version = 1
    vendor.put(Targets.type)
    vendor.publish(Root.type, Snapshot.type, Timestamp.type)
    _stricter(vendor, site, RollbackError, "release 1 is older than release 100", tmp_path)
    vendor.targets.version = 100
    vendor.publish(*_ALL_BELOW)
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


# test_updater_key_rotations


@dataclass(frozen=True)
class Step:
    """A version: who holds the role, how many must sign, and who does, by number."""

    keys: list[int]
    threshold: int
    signed_by: list[int]


_FIVE = [0, 1, 2, 3, 4]
ROOT_ROTATIONS: dict[str, list[Step]] = {
    "1-of-1-key-rotation": [Step([1], 1, [1]), Step([2], 1, [2, 1]), Step([2], 1, [2])],
    "3-of-5-sign-with-different-keycombos": [
        Step(_FIVE, 3, [0, 2, 4]),
        Step(_FIVE, 3, [0, 4, 1]),
        Step(_FIVE, 3, [0, 1, 3]),
    ],
    "3-of-5-one-key-rotated": [Step(_FIVE, 3, [0, 2, 4]), Step([0, 1, 3, 4, 5], 3, [0, 4, 1])],
    "3-of-5-one-key-rotated-with-intermediate-step": [
        Step(_FIVE, 3, [0, 2, 4]),
        Step([0, 1, 3, 4, 5], 3, [0, 2, 4, 5]),
        Step([0, 1, 3, 4, 5], 3, [0, 4, 5]),
    ],
    "3-of-5-all-keys-rotated-with-intermediate-step": [
        Step(_FIVE, 3, [0, 2, 4]),
        Step([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]),
        Step([5, 6, 7, 8, 9], 3, [5, 6, 7]),
    ],
    "1-of-3-threshold-increase-to-2-of-3": [Step([1, 2, 3], 1, [1]), Step([1, 2, 3], 2, [1, 2])],
    "2-of-3-threshold-decrease-to-1-of-3": [
        Step([1, 2, 3], 2, [1, 2]),
        Step([1, 2, 3], 1, [1, 2]),
        Step([1, 2, 3], 1, [1]),
    ],
    "1-of-2-threshold-increase-to-2-of-2": [Step([1], 1, [1]), Step([1, 2], 2, [1, 2])],
}
BAD_ROOT_ROTATIONS: dict[str, tuple[list[Step], type[IsowardError]]] = {
    "not-signed-with-old-key": ([Step([1], 1, [1]), Step([2], 1, [2])], SignatureError),
    "not-signed-with-new-key": ([Step([1], 1, [1]), Step([2], 1, [1])], SignatureError),
    "not-signed-with-3-new-keys": (
        [Step(_FIVE, 3, [0, 2, 4]), Step([0, 1, 3, 4, 5], 3, [0, 2, 4])],
        SignatureError,
    ),
    "not-signed-with-3-old-keys": (
        [Step(_FIVE, 3, [0, 2, 4]), Step([0, 1, 3, 4, 5], 3, [0, 4, 5])],
        SignatureError,
    ),
    "new-threshold-not-reached": (
        [Step([1, 2, 3], 1, [1]), Step([1, 2, 3], 2, [2])],
        SignatureError,
    ),
    "old-threshold-not-reached": (
        [Step([1, 2, 3], 2, [1, 2]), Step([1, 2, 3], 1, [1])],
        SignatureError,
    ),
}


def _rotate_root(vendor: Vendor, steps: list[Step]) -> None:
    people = [person(f"Root Holder {number}") for number in range(10)]
    vendor.roots.clear()
    vendor.root.version = 0
    for step in steps:
        vendor.set_keys(Root.type, [people[i] for i in step.keys], step.threshold)
        vendor.signers[Root.type] = [people[i] for i in step.signed_by]
        vendor.publish(Root.type)


@pytest.mark.parametrize("name", ROOT_ROTATIONS)
def test_root_rotation(vendor: Vendor, name: str) -> None:
    _rotate_root(vendor, ROOT_ROTATIONS[name])
    site = Site(vendor)
    site.take()
    assert site.state.roots[-1].encode() == vendor.roots[len(ROOT_ROTATIONS[name])]


@pytest.mark.parametrize("name", BAD_ROOT_ROTATIONS)
def test_root_rotation_fails(vendor: Vendor, name: str) -> None:
    steps, kind = BAD_ROOT_ROTATIONS[name]
    _rotate_root(vendor, steps)
    site = Site(vendor)
    _refused(site, kind, "2.root.json")


def test_root_rotation_unused_signatures(vendor: Vendor, tmp_path: Path) -> None:
    """Stricter: a signature by nobody who may sign is refused, not passed over."""
    _rotate_root(vendor, [Step([1], 1, [1]), Step([2], 1, [3, 2, 1, 4])])
    _stricter(vendor, Site(vendor), UnknownKeyError, "2.root.json", tmp_path)


ROTATIONS = {
    "1-of-1-key-rotation": Step([2], 1, [2]),
    "3-of-5-sign-first-combo": Step(_FIVE, 3, [0, 2, 4]),
    "3-of-5-sign-second-combo": Step(_FIVE, 3, [0, 4, 1]),
    "3-of-5-sign-third-combo": Step(_FIVE, 3, [0, 1, 3]),
    "3-of-5-sign-fourth-combo": Step(_FIVE, 3, [1, 2, 3]),
    "3-of-5-sign-fifth-combo": Step(_FIVE, 3, [2, 3, 4]),
}
BAD_ROTATIONS = {
    "1-of-1-key-rotation-fail-not-signed-with-new-key": (Step([2], 1, [1, 3, 4]), UnknownKeyError),
    "3-of-5-one-key-signature-wrong-not-signed-with-3-expected-keys": (
        Step([0, 1, 3, 4, 5], 3, [0, 2, 4]),
        UnknownKeyError,
    ),
    "2-of-5-one-key-signature-missing-threshold-not-reached": (
        Step([0, 1, 3, 4, 5], 3, [0, 4]),
        ThresholdError,
    ),
}


def _rotate(vendor: Vendor, role: str, step: Step) -> None:
    people = [person(f"Holder {number} of {role}") for number in range(10)]
    vendor.set_keys(role, [people[i] for i in step.keys], step.threshold)
    vendor.signers[role] = [people[i] for i in step.signed_by]
    vendor.publish(*ROLES)


@pytest.mark.parametrize("name", ROTATIONS)
def test_non_root_rotations(vendor: Vendor, site: Site, name: str) -> None:
    site.take()
    for role in (Timestamp.type, Snapshot.type, Targets.type):
        step = ROTATIONS[name]
        if role == Targets.type and step.threshold < 2:
            step = Step([1, 2], 2, [1, 2])  # no one person approves
        _rotate(vendor, role, step)
        site.take()
        assert site.version(role) == getattr(vendor, role).version


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
@pytest.mark.parametrize("name", BAD_ROTATIONS)
def test_non_root_rotations_fail(vendor: Vendor, site: Site, name: str, role: str) -> None:
    site.take()
    step, kind = BAD_ROTATIONS[name]
    if role == Targets.type and step.threshold < 2:
        step = Step([2, 5], 2, [1, 3, 4])
    _rotate(vendor, role, step)
    _refused(site, kind, f"{role}.json")


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
def test_non_root_rotations_unused_signatures(
    vendor: Vendor, site: Site, tmp_path: Path, role: str
) -> None:
    """Stricter, as for the root."""
    _rotate(vendor, role, Step([1, 2], 2, [3, 1, 2, 4]))
    _stricter(vendor, site, UnknownKeyError, f"{role}.json", tmp_path)


# test_updater_delegation_graphs: a bundle has one target and nothing is delegated


def _delegate(vendor: Vendor) -> None:
    key = person("Delegate").public_key
    role = DelegatedRole("more", [key.keyid], 1, True, paths=["*"])
    vendor.targets.delegations = Delegations({key.keyid: key}, {"more": role})


def _second_target(vendor: Vendor) -> None:
    vendor.targets.targets["more"] = vendor.targets.targets["bundle.json"]


@pytest.mark.parametrize("change", [_delegate, _second_target])
def test_nothing_but_bundle_json_is_approved(
    vendor: Vendor, site: Site, tmp_path: Path, change: Callable[[Vendor], None]
) -> None:
    change(vendor)
    vendor.publish(*_ALL_BELOW)
    _stricter(vendor, site, SignatureError, "exactly one target", tmp_path)


# What the suite leaves to the repository, and a medium does not


def test_roots_without_the_one_in_the_middle(vendor: Vendor, site: Site) -> None:
    vendor.publish(Root.type)
    vendor.publish(Root.type)
    del vendor.roots[2]
    _refused(site, UnexpectedFileError, "3.root.json")


def test_a_medium_from_before_the_newest_root(vendor: Vendor, site: Site) -> None:
    """The root that the site knows is in force, also when the medium does not bring it."""
    vendor.publish(Root.type)
    site.take()
    del vendor.roots[2]
    vendor.publish(*_ALL_BELOW)
    site.take()
    assert site.version(Root.type) == 2


def test_a_root_of_the_same_version_and_other_content(vendor: Vendor, site: Site) -> None:
    vendor.publish(Root.type)
    site.take()
    vendor.root.expires += timedelta(days=1)
    vendor.put(Root.type)
    _refused(site, SignatureError, "not the root that this site knows")


def test_consistent_snapshots_are_refused(vendor: Vendor, site: Site) -> None:
    vendor.root.consistent_snapshot = True
    vendor.publish(Root.type)
    _refused(site, TrustError, "consistent_snapshot")
