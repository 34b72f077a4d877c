"""Each way in which trust can fail has an error of its own, and says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tuf.api.metadata import Metadata, Root, Snapshot, Targets

from bundle.base.digest import digest_of
from bundle.base.errors import (
    ClockError,
    DamagedStateError,
    ExpiredError,
    IntegrityError,
    IsowardError,
    LostStateError,
    MixedMetadataError,
    NotEnrolledError,
    RevokedKeyError,
    RevokedReleaseError,
    RollbackError,
    SignatureError,
    SizeMismatchError,
    ThresholdError,
    TrustError,
    UnknownKeyError,
    WrongProductError,
    WrongSiteError,
)
from bundle.base.limits import MAX_TRUST_DEPTH, MAX_TRUST_FILE_BYTES
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.stored import SigningKey, generate_key
from bundle.trust.metadata.parse import parse_metadata
from bundle.trust.metadata.restrictions import PRODUCT_FIELD, SITES_FIELD, RevokedRelease
from bundle.trust.site.state import TrustState, load_states, state_path
from bundle.trust.verify.verification import verify_trust
from installer.enrollment.first_trust import find_enrolled, read_candidate
from tests.support.sites.people import expired_bundle
from tests.support.trust.edit import edit, reissue, verify
from tests.support.trust.release_kit import (
    ReleaseKit,
    enrolled,
    make_bundle,
    make_release,
    now,
    release_bundle,
    trusted_bundle,
)


@dataclass(frozen=True)
class Case:
    base: Path
    kit: ReleaseKit
    bundle: Path
    depot: Path

    @property
    def state(self) -> TrustState:
        return load_states(self.depot / "trust")[0]

    @property
    def approvers(self) -> list[SigningKey]:
        return [key.signer for key in self.kit.approvers[:2]]

    def verify(self) -> object:
        return verify(self.bundle, self.state)

    def second(self) -> Path:
        return trusted_bundle(self.base / "second", self.kit, "2.0.0")


@pytest.fixture
def case(tmp_path: Path, kit: ReleaseKit, bundle: Path) -> Case:
    enrolled(tmp_path / "depot", kit)
    return Case(tmp_path, kit, bundle, tmp_path / "depot")


def rotate(kit: ReleaseKit, change: Callable[[Root], None], *signers: SigningKey) -> None:
    """Add the next root to the release folder, signed by the old root keys and by `signers`."""
    newest = max(kit.release.glob("*.root.json"))
    metadata: Metadata[Root] = Metadata.from_bytes(newest.read_bytes())
    metadata.signed.version += 1
    change(metadata.signed)
    metadata.signatures.clear()
    for signer in (*(key.signer for key in kit.roots), *signers):
        metadata.sign(signer, append=True)
    (kit.release / f"{metadata.signed.version}.root.json").write_bytes(metadata.to_bytes())


def too_few_signatures(case: Case) -> object:
    edit(case.bundle, "targets.json", lambda m: None, case.approvers[0])
    return case.verify()


def a_stranger_s_signature(case: Case) -> object:
    edit(case.bundle, "targets.json", lambda m: None, *case.approvers, case.kit.stranger.signer)
    return case.verify()


def a_revoked_approver_s_signature(case: Case) -> object:
    """The site has seen the root that took the key away; the medium has the old root only."""
    gone = case.kit.approvers[0].signer.public_key.keyid
    new = generate_key("Dora Example")

    def change(root: Root) -> None:
        root.revoke_key(gone, Targets.type)
        root.add_key(new.public_key, Targets.type)

    rotate(case.kit, change)
    roots = case.state.roots, (case.kit.release / "2.root.json").read_text()
    return verify(case.bundle, msgspec.structs.replace(case.state, roots=(*roots[0], roots[1])))


def a_revoked_builder_s_signature(case: Case) -> object:
    """A release that was made with the key that the newest root on the medium took away."""
    old = case.kit.builder.signer.public_key.keyid
    new = generate_key("New Build System")

    def change(root: Root) -> None:
        for role in ("snapshot", "timestamp"):
            root.revoke_key(old, role)
            root.add_key(new.public_key, role)

    rotate(case.kit, change)
    path = case.kit.release / "2.root.json"
    (case.bundle / "trust/2.root.json").write_bytes(path.read_bytes())
    return case.verify()


def a_revoked_root_key_s_signature(case: Case) -> object:
    """The third root is signed by a key that the second took away."""
    old, new = case.kit.roots[0].signer, generate_key("Rita Root")

    def away(root: Root) -> None:
        root.revoke_key(old.public_key.keyid, Root.type)
        root.add_key(new.public_key, Root.type)

    rotate(case.kit, away, new)
    rotate(case.kit, lambda root: None, new)
    return read_candidate(case.kit.release, None, now())


def an_expired_timestamp(case: Case) -> object:
    later = now() + timedelta(days=91)
    return verify_trust(BundleDirectory(case.bundle), case.state, later)


def an_older_release(case: Case) -> object:
    return verify(case.bundle, verify(case.second(), case.state))


def below_the_floor(case: Case) -> object:
    return verify(case.bundle, msgspec.structs.replace(case.state, floor=2))


def files_of_two_releases(case: Case) -> object:
    (case.second() / "trust/snapshot.json").replace(case.bundle / "trust/snapshot.json")
    return case.verify()


def frozen_targets(case: Case) -> object:
    """A new snapshot and timestamp around an old targets.json."""
    reissue(case.bundle, case.kit, lambda s: s.meta["targets.json"].__setattr__("version", 9))
    return case.verify()


def a_second_file_under_one_version(case: Case) -> object:
    seen = verify(case.bundle, case.state)
    reissue(case.bundle, case.kit, lambda s: setattr(s, "expires", now() + timedelta(days=9)))
    return verify(case.bundle, seen)


def a_root_that_the_old_one_did_not_sign(case: Case) -> object:
    rotate(case.kit, lambda root: None)
    path = case.kit.release / "2.root.json"
    metadata: Metadata[Root] = Metadata.from_bytes(path.read_bytes())
    metadata.signatures.pop(case.kit.roots[0].signer.public_key.keyid)
    (case.bundle / "trust/2.root.json").write_bytes(metadata.to_bytes())
    return case.verify()


def another_site(case: Case) -> object:
    def only_south(metadata: Metadata[Targets]) -> None:
        metadata.signed.unrecognized_fields[SITES_FIELD] = ["south"]

    edit(case.bundle, "targets.json", only_south, *case.approvers)
    return case.verify()


def another_product(case: Case) -> object:
    def change(root: Root) -> None:
        root.unrecognized_fields[PRODUCT_FIELD] = "imaging"

    rotate(case.kit, change)
    path = case.kit.release / "2.root.json"
    (case.bundle / "trust/2.root.json").write_bytes(path.read_bytes())
    return case.verify()


def a_revoked_release(case: Case) -> object:
    digest = digest_of((case.bundle / "bundle.json").read_bytes())
    entry = RevokedRelease(release=1, digest=digest, reason="it loses data")
    return verify(case.bundle, msgspec.structs.replace(case.state, revoked=(entry,)))


def a_clock_that_went_back(case: Case) -> object:
    before = case.state.last_seen - timedelta(hours=1)
    return verify_trust(BundleDirectory(case.bundle), case.state, before)


def a_damaged_state(case: Case) -> object:
    path = state_path(case.depot / "trust", case.kit.fingerprint)
    path.write_bytes(path.read_bytes().replace(b'"lastSeen":"2', b'"lastSeen":"1'))
    return case.verify()


def a_lost_state(case: Case) -> object:
    state_path(case.depot / "trust", case.kit.fingerprint).unlink()
    return case.verify()


def another_vendor(case: Case) -> object:
    other = make_release(case.base / "other")
    bundle = trusted_bundle(case.base / "theirs", other)
    return find_enrolled(case.depot / "trust", read_candidate(bundle, None, now())) or verify_here(
        case, bundle
    )


def verify_here(case: Case, bundle: Path) -> object:
    from bundle.trust.site.state import find_state

    directory = BundleDirectory(bundle)
    return verify_trust(directory, find_state(directory, [case.state]))


def an_oversized_file(case: Case) -> object:
    path = case.bundle / "trust/targets.json"
    path.write_bytes(path.read_bytes() + b" " * MAX_TRUST_FILE_BYTES)
    return case.verify()


def a_deeply_nested_file(case: Case) -> object:
    (case.bundle / "trust/targets.json").write_bytes(b"[" * 100_000 + b"]" * 100_000)
    return case.verify()


REFUSALS: dict[Callable[[Case], object], type[IsowardError]] = {
    too_few_signatures: ThresholdError,
    a_stranger_s_signature: UnknownKeyError,
    a_revoked_approver_s_signature: RevokedKeyError,
    a_revoked_builder_s_signature: RevokedKeyError,
    a_revoked_root_key_s_signature: RevokedKeyError,
    an_expired_timestamp: ExpiredError,
    an_older_release: RollbackError,
    below_the_floor: RollbackError,
    files_of_two_releases: MixedMetadataError,
    frozen_targets: MixedMetadataError,
    a_second_file_under_one_version: MixedMetadataError,
    a_root_that_the_old_one_did_not_sign: SignatureError,
    another_site: WrongSiteError,
    another_product: WrongProductError,
    a_revoked_release: RevokedReleaseError,
    a_clock_that_went_back: ClockError,
    a_damaged_state: DamagedStateError,
    a_lost_state: LostStateError,
    another_vendor: NotEnrolledError,
    an_oversized_file: SizeMismatchError,
    a_deeply_nested_file: SignatureError,
}


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda made: made.__name__)
def test_each_refusal_has_its_own_error_and_advice(
    case: Case, refused: Callable[[Case], object]
) -> None:
    case.verify()
    with pytest.raises(IsowardError) as raised:
        refused(case)
    assert type(raised.value) is REFUSALS[refused]
    assert raised.value.hint
    assert "\n" not in raised.value.message


def test_the_errors_can_be_told_apart() -> None:
    """A script tells them by id; those who are told the exit code know the kind."""
    ids = {error.id for error in REFUSALS.values()}
    assert len(ids) == len(set(REFUSALS.values()))
    for error in REFUSALS.values():
        assert issubclass(error, TrustError | IntegrityError)


@pytest.mark.parametrize("name", ["1.root.json", "targets.json", "snapshot.json", "timestamp.json"])
@pytest.mark.parametrize("depth", [MAX_TRUST_DEPTH + 1, 1000, 100_000])
def test_nesting_is_bounded_before_parsing(case: Case, name: str, depth: int) -> None:
    path = case.bundle / "trust" / name
    fields: dict[str, Any] = json.loads(path.read_bytes())
    fields["signed"]["x"] = "HERE"
    nested = '{"a":' * depth + "1" + "}" * depth
    path.write_text(json.dumps(fields).replace('"HERE"', nested))
    if path.stat().st_size > MAX_TRUST_FILE_BYTES:
        nested = "[" * depth + "]" * depth
        path.write_text(json.dumps(fields).replace('"HERE"', nested))
    with pytest.raises(SignatureError, match="nested at most 32 deep"):
        case.verify()


@pytest.mark.parametrize(
    "data",
    [
        b'"' + b"[" * 1000,
        b'"\\"' + b"[" * 1000 + b'"',
        b"[" * 1000 + b'"' + b"]" * 1000,
        b'{"\\\\":' * 1000,
        b"]" * 1000 + b"[" * 1031,
        b'"[' * 100_000,
        b'"\\' * 100_000,
    ],
)
def test_brackets_do_not_hide_in_strings(data: bytes) -> None:
    """Where our scan and a parser disagree about a string, it is refused all the same, at once."""
    with pytest.raises(SignatureError):
        parse_metadata(data, Snapshot, "snapshot.json")


def test_brackets_in_a_string_do_not_count() -> None:
    data = json.dumps({"signed": "[" * 1000, "signatures": []}).encode()
    with pytest.raises(SignatureError, match="expected TUF metadata"):
        parse_metadata(data, Snapshot, "snapshot.json")


def test_a_fresh_release_is_named_as_the_way_out(case: Case, tmp_path: Path) -> None:
    kit = make_release(tmp_path / "old vendor", now() - timedelta(days=100))
    bundle = expired_bundle(tmp_path / "expired", kit)
    state = enrolled(tmp_path / "old depot", kit)
    with pytest.raises(ExpiredError) as raised:
        verify(bundle, state)
    assert "fresh metadata" in raised.value.hint
    fresh = make_bundle(tmp_path / "fresh", b"fresh", "2.0.0")
    assert release_bundle(fresh, kit) == 2
