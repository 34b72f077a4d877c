"""Approving: who may, what is signed, and that nobody counts twice."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from bundle.base.errors import (
    CouldNotVerifyError,
    DigestMismatchError,
    ExpiredError,
    SignatureError,
    ThresholdError,
    UnknownKeyError,
)
from bundle.checks.blobs import check_layout
from bundle.store.layout import BundleDirectory
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from bundler.release.approval import approve
from bundler.release.review import review
from tests.support.programs.needs import requires_tool
from tests.support.trust.release_kit import (
    TICKET,
    ReleaseKit,
    approve_all,
    approve_by,
    make_bundle,
    now,
    release_bundle,
)


@pytest.fixture
def fresh(tmp_path: Path, kit: ReleaseKit) -> BundleDirectory:
    """A released bundle that nobody has approved."""
    path = make_bundle(tmp_path / "fresh")
    release_bundle(path, kit)
    return BundleDirectory(path)


def test_two_approvals_are_needed(
    fresh: BundleDirectory, kit: ReleaseKit, state: TrustState
) -> None:
    with pytest.raises(ThresholdError, match="0 of 2 approvals"):
        verify_trust(fresh, state)
    approve_by(fresh.path, kit.approvers[:1])
    with pytest.raises(ThresholdError, match=r"1 of 2 approvals \(Ada Example\)"):
        verify_trust(fresh, state)
    approve_by(fresh.path, kit.approvers[1:2])
    verified, _ = verify_trust(fresh, state)
    assert set(verified.approvers) == {"Ada Example", "Bob Example"}


def test_the_same_person_twice_counts_once(
    fresh: BundleDirectory, kit: ReleaseKit, state: TrustState
) -> None:
    ada = kit.approvers[0].signer
    result, added = approve(fresh, review(fresh, now()), ada, TICKET, now())
    assert (added, result.missing) == (True, 1)
    before = (fresh.path / "trust/targets.json").read_bytes()
    result, added = approve(fresh, review(fresh, now()), ada, TICKET, now())
    assert (added, result.missing) == (False, 1)
    assert (fresh.path / "trust/targets.json").read_bytes() == before
    with pytest.raises(ThresholdError, match="1 of 2"):
        verify_trust(fresh, state)


def test_only_approvers_approve(fresh: BundleDirectory, kit: ReleaseKit) -> None:
    before = (fresh.path / "trust/targets.json").read_bytes()
    for key in (kit.builder, kit.stranger, kit.roots[0]):
        with pytest.raises(UnknownKeyError, match="not an approver's key"):
            approve(fresh, review(fresh, now()), key.signer, TICKET, now())
    assert (fresh.path / "trust/targets.json").read_bytes() == before


def test_the_review_says_what_is_signed(fresh: BundleDirectory, kit: ReleaseKit) -> None:
    seen = review(fresh, now())
    assert (seen.manifest.metadata.name, seen.release, seen.threshold) == ("tiny", 1, 2)
    assert seen.root_fingerprint == kit.fingerprint
    assert (seen.approved_by, seen.missing) == ((), 2)
    assert set(seen.approvers.values()) == {key.name for key in kit.approvers}


def test_another_bundle_json_is_not_approved(fresh: BundleDirectory) -> None:
    path = fresh.path / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"tiny", b"tinz"))
    with pytest.raises(DigestMismatchError, match=r"bundle\.json"):
        review(fresh, now())


def test_a_bundle_that_changed_since_it_was_shown_is_not_signed(
    fresh: BundleDirectory, kit: ReleaseKit, tmp_path: Path
) -> None:
    shown = review(fresh, now())
    other = make_bundle(tmp_path / "other", b"other")
    release_bundle(other, kit)
    with pytest.raises(CouldNotVerifyError, match="changed"):
        approve(BundleDirectory(other), shown, kit.approvers[0].signer, TICKET, now())


def test_a_bad_signature_is_not_signed_over(bundle: Path) -> None:
    path = bundle / "trust/targets.json"
    data = path.read_bytes()
    at = data.index(b'"sig":"') + 7
    path.write_bytes(data[:at] + (b"0" if data[at : at + 1] != b"0" else b"1") + data[at + 1 :])
    with pytest.raises(SignatureError, match=r"trust/targets\.json"):
        review(BundleDirectory(bundle), now())


def test_an_expired_release_is_not_approved(fresh: BundleDirectory) -> None:
    with pytest.raises(ExpiredError, match=r"trust/timestamp\.json"):
        review(fresh, now() + timedelta(days=91))


def test_sums_are_renewed(fresh: BundleDirectory, kit: ReleaseKit) -> None:
    requires_tool("sha256sum")
    approve_all(fresh.path, kit)
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=fresh.path, check=False
    )
    assert done.returncode == 0
    check_layout(fresh, review(fresh, now()).manifest)


def test_an_approval_cut_short_is_completed_by_running_it_again(
    fresh: BundleDirectory, kit: ReleaseKit, state: TrustState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails between targets.json and SHA256SUMS, and leaves temporary files."""

    def failing(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bundler.release.approval.write_sums", failing)
    with pytest.raises(KeyboardInterrupt):
        approve_by(fresh.path, kit.approvers[:1])
    monkeypatch.undo()
    (fresh.path / "trust/.targets.json.0123456789ab.tmp").write_bytes(b"{")
    (fresh.path / ".SHA256SUMS.0123456789ab.tmp").write_bytes(b"")
    approve_by(fresh.path, kit.approvers[:2])
    verified, _ = verify_trust(fresh, state)
    check_layout(fresh, verified.manifest)
