"""An approval killed between any two writes: sites refuse it, running it again completes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.base.errors import (
    AttestationError,
    DigestMismatchError,
    IsowardError,
    ThresholdError,
    UnexpectedFileError,
)
from bundle.checks.blobs import check_layout
from bundle.store.layout import BundleDirectory
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from bundler.release.approval import approve
from bundler.release.collect import collect
from bundler.release.review import review
from tests.support.trust.release_kit import (
    TICKET,
    ReleaseKit,
    approve_by,
    make_bundle,
    now,
    release_bundle,
)

WRITES = 5
"""The public key, the detached signature, the attestation, targets.json, SHA256SUMS."""

REFUSED = (
    AttestationError,  # files without a signature
    DigestMismatchError,  # SHA256SUMS is of before
    ThresholdError,  # one approval is missing
    UnexpectedFileError,  # a temporary file was left
)
Kill = Callable[[int, bool, Callable[[], object]], None]


class _KilledError(BaseException):
    """The process ends here."""


@pytest.fixture
def fresh(tmp_path: Path, kit: ReleaseKit) -> Path:
    """A released bundle that one of two approvers has approved."""
    path = make_bundle(tmp_path / "fresh")
    release_bundle(path, kit)
    approve_by(path, kit.approvers[:1])
    return path


@pytest.fixture
def kill() -> Kill:
    """Run something whose n-th write kills the process, before its rename or right after."""

    def run(number: int, renamed: bool, action: Callable[[], object]) -> None:
        real, left = Path.replace, [number]

        def replace(self: Path, target: Path) -> Path:
            left[0] -= 1
            if left[0] < 0 or (left[0] == 0 and not renamed):
                raise _KilledError
            done = real(self, target)
            if left[0] == 0:
                raise _KilledError
            return done

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "replace", replace)
            # What a killed process cannot do: tidy up.
            patch.setattr(Path, "unlink", lambda *_, **__: None)
            with pytest.raises(_KilledError):
                action()

    return run


def accept(bundle: Path, state: TrustState) -> None:
    """Verify a bundle's trust and its other files, as an import does before it reads blobs."""
    directory = BundleDirectory(bundle)
    verified, _ = verify_trust(directory, state)
    check_layout(directory, verified.manifest)


def test_an_approval_makes_five_writes(
    fresh: Path, kit: ReleaseKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        written.append(target.name)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    approve_by(fresh, kit.approvers[1:2])
    key_id = kit.approvers[1].signer.public_key.keyid[:16]
    assert written == [
        f"{key_id}.pem",
        f"bundle.json.{key_id}.sig",
        f"approval-{key_id}.dsse.json",
        "targets.json",
        "SHA256SUMS",
    ]
    assert len(written) == WRITES


MOMENTS = [(number, renamed) for number in range(1, WRITES + 1) for renamed in (False, True)]


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda m: f"{m[0]}-{'after' if m[1] else 'before'}")
def test_a_killed_approval_is_refused_and_then_completed(
    fresh: Path, kit: ReleaseKit, state: TrustState, kill: Kill, moment: tuple[int, bool]
) -> None:
    number, renamed = moment
    kill(number, renamed, lambda: approve_by(fresh, kit.approvers[1:2]))
    if moment == MOMENTS[-1]:
        accept(fresh, state)
    else:
        with pytest.raises(REFUSED) as refused:
            accept(fresh, state)
        assert isinstance(refused.value, IsowardError)
    approve_by(fresh, kit.approvers[1:2])
    accept(fresh, state)


@pytest.mark.parametrize("number", range(1, WRITES))
def test_another_approver_can_go_on_after_a_kill(
    fresh: Path, kit: ReleaseKit, state: TrustState, kill: Kill, number: int
) -> None:
    """Bob's approval was cut short and Bob is away: what he left is shown, and then removed."""
    kill(number, True, lambda: approve_by(fresh, kit.approvers[1:2]))
    shown = review(BundleDirectory(fresh), now())
    whole = number == WRITES - 1  # all but SHA256SUMS
    bob = kit.approvers[1].signer.public_key.keyid
    assert shown.unfinished == (() if whole else (bob,))
    assert ("Bob Example" in shown.approved_by) == whole
    approve_by(fresh, kit.approvers[2:])
    accept(fresh, state)


def test_a_killed_collection_is_completed_by_running_it_again(
    tmp_path: Path, fresh: Path, kit: ReleaseKit, state: TrustState, kill: Kill
) -> None:
    copy = shutil.copytree(fresh, tmp_path / "copy")
    approve_by(copy, kit.approvers[2:])
    others = [BundleDirectory(copy)]
    for number in range(1, WRITES + 1):
        target = BundleDirectory(shutil.copytree(fresh, tmp_path / f"target{number}"))
        kill(number, True, lambda target=target: collect(target, others, now()))  # type: ignore[misc]
        review(target, now())
        collect(target, others, now())
        accept(target.path, state)


def test_the_ticket_of_a_completed_approval_is_the_one_of_the_second_run(
    fresh: Path, kit: ReleaseKit, state: TrustState, kill: Kill
) -> None:
    kill(3, True, lambda: approve_by(fresh, kit.approvers[1:2]))
    directory = BundleDirectory(fresh)
    signer = kit.approvers[1].signer
    approve(directory, review(directory, now()), signer, "CHG-5678", now())
    approvals = verify_trust(directory, state)[0].attestations.approvals
    assert {given.name: given.ticket for given in approvals} == {
        "Ada Example": TICKET,
        "Bob Example": "CHG-5678",
    }
