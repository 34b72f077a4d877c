"""What a site has seen: kept whole, or an error."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import (
    CouldNotVerifyError,
    ExpiredError,
    NotEnrolledError,
    SignatureError,
    StorageError,
    TrustError,
)
from bundle.store.layout import BundleDirectory
from bundle.trust.site.state import (
    TrustState,
    check_clock,
    find_state,
    load_states,
    save_state,
    state_from_fingerprint,
    state_path,
)
from bundle.trust.verify.verification import verify_trust
from installer.enrollment.first_trust import enroll, find_enrolled, read_candidate
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release, now, trusted_bundle


def test_a_state_comes_back_as_it_was(tmp_path: Path, bundle: Path, state: TrustState) -> None:
    _, seen = verify_trust(BundleDirectory(bundle), state)
    save_state(tmp_path / "depot/trust", seen)
    assert load_states(tmp_path / "depot/trust") == (seen,)
    assert [(entry.release, entry.root_version) for entry in seen.accepted] == [(1, 1)]
    assert seen.targets == (bundle / "trust/targets.json").read_text()


def test_verifying_saves_nothing(tmp_path: Path, bundle: Path, state: TrustState) -> None:
    verify_trust(BundleDirectory(bundle), state)
    assert load_states(tmp_path / "depot/trust") == (state,)


def test_every_damaged_byte_of_a_state_is_an_error(
    tmp_path: Path, bundle: Path, state: TrustState
) -> None:
    _, seen = verify_trust(BundleDirectory(bundle), state)
    directory = tmp_path / "depot/trust"
    save_state(directory, seen)
    path = state_path(directory, seen.fingerprint)
    data = path.read_bytes()
    for at in range(0, len(data), 37):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(CouldNotVerifyError, match="damaged"):
            load_states(directory)
    for short in (b"", data[:-1], data + b"\n"):
        path.write_bytes(short)
        with pytest.raises(CouldNotVerifyError, match="damaged"):
            load_states(directory)


def test_a_state_under_another_root_s_name_is_an_error(tmp_path: Path, state: TrustState) -> None:
    directory = tmp_path / "depot/trust"
    state_path(directory, state.fingerprint).rename(directory / f"{'ab' * 32}.json")
    with pytest.raises(CouldNotVerifyError, match="another root"):
        load_states(directory)


def test_a_damaged_state_is_not_replaced_by_enrolling(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    path = state_path(tmp_path / "depot/trust", state.fingerprint)
    path.write_bytes(b"{}")
    with pytest.raises(CouldNotVerifyError):
        enrolled(tmp_path / "depot", kit)
    assert path.read_bytes() == b"{}"


def test_a_power_cut_leaves_the_state_as_it_was(
    tmp_path: Path, bundle: Path, state: TrustState, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, seen = verify_trust(BundleDirectory(bundle), state)
    directory = tmp_path / "depot/trust"

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", failing)
    with pytest.raises(StorageError):
        save_state(directory, seen)
    monkeypatch.undo()
    (directory / f".{hex_of(state.fingerprint)}.json.0123456789ab.tmp").write_bytes(b"half")
    assert load_states(directory) == (state,)


def test_the_clock_may_not_go_back(bundle: Path, state: TrustState) -> None:
    _, seen = verify_trust(BundleDirectory(bundle), state)
    later = msgspec.structs.replace(seen, last_seen=now() + timedelta(days=1))
    with pytest.raises(CouldNotVerifyError, match="clock says"):
        verify_trust(BundleDirectory(bundle), later)
    check_clock(later, later.last_seen - timedelta(minutes=5))


def test_the_time_only_moves_forward(bundle: Path, state: TrustState) -> None:
    ahead = msgspec.structs.replace(state, last_seen=now() + timedelta(minutes=5))
    _, seen = verify_trust(BundleDirectory(bundle), ahead)
    assert seen.last_seen == ahead.last_seen


def test_a_bundle_finds_its_root_among_several(
    tmp_path: Path, bundle: Path, kit: ReleaseKit
) -> None:
    other = make_release(tmp_path / "other vendor")
    depot = tmp_path / "shared depot"
    enrolled(depot, other)
    with pytest.raises(NotEnrolledError):
        find_state(BundleDirectory(bundle), load_states(depot / "trust"))
    enrolled(depot, kit)
    states = load_states(depot / "trust")
    assert len(states) == 2
    assert find_state(BundleDirectory(bundle), states).fingerprint == kit.fingerprint


def test_another_vendor_s_state_does_not_do(tmp_path: Path, bundle: Path) -> None:
    other = enrolled(tmp_path / "elsewhere", make_release(tmp_path / "other vendor"))
    with pytest.raises(SignatureError, match=r"trust/1\.root\.json"):
        verify_trust(BundleDirectory(bundle), other)


def test_an_empty_depot_has_no_state(tmp_path: Path, bundle: Path) -> None:
    assert load_states(tmp_path / "none") == ()
    with pytest.raises(NotEnrolledError):
        find_state(BundleDirectory(bundle), ())


def test_an_auditor_verifies_by_fingerprint(bundle: Path, kit: ReleaseKit) -> None:
    directory = BundleDirectory(bundle)
    fingerprint = digest_of((bundle / "trust/1.root.json").read_bytes())
    assert fingerprint == kit.fingerprint
    verified, _ = verify_trust(directory, state_from_fingerprint(directory, fingerprint, now()))
    assert verified.root_fingerprint == fingerprint
    with pytest.raises(NotEnrolledError, match="fingerprint"):
        state_from_fingerprint(directory, digest_of(b"another"), now())


def test_enrolling_twice_keeps_what_was_seen(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    _, seen = verify_trust(BundleDirectory(bundle), state)
    save_state(tmp_path / "depot/trust", seen)
    for source in (kit.release, kit.release / "1.root.json", bundle):
        candidate = read_candidate(source, None, now())
        assert find_enrolled(tmp_path / "depot/trust", candidate) == seen
        assert enroll(tmp_path / "depot", candidate, now()) == (seen, False)


def test_a_wrong_fingerprint_enrols_nothing(tmp_path: Path, kit: ReleaseKit) -> None:
    with pytest.raises(TrustError, match="expected a root with fingerprint"):
        read_candidate(kit.release, digest_of(b"another"), now())


def test_an_expired_root_is_not_enrolled(kit: ReleaseKit) -> None:
    with pytest.raises(ExpiredError, match=r"1\.root\.json"):
        read_candidate(kit.release, None, now() + timedelta(days=731))


def test_a_root_that_is_not_signed_by_itself_is_not_enrolled(
    tmp_path: Path, kit: ReleaseKit
) -> None:
    fields = json.loads((kit.release / "1.root.json").read_bytes())
    fields["signatures"].pop()
    path = tmp_path / "1.root.json"
    path.write_bytes(canonical_json(fields))
    with pytest.raises(SignatureError, match="1 signature"):
        read_candidate(path, digest_of(path.read_bytes()), now())


def test_the_state_that_has_seen_most_decides(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    _, seen = verify_trust(BundleDirectory(bundle), state)
    second = trusted_bundle(tmp_path / "second", kit, "2.0.0")
    _, more = verify_trust(BundleDirectory(second), seen)
    for states in ((state, more, seen), (more, state)):
        assert find_state(BundleDirectory(bundle), states) == more
