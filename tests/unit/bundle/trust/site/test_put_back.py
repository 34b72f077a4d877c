"""A record of what was seen that was put back from a backup, or that others may write."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.base.errors import DamagedStateError, RecoveryError, RollbackError
from bundle.trust.site.state import load_readable_states, load_states, state_path
from installer.enrollment.recovery import apply_recovery
from tests.support.depot.imported import import_now
from tests.support.sites.people import SiteKit, make_site, recovery_for
from tests.support.trust.release_kit import ReleaseKit, make_release, now, trusted_bundle


@pytest.fixture
def kit(tmp_path: Path) -> ReleaseKit:
    return make_release(tmp_path / "vendor")


@pytest.fixture
def site(tmp_path: Path, kit: ReleaseKit) -> SiteKit:
    return make_site(tmp_path / "site", kit)


def test_a_record_from_before_an_import_is_refused_and_recovered(
    tmp_path: Path, kit: ReleaseKit, site: SiteKit
) -> None:
    older = trusted_bundle(tmp_path / "older", kit, "1.0.0")
    newer = trusted_bundle(tmp_path / "newer", kit, "2.0.0")
    path = state_path(site.trust, kit.fingerprint)
    backup = path.read_bytes()
    import_now(newer, site.depot)
    path.write_bytes(backup)
    with pytest.raises(DamagedStateError, match="older than the import of release 2"):
        import_now(older, site.depot)
    (found,), problems = load_readable_states(site.trust)
    assert [type(problem) for problem in problems] == [DamagedStateError]
    assert found.accepted == ()

    apply_recovery(site.depot, recovery_for(site, kit, 1), now(), "recovery")
    (state,) = load_states(site.trust)
    assert [entry.release for entry in state.accepted] == [2]
    with pytest.raises(RollbackError):
        import_now(older, site.depot)
    assert import_now(newer, site.depot).already


def test_a_record_that_has_seen_all_is_not_recovered(
    tmp_path: Path, kit: ReleaseKit, site: SiteKit
) -> None:
    import_now(trusted_bundle(tmp_path / "bundle", kit), site.depot)
    with pytest.raises(RecoveryError, match="nothing is wrong"):
        recovery_for(site, kit, 1)


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_record_that_others_may_write_counts_as_damaged(
    kit: ReleaseKit, site: SiteKit, mode: int
) -> None:
    path = state_path(site.trust, kit.fingerprint)
    path.chmod(mode)
    with pytest.raises(DamagedStateError, match=f"others can write to it .mode {mode:04o}."):
        load_states(site.trust)
    path.chmod(0o644)
    assert load_states(site.trust)
