"""The release folder: numbers are given once, and an interrupted build goes on."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bundle.base.errors import ExpiredError, SignatureError, UnknownKeyError, UsageError
from bundle.store.atomic import write_atomic
from bundle.store.layout import BundleDirectory
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from bundler.release.publish import Unreleased, check_builder, write_trust
from bundler.release.review import review
from tests.support.trust.release_kit import (
    ReleaseKit,
    approve_all,
    approve_by,
    make_bundle,
    now,
    release_bundle,
    trusted_bundle,
)

NEWEST = ("targets.json", "snapshot.json", "timestamp.json")


def versions(folder: Path) -> list[int]:
    return [json.loads((folder / name).read_bytes())["signed"]["version"] for name in NEWEST]


def signatures(bundle: Path) -> int:
    return len(json.loads((bundle / "trust/targets.json").read_bytes())["signatures"])


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if not path.name.startswith(".")
    }


def test_a_bundle_gets_the_next_number(tmp_path: Path, kit: ReleaseKit) -> None:
    for number in (1, 2, 3):
        bundle = make_bundle(tmp_path / str(number), str(number).encode())
        assert release_bundle(bundle, kit) == number
        assert versions(kit.release) == versions(bundle / "trust") == [number] * 3


def test_the_bundle_has_what_the_release_folder_has(tmp_path: Path, kit: ReleaseKit) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    release_bundle(bundle, kit)
    kept = tree(kit.release / "releases")
    assert kept == {"1/bundle.json": (bundle / "bundle.json").read_bytes()}
    others = {n: d for n, d in tree(kit.release).items() if not n.startswith("releases/")}
    assert tree(bundle / "trust") == others
    assert signatures(bundle) == 0


def test_building_again_burns_no_number_and_keeps_approvals(bundle: Path, kit: ReleaseKit) -> None:
    before = tree(bundle / "trust")
    assert release_bundle(bundle, kit, now() + timedelta(minutes=5)) == 1
    assert tree(bundle / "trust") == before
    assert signatures(bundle) == 2


def test_approvals_of_another_release_are_not_taken_over(
    tmp_path: Path, bundle: Path, kit: ReleaseKit
) -> None:
    release_bundle(make_bundle(tmp_path / "second", b"second"), kit)
    assert release_bundle(bundle, kit) == 3
    assert signatures(bundle) == 0


def test_a_damaged_approval_is_dropped_and_a_good_one_kept(bundle: Path, kit: ReleaseKit) -> None:
    path = bundle / "trust/targets.json"
    fields = json.loads(path.read_bytes())
    fields["signatures"][0]["sig"] = "0" * 128
    path.write_text(json.dumps(fields, separators=(",", ":"), sort_keys=True))
    assert release_bundle(bundle, kit) == 1
    assert signatures(bundle) == 1


class _PowerCutError(Exception):
    """The power failed."""


@pytest.mark.parametrize("writes", range(7))
def test_a_build_cut_short_goes_on_with_its_number(
    tmp_path: Path, kit: ReleaseKit, state: TrustState, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Release folder: three files; bundle: four. The power fails before each one in turn."""
    trusted_bundle(tmp_path / "first", kit)
    bundle = make_bundle(tmp_path / "second", b"second")
    left = [writes]

    def failing(path: Path, data: bytes, mode: int = 0o644) -> None:
        if left[0] == 0:
            (path.parent / f".{path.name}.0123456789ab.tmp").write_bytes(data[:10])
            raise _PowerCutError
        left[0] -= 1
        write_atomic(path, data, mode)

    monkeypatch.setattr("bundler.release.publish.write_atomic", failing)
    with pytest.raises(_PowerCutError):
        release_bundle(bundle, kit)
    monkeypatch.undo()
    assert release_bundle(bundle, kit, now() + timedelta(minutes=1)) == 2
    assert versions(kit.release) == [2, 2, 2]
    assert not list(kit.release.glob("*.tmp"))
    approve_all(bundle, kit)
    verified, _ = verify_trust(BundleDirectory(bundle), state, now() + timedelta(minutes=2))
    assert verified.release == 2


def test_no_two_bundles_bear_one_number_when_a_build_is_given_up(
    tmp_path: Path, kit: ReleaseKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_bundle(tmp_path / "1", b"1"), make_bundle(tmp_path / "2", b"2")

    def failing(path: Path, data: bytes, mode: int = 0o644) -> None:
        if path.is_relative_to(first):
            raise _PowerCutError
        write_atomic(path, data, mode)

    monkeypatch.setattr("bundler.release.publish.write_atomic", failing)
    with pytest.raises(_PowerCutError):
        release_bundle(first, kit)
    monkeypatch.undo()
    assert release_bundle(second, kit) == 2
    assert release_bundle(first, kit) == 3


def test_an_old_timestamp_is_renewed_without_a_new_release(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    begin = now() - timedelta(days=60)
    bundle = make_bundle(tmp_path / "bundle")
    release_bundle(bundle, kit, begin)
    approve_all(bundle, kit, begin)
    assert release_bundle(bundle, kit) == 1
    assert versions(bundle / "trust") == [1, 1, 2]
    verified, _ = verify_trust(BundleDirectory(bundle), state)
    assert verified.expires > now() + timedelta(days=80)


def test_only_the_build_system_releases(tmp_path: Path, kit: ReleaseKit) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    for key in (kit.stranger, kit.approvers[0], kit.roots[0]):
        with pytest.raises(UnknownKeyError, match="not the build system"):
            write_trust(Unreleased(bundle, b"{}"), kit.release, key.signer, now())
    assert not (bundle / "trust").exists()
    assert not (kit.release / "targets.json").exists()


def test_an_expired_root_releases_nothing(tmp_path: Path, kit: ReleaseKit) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    with pytest.raises(ExpiredError, match=r"1\.root\.json"):
        write_trust(
            Unreleased(bundle, b"{}"), kit.release, kit.builder.signer, now() + timedelta(days=731)
        )


def test_a_damaged_release_folder_is_not_written_over(tmp_path: Path, kit: ReleaseKit) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    (kit.release / "targets.json").write_text("{")
    with pytest.raises(SignatureError, match=r"targets\.json"):
        release_bundle(bundle, kit)
    assert (kit.release / "targets.json").read_text() == "{"


def test_a_build_knows_beforehand_that_it_can_be_signed(tmp_path: Path, kit: ReleaseKit) -> None:
    check_builder(kit.release, kit.builder.signer, now())
    with pytest.raises(UnknownKeyError):
        check_builder(kit.release, kit.stranger.signer, now())
    with pytest.raises(UsageError, match="expected a release folder"):
        check_builder(tmp_path / "none", kit.builder.signer, now())
    assert not (tmp_path / "none").exists()


def test_no_release_folder_is_made_by_mistake(tmp_path: Path, kit: ReleaseKit) -> None:
    with pytest.raises(UsageError, match="expected a release folder"):
        write_trust(Unreleased(tmp_path / "b", b"{}"), tmp_path / "none", kit.builder.signer, now())
    assert not (tmp_path / "none").exists()


def test_a_third_approval_may_come_after_the_build_was_run_again(
    bundle: Path, kit: ReleaseKit
) -> None:
    release_bundle(bundle, kit)
    approve_by(bundle, kit.approvers[2:])
    assert len(review(BundleDirectory(bundle), now()).approved_by) == 3
