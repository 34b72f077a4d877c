"""The power fails at every single write of the site's records.

Afterwards an older release is still refused and a newer one still accepted, whichever of the
renames that were not synced the disk kept.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.base.errors import IsowardError, NotEnrolledError, RecoveryError, RollbackError
from bundle.store.layout import BundleDirectory
from bundle.trust.site.authority import load_authority
from bundle.trust.site.state import find_state, load_states, state_path
from bundle.trust.verify.verification import verify_trust
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import DepotDirectory
from installer.enrollment.recovery import apply_recovery
from tests.support.depot.imported import import_now
from tests.support.programs.power import Renames, calls_of, cut
from tests.support.sites.people import SiteKit, enrol_site, make_site, recovery_for
from tests.support.trust.release_kit import ReleaseKit, make_release, now, trusted_bundle

RENAMES: tuple[Renames, ...] = ("kept", "undone")


def moments(total: int, whole: bool) -> list[int]:
    """Return the calls to cut the power at, the last of which comes after the end.

    `make test` has a sixth of them, with the first and the last two; `make e2e` has all.
    """
    found = range(1, total + 2)
    return [at for at in found if whole or at % 6 == 1 or at >= total]


@dataclass(frozen=True)
class World:
    """A vendor with three releases, and a site that has imported the second."""

    kit: ReleaseKit
    site: SiteKit
    releases: tuple[Path, Path, Path]

    def copy(self, to: Path) -> SiteKit:
        """Return a copy of the site, to cut the power of."""
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.site.depot, to)
        return SiteKit(to, self.site.keys, self.site.authority)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    base = tmp_path_factory.mktemp("world")
    kit = make_release(base / "vendor")
    first, second, third = (
        trusted_bundle(base / name, kit, f"{name}.0.0") for name in ("1", "2", "3")
    )
    site = make_site(base, kit)
    import_now(second, site.depot)
    return World(kit, site, (first, second, third))


def verify(bundle: Path, depot: Path) -> int:
    """Verify as an import would; return the release."""
    directory = BundleDirectory(bundle)
    state = find_state(directory, load_states(depot / "trust"))
    return verify_trust(directory, state)[0].release


def require_sound(world: World, depot: Path, newest: int) -> None:
    """Check that the newest release comes in, and after it no older one."""
    with pytest.raises(RollbackError):
        verify(world.releases[0], depot)
    assert import_now(world.releases[newest - 1], depot).record.release == newest
    for older in world.releases[: newest - 1]:
        with pytest.raises(RollbackError):
            verify(older, depot)
    served = accepted_bundles(DepotDirectory(depot))
    assert [found.record.release for found in served] == sorted({2, newest})


@pytest.mark.parametrize("renames", RENAMES)
def test_a_power_cut_at_every_write_of_an_enrolment(
    tmp_path: Path, world: World, renames: Renames, whole: bool
) -> None:
    depot = tmp_path / "depot"

    def work() -> object:
        return enrol_site(depot, world.kit, world.site.authority)

    total = calls_of(tmp_path, work)
    assert total >= 9
    for at in moments(total, whole):
        shutil.rmtree(depot, ignore_errors=True)
        ended = cut(tmp_path, at, renames, work)
        assert ended == (at > total)
        if load_states(depot / "trust"):
            assert verify(world.releases[0], depot) == 1
        else:
            assert not ended
            with pytest.raises(NotEnrolledError):
                verify(world.releases[0], depot)
        work()
        assert load_authority(depot / "trust") == world.site.authority
        assert verify(world.releases[2], depot) == 3


@pytest.mark.parametrize("renames", RENAMES)
def test_a_power_cut_of_an_enrolment_is_made_good_by_the_first_import(
    tmp_path: Path, world: World, renames: Renames, whole: bool
) -> None:
    """Where the state was written and the ledger was not, an import may come first."""
    depot = tmp_path / "depot"

    def work() -> object:
        return enrol_site(depot, world.kit, world.site.authority)

    came_in = 0
    for at in moments(calls_of(tmp_path, work), whole):
        shutil.rmtree(depot, ignore_errors=True)
        cut(tmp_path, at, renames, work)
        if not load_states(depot / "trust"):
            continue
        import_now(world.releases[1], depot)
        came_in += 1
        assert load_authority(depot / "trust") == world.site.authority
        state_path(depot / "trust", world.kit.fingerprint).unlink()
        with pytest.raises(IsowardError, match="missing"):
            load_states(depot / "trust")
    assert came_in


@pytest.mark.parametrize("renames", RENAMES)
def test_a_power_cut_at_every_write_of_an_import(
    tmp_path: Path, world: World, renames: Renames, whole: bool
) -> None:
    depot = world.copy(tmp_path / "depot").depot

    def work() -> object:
        return import_now(world.releases[2], depot)

    total = calls_of(tmp_path, work)
    assert total >= 20
    for at in moments(total, whole):
        world.copy(depot)
        ended = cut(tmp_path, at, renames, work)
        assert ended == (at > total)
        if ended:
            assert newest_served(depot) == 3
            with pytest.raises(RollbackError):
                verify(world.releases[1], depot)
        require_sound(world, depot, 3)


@pytest.mark.parametrize("renames", RENAMES)
def test_a_power_cut_at_every_write_of_the_first_import(
    tmp_path: Path, world: World, renames: Renames, whole: bool
) -> None:
    depot = tmp_path / "depot"

    def enrol() -> None:
        shutil.rmtree(depot, ignore_errors=True)
        enrol_site(depot, world.kit, world.site.authority)

    def work() -> object:
        return import_now(world.releases[1], depot)

    enrol()
    total = calls_of(tmp_path, work)
    for at in moments(total, whole):
        enrol()
        ended = cut(tmp_path, at, renames, work)
        assert ended == (at > total)
        assert not ended or newest_served(depot) == 2
        require_sound_after_first(world, depot)


def require_sound_after_first(world: World, depot: Path) -> None:
    assert import_now(world.releases[1], depot).record.release == 2
    with pytest.raises(RollbackError):
        verify(world.releases[0], depot)
    assert newest_served(depot) == 2


def newest_served(depot: Path) -> int:
    return max(found.record.release for found in accepted_bundles(DepotDirectory(depot)))


@pytest.mark.parametrize("renames", RENAMES)
@pytest.mark.parametrize("damage", ["lost", "damaged", "ledger"])
def test_a_power_cut_at_every_write_of_a_recovery(
    tmp_path: Path, world: World, renames: Renames, damage: str, whole: bool
) -> None:
    depot = tmp_path / "depot"

    def spoilt() -> SiteKit:
        site = world.copy(depot)
        state = state_path(site.trust, world.kit.fingerprint)
        if damage == "lost":
            state.unlink()
        else:
            (state if damage == "damaged" else site.trust / "ledger.json").write_bytes(b"{}")
        return site

    # The signers remember release 1 only; that the depot holds release 2 must count all the same.
    statement = recovery_for(spoilt(), world.kit, floor=1)

    def work() -> object:
        return apply_recovery(depot, statement, now(), "recovery")

    total = calls_of(tmp_path, work)
    assert total >= 16
    for at in moments(total, whole):
        spoilt()
        ended = cut(tmp_path, at, renames, work)
        assert ended == (at > total)
        if ended:
            assert verify(world.releases[2], depot) == 3
        finish_recovery(work)
        assert recorded(depot) == 1
        require_sound(world, depot, 3)


def finish_recovery(work: object) -> None:
    """Apply it again; that may say that it was done already."""
    assert callable(work)
    with contextlib.suppress(RecoveryError):
        work()


def recorded(depot: Path) -> int:
    return len(list((depot / "trust").glob("recovery-?.json")))
