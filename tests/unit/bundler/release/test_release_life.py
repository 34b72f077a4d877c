"""A release folder between builds: fresh timestamps, releases taken back, and where it stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Timestamp

from bundle.base.digest import digest_of
from bundle.base.errors import (
    ExpiredError,
    FormatError,
    RevokedReleaseError,
    UnknownKeyError,
    UsageError,
)
from bundle.checks.blobs import check_layout
from bundle.store.layout import BundleDirectory
from bundle.trust.metadata.restrictions import revoked_of
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from bundler.release.publish import refresh_release
from bundler.release.revocations import read_revocations, revoke
from bundler.release.status import release_status
from bundler.root.changes import rotate
from tests.support.trust.edit import verify
from tests.support.trust.release_kit import (
    ReleaseKit,
    approve_all,
    enrolled,
    make_bundle,
    make_key,
    make_release,
    now,
    release_bundle,
    trusted_bundle,
)
from tests.support.trust.root_life import advance, draft

FILES = ("targets.json", "snapshot.json", "timestamp.json")


def timestamp(folder: Path) -> Timestamp:
    found: Metadata[Timestamp] = Metadata.from_bytes((folder / "timestamp.json").read_bytes())
    return found.signed


def test_a_timestamp_is_renewed_without_a_build(tmp_path: Path) -> None:
    begin = now() - timedelta(days=100)
    kit = make_release(tmp_path / "vendor", begin)
    bundle = make_bundle(tmp_path / "bundle")
    release_bundle(bundle, kit, begin)
    approve_all(bundle, kit, begin)
    state = enrolled(tmp_path / "depot", kit)
    with pytest.raises(ExpiredError, match="timestamp"):
        verify(bundle, state)
    number, expires = refresh_release(kit.release, kit.builder.signer, now(), [bundle])
    assert (number, expires) == (1, timestamp(kit.release).expires)
    assert expires > now() + timedelta(days=80)
    verified, _ = verify_trust(BundleDirectory(bundle), state)
    assert verified.release == 1
    check_layout(BundleDirectory(bundle), verified.manifest)


def test_a_renewed_timestamp_is_newer_and_the_release_the_same(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    state = verify(bundle, state)
    before = timestamp(kit.release).version
    assert refresh_release(kit.release, kit.builder.signer, now())[0] == 1
    assert timestamp(kit.release).version == before + 1
    refresh_release(kit.release, kit.builder.signer, now(), [bundle])
    assert timestamp(bundle / "trust").version == before + 2
    state = verify(bundle, state)
    assert len(state.accepted) == 1


def test_a_new_builder_s_key_signs_the_release_anew(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    state = verify(bundle, state)
    new = make_key(tmp_path / "new", "Build System", "ecdsa-p256")
    advance(kit, rotate("Build System", new.signer.public_key))
    with pytest.raises(UnknownKeyError):
        refresh_release(kit.release, kit.builder.signer, now(), [bundle])
    refresh_release(kit.release, new.signer, now(), [bundle])
    state = verify(bundle, state)
    assert state.accepted[-1].root_version == 2


def test_refreshing_needs_the_builder_s_key_and_a_release(tmp_path: Path, kit: ReleaseKit) -> None:
    with pytest.raises(UsageError, match="nothing has been released"):
        refresh_release(kit.release, kit.builder.signer, now())
    trusted_bundle(tmp_path / "bundle", kit)
    before = {name: (kit.release / name).read_bytes() for name in FILES}
    for key in (kit.stranger, kit.approvers[0], kit.roots[0]):
        with pytest.raises(UnknownKeyError):
            refresh_release(kit.release, key.signer, now())
    with pytest.raises(ExpiredError, match=r"targets\.json"):
        refresh_release(kit.release, kit.builder.signer, now() + timedelta(days=400))
    assert {name: (kit.release / name).read_bytes() for name in FILES} == before


def test_only_the_newest_release_is_kept_fresh(tmp_path: Path, kit: ReleaseKit) -> None:
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    trusted_bundle(tmp_path / "2", kit, "2.0.0")
    before = (first / "trust/timestamp.json").read_bytes()
    with pytest.raises(UsageError, match="not release 2"):
        refresh_release(kit.release, kit.builder.signer, now(), [first])
    assert (first / "trust/timestamp.json").read_bytes() == before


def test_a_revoked_release_is_refused_once_the_next_one_was_seen(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    state = verify(first, state)
    entry, added = revoke(kit.release, 1, "  a bad driver ")
    assert added
    assert entry.reason == "a bad driver"
    assert entry.digest == digest_of((first / "bundle.json").read_bytes())
    # Nobody signed it so far.
    verify(first, state)
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    state = verify(second, state)
    with pytest.raises(RevokedReleaseError, match=r"release 1 .* a bad driver"):
        verify(first, state)
    assert [e.release for e in state.revoked] == [1]


def test_a_revocation_stays_in_every_later_release(tmp_path: Path, kit: ReleaseKit) -> None:
    from bundle.trust.metadata.release_chain import parse_documents, read_trust_files

    trusted_bundle(tmp_path / "1", kit, "1.0.0")
    revoke(kit.release, 1, "bad")
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    revoke(kit.release, 2, "worse")
    (kit.release / "revoked.json").unlink()
    revoke(kit.release, 2, "worse")
    third = trusted_bundle(tmp_path / "3", kit, "3.0.0")
    found = {}
    for bundle in (second, third):
        targets = parse_documents(read_trust_files(BundleDirectory(bundle))).targets.signed
        found[targets.version] = [(e.release, e.reason) for e in revoked_of(targets)]
    assert found == {2: [(1, "bad")], 3: [(1, "bad"), (2, "worse")]}


def test_what_was_revoked_is_not_released_again(tmp_path: Path, kit: ReleaseKit) -> None:
    bundle = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    revoke(kit.release, 1, "bad")
    before = {name: (kit.release / name).read_bytes() for name in FILES}
    with pytest.raises(RevokedReleaseError):
        release_bundle(bundle, kit)
    assert {name: (kit.release / name).read_bytes() for name in FILES} == before


def test_revoking_twice_keeps_the_first_reason(tmp_path: Path, kit: ReleaseKit) -> None:
    trusted_bundle(tmp_path / "1", kit)
    revoke(kit.release, 1, "first")
    entry, added = revoke(kit.release, 1, "second")
    assert (entry.reason, added) == ("first", False)
    assert len(read_revocations(kit.release)) == 1


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "\x1b[31mred"])
def test_a_reason_is_one_line_of_text(tmp_path: Path, kit: ReleaseKit, reason: str) -> None:
    trusted_bundle(tmp_path / "1", kit)
    with pytest.raises(UsageError, match="one line"):
        revoke(kit.release, 1, reason)


@pytest.mark.parametrize("number", [0, 2, 99])
def test_only_what_was_released_is_revoked(tmp_path: Path, kit: ReleaseKit, number: int) -> None:
    trusted_bundle(tmp_path / "1", kit)
    with pytest.raises(UsageError, match=f"no release {number}"):
        revoke(kit.release, number, "bad")
    assert not (kit.release / "revoked.json").exists()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"revoked":[]}', b"[" * 9999])
def test_a_damaged_list_stops_the_next_release(
    tmp_path: Path, kit: ReleaseKit, data: bytes
) -> None:
    """Were it passed over, a release would come back by a damaged file."""
    trusted_bundle(tmp_path / "1", kit)
    revoke(kit.release, 1, "bad")
    (kit.release / "revoked.json").write_bytes(data)
    with pytest.raises(FormatError, match=r"revoked\.json"):
        release_bundle(make_bundle(tmp_path / "2", b"2"), kit)


def test_where_a_folder_stands(tmp_path: Path, kit: ReleaseKit) -> None:
    status = release_status(kit.release)
    assert (status.release, status.digest, list(status.expires)) == (0, "", ["1.root.json"])
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    revoke(kit.release, 1, "bad")
    draft(kit.release)
    status = release_status(kit.release)
    assert status.digest == digest_of((first / "bundle.json").read_bytes())
    assert list(status.expires) == ["1.root.json", *FILES]
    assert ([e.release for e in status.to_revoke], status.revoked) == ([1], ())
    assert status.draft is not None
    assert status.draft.version == 2
    trusted_bundle(tmp_path / "2", kit, "2.0.0")
    status = release_status(kit.release)
    assert ([e.release for e in status.revoked], status.to_revoke) == ([1], ())
    assert (status.release, status.fingerprint) == (2, kit.fingerprint)


def test_a_kit_of_mixed_types_lives_on(tmp_path: Path, kit: ReleaseKit, state: TrustState) -> None:
    """Each role has keys of another type; a site follows and verifies them all."""
    types = ("ed25519", "ecdsa-p256", "ml-dsa-65")
    new = [
        make_key(tmp_path / "new", key.name, type_)  # type: ignore[arg-type]
        for key, type_ in zip(kit.approvers, types, strict=True)
    ]
    advance(kit, *(rotate(key.name, key.signer.public_key) for key in new))
    kit = replace(kit, approvers=tuple(new))
    for number in (1, 2):
        bundle = trusted_bundle(tmp_path / str(number), kit, f"{number}.0.0")
        state = verify(bundle, state)
    assert [entry.release for entry in state.accepted] == [1, 2]
