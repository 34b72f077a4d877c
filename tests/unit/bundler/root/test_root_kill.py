"""A power cut at every write of a ceremony: the folder has the old root or the new one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.base.errors import BusyError
from bundle.store import atomic
from bundle.store.atomic import directory_lock
from bundle.trust.site.state import TrustState
from bundler.release import revocations
from bundler.release.publish import refresh_release
from bundler.release.revocations import read_revocations, revoke
from bundler.root import draft as drafts
from bundler.root.changes import set_thresholds
from bundler.root.draft import amend, newest_root, read_pending, sign_pending
from bundler.root.request import collect
from tests.support.trust.edit import verify
from tests.support.trust.release_kit import ReleaseKit, now, trusted_bundle
from tests.support.trust.root_life import draft, export, later, roots_of, signed_request


class PowerCutError(BaseException):
    """Stands for the end of the process: nothing in the product catches it."""


class PowerCut:
    """Lets a number of steps on the disk happen, and then none any more.

    A step is a rename, a removal or a fsync of a folder; a cut comes before it, when the temporary
    file is written already.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: int) -> None:
        self.left = allowed
        for name in ("replace", "unlink"):
            monkeypatch.setattr(Path, name, self._counted(getattr(Path, name)))
        for module in (atomic, drafts):
            monkeypatch.setattr(module, "fsync_directory", self._counted(atomic.fsync_directory))

    def _counted(self, real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            if self.left <= 0:
                raise PowerCutError
            self.left -= 1
            return real(*arguments, **options)

        return step


def cut(monkeypatch: pytest.MonkeyPatch, allowed: int, work: Callable[[], object]) -> bool:
    """Run `work` with a power cut after some steps; say whether it was cut."""
    with monkeypatch.context() as patch:
        PowerCut(patch, allowed)
        try:
            work()
        except PowerCutError:
            return True
    return False


def copy_of(kit: ReleaseKit, to: Path) -> Path:
    shutil.copytree(kit.release, to)
    return to


STEPS = range(12)


def test_drafting_is_cut_anywhere(
    tmp_path: Path, kit: ReleaseKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = 0
    for step in STEPS:
        release = copy_of(kit, tmp_path / str(step))
        cuts += cut(monkeypatch, step, lambda r=release: amend(r, [later()], now()))  # type: ignore[misc]
        pending = read_pending(release)
        assert pending is None or not pending.draft.signatures
        assert draft(release).version == 2
        assert roots_of(release) == ["1.root.json", "draft/2.root.json"]
    assert 2 <= cuts < len(STEPS)


def test_the_last_signature_is_cut_anywhere(
    tmp_path: Path, kit: ReleaseKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft(kit.release)
    sign_pending(kit.release, kit.roots[0].signer)
    last = kit.roots[1].signer
    cuts = 0
    for step in STEPS:
        release = copy_of(kit, tmp_path / str(step))
        cuts += cut(monkeypatch, step, lambda r=release: sign_pending(r, last))  # type: ignore[misc]
        newest = newest_root(release)[1]
        assert newest is not None
        assert newest.signed.version in {1, 2}
        assert sign_pending(release, last)[0].complete
        assert "2.root.json" in roots_of(release)
        draft(release, set_thresholds(None, 3))
        assert roots_of(release) == ["1.root.json", "2.root.json", "draft/3.root.json"]
    assert 3 <= cuts < len(STEPS)


def test_collecting_is_cut_anywhere(
    tmp_path: Path, kit: ReleaseKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft(kit.release)
    request = export(kit.release, tmp_path / "request.json")
    files = tuple(
        signed_request(request, key.signer, tmp_path / f"{key.path.stem}.json") for key in kit.roots
    )
    cuts = 0
    for step in STEPS:
        release = copy_of(kit, tmp_path / str(step))
        cuts += cut(monkeypatch, step, lambda r=release: collect(r, files))  # type: ignore[misc]
        assert collect(release, files).pending.complete
        newest = newest_root(release)[1]
        assert newest is not None
        assert newest.signed.version == 2
    assert 3 <= cuts < len(STEPS)


def test_revoking_is_cut_anywhere(
    tmp_path: Path, kit: ReleaseKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted_bundle(tmp_path / "bundle", kit)
    cuts = 0
    for step in STEPS:
        release = copy_of(kit, tmp_path / str(step))
        cuts += cut(monkeypatch, step, lambda r=release: revoke(r, 1, "bad"))  # type: ignore[misc]
        assert len(read_revocations(release)) in {0, 1}
        assert revoke(release, 1, "bad")[0].release == 1
        assert len(read_revocations(release)) == 1
    assert 1 <= cuts < len(STEPS)
    assert revocations.REVOCATIONS == "revoked.json"


def test_refreshing_is_cut_anywhere(
    tmp_path: Path, kit: ReleaseKit, state: TrustState, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trusted_bundle(tmp_path / "bundle", kit)
    builder = kit.builder.signer
    cuts = 0
    for step in range(0, 24, 2):
        release = copy_of(kit, tmp_path / f"release-{step}")
        bundle = tmp_path / f"bundle-{step}"
        shutil.copytree(made, bundle)

        def refresh(release: Path = release, bundle: Path = bundle) -> object:
            return refresh_release(release, builder, now(), [bundle])

        cuts += cut(monkeypatch, step, refresh)
        assert refresh_release(release, builder, now(), [bundle])[0] == 1
        assert verify(bundle, state).accepted[0].release == 1
    assert 3 <= cuts < len(STEPS)


def test_two_at_once_do_not_mix(kit: ReleaseKit) -> None:
    with directory_lock(kit.release), pytest.raises(BusyError):
        draft(kit.release)
    assert roots_of(kit.release) == ["1.root.json"]
