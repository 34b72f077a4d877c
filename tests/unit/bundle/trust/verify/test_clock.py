"""A clock that is years behind is found before it is recorded; one that was ahead is lowered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from bundle.base.errors import ClockError, RecoveryError, RollbackError
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.terms import TIMESTAMP_LIFETIME
from bundle.trust.site.state import load_states, new_state, save_state, state_path
from bundle.trust.site.statement import sign
from bundle.trust.verify.clock import latest_known, signed_not_before
from bundle.trust.verify.verification import verify_trust
from bundler.release.approval import approve
from bundler.release.review import review
from installer.depot.importer import import_bundle
from installer.enrollment.first_trust import read_candidate
from installer.enrollment.recovery import KIND, RecoveryRequest, apply_recovery, draft_recovery
from tests.support.depot.imported import import_now
from tests.support.sites.people import SiteKit, make_site
from tests.support.trust.release_kit import (
    TICKET,
    ReleaseKit,
    make_bundle,
    now,
    release_bundle,
    trusted_bundle,
)

LONG_AGO = datetime(2015, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=40)


@pytest.fixture
def site(tmp_path: Path, kit: ReleaseKit) -> SiteKit:
    return make_site(tmp_path / "site", kit)


def lowering(site: SiteKit, kit: ReleaseKit, signers: int = 2, at: datetime | None = None) -> bytes:
    data = draft_recovery(
        site.depot,
        RecoveryRequest(
            kit.fingerprint, floor=1, reason="The year was typed wrongly", lower_clock=True
        ),
        at or now(),
    )
    for key in site.keys[:signers]:
        data, _, _ = sign(data, KIND, key.signer, "recovery")
    return data


def import_ahead(bundle: Path, site: SiteKit) -> None:
    import_bundle(bundle, site.depot, lambda: datetime.now(UTC) + AHEAD)


@pytest.mark.parametrize("source", ["bundle", "release", "root file"])
def test_a_machine_that_lives_in_2015_enrolls_nothing(
    kit: ReleaseKit, bundle: Path, source: str
) -> None:
    paths = {"bundle": bundle, "release": kit.release, "root file": kit.release / "1.root.json"}
    with pytest.raises(ClockError, match=r"2015-01-01 00:00 UTC, but what .* was signed on 20"):
        read_candidate(paths[source], kit.fingerprint, LONG_AGO)
    assert read_candidate(paths[source], kit.fingerprint, now()).data


@pytest.mark.parametrize("behind", [timedelta(days=2), timedelta(days=89), timedelta(days=4000)])
def test_a_bundle_cannot_be_older_than_its_signatures(
    kit: ReleaseKit, bundle: Path, behind: timedelta
) -> None:
    root = (kit.release / "1.root.json").read_bytes()
    state = new_state(root, LONG_AGO)
    with pytest.raises(ClockError, match="signed on"):
        verify_trust(BundleDirectory(bundle), state, now() - behind)
    # A signer's clock may be some hours ahead.
    verify_trust(BundleDirectory(bundle), state, now() - timedelta(hours=12))


def test_what_is_known_of_the_time(kit: ReleaseKit, bundle: Path) -> None:
    state = new_state((kit.release / "1.root.json").read_bytes(), LONG_AGO)
    assert latest_known([]) is None
    assert latest_known([state]) == LONG_AGO
    _, seen = verify_trust(BundleDirectory(bundle), state, now())
    lagging = msgspec.structs.replace(seen, last_seen=LONG_AGO)
    known = latest_known([lagging])
    assert known is not None
    assert abs(now() - known) < timedelta(hours=1)
    assert signed_not_before(None, None) < LONG_AGO
    assert timedelta(days=1) < TIMESTAMP_LIFETIME


def test_two_people_lower_what_a_clock_that_was_ahead_has_shown(
    tmp_path: Path, site: SiteKit, kit: ReleaseKit
) -> None:
    old, new = (trusted_bundle(tmp_path / n, kit, f"{n}.0.0") for n in ("1", "2"))
    import_ahead(new, site)
    with pytest.raises(ClockError, match="before the last verification") as caught:
        import_now(new, site.depot)
    assert "--lower-clock" in caught.value.hint
    with pytest.raises(RecoveryError, match="1 of 2 required people"):
        apply_recovery(site.depot, lowering(site, kit, signers=1), now(), "r")
    data = lowering(site, kit)
    done = apply_recovery(site.depot, data, now(), "r")
    assert done.record.last_seen is not None
    assert "a clock was ahead" in done.record.problem
    (state,) = load_states(site.trust)
    assert state.last_seen <= now()
    assert import_now(new, site.depot).already
    # Only the time was lowered: what was seen of releases was not.
    assert [entry.release for entry in state.accepted] == [2]
    with pytest.raises(RollbackError):
        import_now(old, site.depot)
    with pytest.raises(RecoveryError, match="already"):
        apply_recovery(site.depot, data, now(), "r")


def test_nothing_is_lowered_without_need_or_below_what_was_signed(
    tmp_path: Path, site: SiteKit, kit: ReleaseKit
) -> None:
    bundle = trusted_bundle(tmp_path / "1", kit)
    import_now(bundle, site.depot)
    with pytest.raises(RecoveryError, match="nothing is wrong"):
        lowering(site, kit)
    with pytest.raises(ClockError, match="was signed on"):
        lowering(site, kit, at=now() - timedelta(days=30))
    with pytest.raises(ClockError, match="was signed on"):
        lowering(site, kit, at=LONG_AGO)


def test_a_record_that_is_lost_as_well_comes_back_with_the_right_time(
    tmp_path: Path, site: SiteKit, kit: ReleaseKit
) -> None:
    bundle = trusted_bundle(tmp_path / "1", kit)
    import_ahead(bundle, site)
    state_path(site.trust, kit.fingerprint).unlink()
    plain = draft_recovery(
        site.depot, RecoveryRequest(kit.fingerprint, floor=1, reason="Lost"), now()
    )
    for key in site.keys[:2]:
        plain, _, _ = sign(plain, KIND, key.signer, "recovery")
    with pytest.raises(ClockError):
        apply_recovery(site.depot, plain, now(), "r")
    apply_recovery(site.depot, lowering(site, kit), now(), "r")
    (state,) = load_states(site.trust)
    assert state.last_seen <= now()
    assert import_now(bundle, site.depot).already


def test_a_state_that_was_saved_ahead_is_found_after_the_clock_was_set_right(
    site: SiteKit, kit: ReleaseKit
) -> None:
    """Enrolled ahead, with nothing imported yet."""
    (state,) = load_states(site.trust)
    save_state(site.trust, msgspec.structs.replace(state, last_seen=now() + AHEAD))
    done = apply_recovery(site.depot, lowering(site, kit), now(), "r")
    assert done.accepted == 0
    assert load_states(site.trust)[0].last_seen <= now()


def test_an_approver_whose_clock_is_behind_the_build_is_told(
    tmp_path: Path, kit: ReleaseKit
) -> None:
    path = make_bundle(tmp_path / "new")
    release_bundle(path, kit)
    bundle, early = BundleDirectory(path), now() - timedelta(days=3)
    shown = review(bundle, now())
    with pytest.raises(ClockError, match="the record of this build"):
        approve(bundle, shown, kit.approvers[0].signer, TICKET, early)
    assert approve(bundle, shown, kit.approvers[0].signer, TICKET, now())[1]
