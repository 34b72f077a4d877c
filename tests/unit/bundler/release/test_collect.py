"""Approvers who work apart: each approves a copy, and the copies are brought together."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bundle.base.errors import (
    AttestationError,
    BusyError,
    CouldNotVerifyError,
    DigestMismatchError,
    ThresholdError,
)
from bundle.checks.blobs import check_layout
from bundle.store.atomic import locked_folder
from bundle.store.layout import BundleDirectory
from bundle.trust.attestations.checked import PROVENANCE_NAME, approval_name
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from bundler.release.collect import collect
from tests.support.trust.release_kit import (
    ReleaseKit,
    approve_by,
    make_bundle,
    now,
    release_bundle,
)

NEEDED = ("bundle.json", "trust", "attestations", "SHA256SUMS")


@pytest.fixture
def fresh(tmp_path: Path, kit: ReleaseKit) -> Path:
    """A released bundle that nobody has approved."""
    path = make_bundle(tmp_path / "fresh")
    release_bundle(path, kit)
    return path


Copy = Callable[[str], Path]


@pytest.fixture
def copy(tmp_path: Path, fresh: Path) -> Copy:
    """Copy what an approver needs, without the content."""

    def make(name: str) -> Path:
        target = tmp_path / name
        target.mkdir()
        for part in NEEDED:
            source = fresh / part
            if source.is_dir():
                shutil.copytree(source, target / part)
            else:
                shutil.copy(source, target / part)
        return target

    return make


def bring_together(bundle: Path, *others: Path) -> tuple[str, ...]:
    return collect(BundleDirectory(bundle), [BundleDirectory(path) for path in others], now())[1]


def test_two_approvals_on_two_copies_make_a_release(
    fresh: Path, copy: Copy, kit: ReleaseKit, state: TrustState
) -> None:
    ada, bob = copy("ada"), copy("bob")
    approve_by(ada, kit.approvers[:1])
    approve_by(bob, kit.approvers[1:2])
    assert bring_together(fresh, ada, bob) == ("Ada Example", "Bob Example")
    verified, _ = verify_trust(BundleDirectory(fresh), state)
    assert verified.approvers == ("Ada Example", "Bob Example")
    check_layout(BundleDirectory(fresh), verified.manifest)


def test_one_copy_can_take_over_the_other_s(copy: Copy, kit: ReleaseKit, state: TrustState) -> None:
    ada, bob = copy("ada"), copy("bob")
    approve_by(ada, kit.approvers[:1])
    approve_by(bob, kit.approvers[1:2])
    assert bring_together(ada, bob) == ("Bob Example",)
    assert len(verify_trust(BundleDirectory(ada), state)[0].approvers) == 2


def test_nothing_is_taken_over_twice(
    fresh: Path, copy: Copy, kit: ReleaseKit, state: TrustState
) -> None:
    ada = copy("ada")
    approve_by(ada, kit.approvers[:1])
    assert bring_together(fresh, ada, ada) == ("Ada Example",)
    before = {path: path.read_bytes() for path in fresh.rglob("*") if path.is_file()}
    assert bring_together(fresh, ada) == ()
    assert {path: path.read_bytes() for path in fresh.rglob("*") if path.is_file()} == before


def test_one_approver_on_two_copies_counts_once(
    fresh: Path, copy: Copy, kit: ReleaseKit, state: TrustState
) -> None:
    first, second = copy("first"), copy("second")
    approve_by(first, kit.approvers[:1])
    approve_by(second, kit.approvers[:1])
    assert bring_together(fresh, first, second) == ("Ada Example",)
    with pytest.raises(ThresholdError, match="1 of 2 approvals"):
        verify_trust(BundleDirectory(fresh), state)


def test_copies_stay_as_they_are(fresh: Path, copy: Copy, kit: ReleaseKit) -> None:
    ada = copy("ada")
    approve_by(ada, kit.approvers[:1])
    before = {path: path.read_bytes() for path in ada.rglob("*") if path.is_file()}
    bring_together(fresh, ada)
    assert {path: path.read_bytes() for path in ada.rglob("*") if path.is_file()} == before


def test_another_release_is_not_taken_over(tmp_path: Path, fresh: Path, kit: ReleaseKit) -> None:
    other = make_bundle(tmp_path / "other", b"other", "2.0.0")
    release_bundle(other, kit)
    approve_by(other, kit.approvers[:1])
    with pytest.raises(CouldNotVerifyError, match="not a copy of"):
        bring_together(fresh, other)


def test_another_build_of_the_same_content_is_not_taken_over(
    tmp_path: Path, fresh: Path, kit: ReleaseKit
) -> None:
    """Its approvers were told of another build, at another time."""
    other = make_bundle(tmp_path / "other")
    release_bundle(other, kit, now() + timedelta(minutes=1))
    assert (other / PROVENANCE_NAME).read_bytes() != (fresh / PROVENANCE_NAME).read_bytes()
    approve_by(other, kit.approvers[:1])
    with pytest.raises(CouldNotVerifyError, match="comes from another build"):
        bring_together(fresh, other)


def test_a_bad_copy_is_not_taken_over(fresh: Path, copy: Copy, kit: ReleaseKit) -> None:
    ada = copy("ada")
    approve_by(ada, kit.approvers[:1])
    before = {path: path.read_bytes() for path in fresh.rglob("*") if path.is_file()}
    path = ada / approval_name(kit.approvers[0].signer.public_key.keyid)
    path.write_bytes(path.read_bytes().replace(b"payload", b"payloae"))
    with pytest.raises(AttestationError):
        bring_together(fresh, ada)
    (ada / "bundle.json").write_bytes(b"{}")
    with pytest.raises(DigestMismatchError):
        bring_together(fresh, ada)
    assert {path: path.read_bytes() for path in fresh.rglob("*") if path.is_file()} == before


def test_half_an_approval_is_not_taken_over(fresh: Path, copy: Copy, kit: ReleaseKit) -> None:
    ada = copy("ada")
    before = (ada / "trust/targets.json").read_bytes()
    approve_by(ada, kit.approvers[:1])
    (ada / "trust/targets.json").write_bytes(before)
    assert bring_together(fresh, ada) == ()


def test_a_bundle_that_is_being_written_is_left_alone(fresh: Path, kit: ReleaseKit) -> None:
    with locked_folder(fresh), pytest.raises(BusyError):
        approve_by(fresh, kit.approvers[:1])
    with locked_folder(fresh), pytest.raises(BusyError):
        bring_together(fresh, fresh)
