"""Old, mixed, expired and equivocating metadata: every signature is right, and still no."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from bundle.base.errors import (
    DigestMismatchError,
    ExpiredError,
    FormatError,
    MixedMetadataError,
    RollbackError,
    SignatureError,
)
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.stored import generate_key
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from tests.support.trust.edit import FILES, edit, reissue, verify
from tests.support.trust.release_kit import (
    ReleaseKit,
    approve_all,
    enrolled,
    make_bundle,
    now,
    release_bundle,
    trusted_bundle,
)


def test_an_older_release_is_refused(tmp_path: Path, kit: ReleaseKit, state: TrustState) -> None:
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    state = verify(first, state)
    state = verify(second, state)
    with pytest.raises(RollbackError, match="release 1 is older than release 2"):
        verify(first, state)


def test_an_older_timestamp_of_the_same_release_is_refused(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """Here python-tuf itself says no: nothing of ours looks at versions of timestamps."""
    bundle = make_bundle(tmp_path / "bundle")
    begin = now() - timedelta(days=60)
    release_bundle(bundle, kit, begin)
    approve_all(bundle, kit, begin)
    old = (bundle / "trust/timestamp.json").read_bytes()
    release_bundle(bundle, kit)
    state = verify(bundle, state)
    (bundle / "trust/timestamp.json").write_bytes(old)
    with pytest.raises(RollbackError, match="older"):
        verify(bundle, state)


@pytest.mark.parametrize("name", ["targets.json", "snapshot.json", "timestamp.json"])
def test_files_of_two_releases_do_not_mix(
    tmp_path: Path, kit: ReleaseKit, state: TrustState, name: str
) -> None:
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    (second / "trust" / name).write_bytes((first / "trust" / name).read_bytes())
    with pytest.raises(MixedMetadataError, match="trust/"):
        verify(second, state)


def test_bundle_json_of_another_release_does_not_mix(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    (second / "bundle.json").write_bytes((first / "bundle.json").read_bytes())
    with pytest.raises(DigestMismatchError, match=r"bundle\.json"):
        verify(second, state)


def test_two_contents_under_one_number_are_refused(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """Approvers signed two releases with one number: a site that saw one refuses the other."""
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    state = verify(first, state)
    other = make_bundle(tmp_path / "2", b"other")
    data = (other / "bundle.json").read_bytes()
    (other / "trust").mkdir()
    for name in FILES:
        (other / "trust" / name).write_bytes((first / "trust" / name).read_bytes())
    target = TargetFile.from_data("bundle.json", data, ["sha256"])
    approvers = [key.signer for key in kit.approvers[:2]]
    edit(
        other,
        "targets.json",
        lambda m: setattr(m.signed, "targets", {"bundle.json": target}),
        *approvers,
    )
    with pytest.raises(RollbackError, match=r"trust/targets\.json"):
        verify(other, state)


def test_a_snapshot_signed_twice_under_one_number_is_refused(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    state = verify(bundle, state)
    reissue(bundle, kit, lambda s: setattr(s, "expires", now() + timedelta(days=300)))
    with pytest.raises(RollbackError, match=r"trust/snapshot\.json"):
        verify(bundle, state)


def test_one_timestamp_signed_by_two_builders_is_refused(tmp_path: Path, kit: ReleaseKit) -> None:
    """A root may name two build systems; one file under one version comes from one of them."""
    second = generate_key("Second Build System")
    metadata: Metadata[Root] = Metadata.from_bytes((kit.release / "1.root.json").read_bytes())
    metadata.signed.version = 2
    metadata.signed.add_key(second.public_key, Timestamp.type)
    metadata.signatures.clear()
    for key in kit.roots:
        metadata.sign(key.signer, append=True)
    (kit.release / "2.root.json").write_bytes(metadata.to_bytes())
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    state = verify(bundle, enrolled(tmp_path / "depot", kit))
    edit(bundle, "timestamp.json", lambda m: None, second)
    with pytest.raises(MixedMetadataError, match=r"trust/timestamp\.json"):
        verify(bundle, state)


def test_the_builder_alone_cannot_roll_targets_back(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    state = verify(second, state)

    def newer(snapshot: Snapshot) -> None:
        snapshot.version = 9

    reissue(first, kit, newer)

    def newest(metadata: Metadata[Timestamp]) -> None:
        metadata.signed.version = 9

    edit(first, "timestamp.json", newest, kit.builder.signer)
    with pytest.raises(RollbackError):
        verify(first, state)


@pytest.mark.parametrize(
    ("days", "name"), [(91, "timestamp"), (366, "timestamp"), (731, r"1\.root")]
)
def test_expired_metadata_is_refused(bundle: Path, state: TrustState, days: int, name: str) -> None:
    moment = now() + timedelta(days=days)
    with pytest.raises(ExpiredError, match=rf"trust/{name}\.json: expired on"):
        verify_trust(BundleDirectory(bundle), state, moment)


def test_python_tuf_s_own_clock_counts_too(tmp_path: Path, kit: ReleaseKit) -> None:
    """A caller with a clock that runs behind does not revive what has expired."""
    begin = now() - timedelta(days=100)
    bundle = make_bundle(tmp_path / "old")
    release_bundle(bundle, kit, begin)
    approve_all(bundle, kit, begin)
    state = enrolled(tmp_path / "depot", kit)
    early = TrustState(
        fingerprint=state.fingerprint, enrolled_at=begin, last_seen=begin, roots=state.roots
    )
    with pytest.raises(ExpiredError, match=r"timestamp\.json"):
        verify_trust(BundleDirectory(bundle), early, begin + timedelta(days=1))


def test_targets_name_bundle_json_and_nothing_else(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    approvers = [key.signer for key in kit.approvers[:2]]
    before = (bundle / "trust/targets.json").read_bytes()
    extra = TargetFile.from_data("other.json", b"x", ["sha256"])
    delegations = Delegations(
        {kit.stranger.signer.public_key.keyid: kit.stranger.signer.public_key},
        {
            "more": DelegatedRole(
                "more",
                [kit.stranger.signer.public_key.keyid],
                1,
                terminating=False,
                paths=["*"],
            )
        },
    )
    changes: list[Callable[[Metadata[Targets]], None]] = [
        lambda m: m.signed.targets.update({"other.json": extra}),
        lambda m: m.signed.targets.clear(),
        lambda m: setattr(m.signed, "delegations", delegations),
        lambda m: setattr(m.signed.targets["bundle.json"], "hashes", {"sha512": "00"}),
    ]
    for change in changes:
        edit(bundle, "targets.json", change, *approvers)
        with pytest.raises(SignatureError, match=r"trust/targets\.json"):
            verify(bundle, state)
        (bundle / "trust/targets.json").write_bytes(before)


def test_an_approved_bundle_json_must_be_well_formed(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / "bundle.json").write_bytes(b'{"apiVersion":"isoward/v2"}')
    with pytest.raises(FormatError, match=r"bundle\.json"):
        release_bundle(bundle, kit)
    edit(bundle, "targets.json", lambda m: None, *(key.signer for key in kit.approvers[:2]))
    with pytest.raises(FormatError, match=r"bundle\.json"):
        verify(bundle, state)
