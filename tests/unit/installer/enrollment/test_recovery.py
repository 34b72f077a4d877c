"""A lost or damaged record comes back by two persons, and never lets an older release in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, Targets

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import (
    BusyError,
    ClockError,
    CouldNotVerifyError,
    DamagedAuthorityError,
    LostStateError,
    RecoveryError,
    RevokedKeyError,
    RevokedReleaseError,
    RollbackError,
    UnknownKeyError,
    UsageError,
)
from bundle.store.atomic import directory_lock
from bundle.trust.keys.stored import generate_key
from bundle.trust.metadata.restrictions import REVOKED_FIELD
from bundle.trust.site.ledger import LEDGER_NAME, load_ledger
from bundle.trust.site.state import load_states, state_path
from bundle.trust.site.statement import look_at, sign
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import DepotDirectory
from installer.enrollment.recovery import (
    KIND,
    RecoveryRecord,
    RecoveryRequest,
    apply_recovery,
    draft_recovery,
    problem_of,
)
from tests.support.depot.imported import import_now
from tests.support.sites.people import SiteKit, make_site, recovery_for
from tests.support.trust.edit import edit
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release, now, trusted_bundle


@pytest.fixture
def site(tmp_path: Path, kit: ReleaseKit) -> SiteKit:
    return make_site(tmp_path / "site", kit)


@pytest.fixture
def releases(tmp_path: Path, kit: ReleaseKit) -> tuple[Path, ...]:
    return tuple(trusted_bundle(tmp_path / n, kit, f"{n}.0.0") for n in ("1", "2", "3"))


def state_of(site: SiteKit, kit: ReleaseKit) -> Path:
    return state_path(site.trust, kit.fingerprint)


def lose(site: SiteKit, kit: ReleaseKit) -> None:
    state_of(site, kit).unlink()


def damage(site: SiteKit, kit: ReleaseKit) -> None:
    path = state_of(site, kit)
    path.write_bytes(path.read_bytes()[:-10])


def lose_all(site: SiteKit, kit: ReleaseKit) -> None:
    lose(site, kit)
    (site.trust / LEDGER_NAME).write_bytes(b"")


def apply(site: SiteKit, data: bytes) -> Any:
    return apply_recovery(site.depot, data, now(), "recovery.json")


@pytest.mark.parametrize("spoil", [lose, damage, lose_all])
def test_a_site_recovers(
    site: SiteKit,
    kit: ReleaseKit,
    releases: tuple[Path, ...],
    spoil: Callable[[SiteKit, ReleaseKit], None],
) -> None:
    import_now(releases[1], site.depot)
    before = load_states(site.trust)[0]
    spoil(site, kit)
    with pytest.raises(CouldNotVerifyError, match="what this site has"):
        import_now(releases[2], site.depot)
    done = apply(site, recovery_for(site, kit, floor=2))
    after = load_states(site.trust)[0]
    assert (after.roots, after.targets, after.site) == (before.roots, before.targets, "north")
    assert [(e.digest, e.release) for e in after.accepted] == [
        (e.digest, e.release) for e in before.accepted
    ]
    assert (after.floor, done.accepted, done.left_out) == (2, 1, ())
    assert [c.record.release for c in accepted_bundles(DepotDirectory(site.depot))] == [2]
    with pytest.raises(RollbackError):
        import_now(releases[0], site.depot)
    assert import_now(releases[1], site.depot).already
    assert import_now(releases[2], site.depot).record.release == 3


def test_the_record_says_who_did_it(site: SiteKit, kit: ReleaseKit) -> None:
    damage(site, kit)
    broken = state_of(site, kit).read_bytes()
    statement = recovery_for(site, kit, floor=4, source=kit.release)
    done = apply(site, statement)
    assert done.path == site.trust / "recovery-1.json"
    fields = json.loads(done.path.read_bytes())
    assert fields["signers"] == ["Olga Operator", "Otto Officer"]
    assert (fields["reason"], fields["floor"], fields["done"]) == ("The disk failed", 4, True)
    assert "damaged" in fields["problem"]
    assert (site.trust / "recovery-1.dsse.json").read_bytes() == statement
    assert fields["statement"] == digest_of(statement)
    assert (site.trust / "recovery-1.damaged").read_bytes() == broken
    lose(site, kit)
    assert apply(site, recovery_for(site, kit, floor=5, source=kit.release)).path.name == (
        "recovery-2.json"
    )


def test_the_floor_holds_without_any_import(
    site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    lose(site, kit)
    apply(site, recovery_for(site, kit, floor=2, source=releases[0]))
    with pytest.raises(RollbackError, match="older than release 2"):
        import_now(releases[0], site.depot)
    assert import_now(releases[1], site.depot).record.release == 2


def test_what_the_depot_holds_raises_the_floor(
    site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    import_now(releases[1], site.depot)
    lose(site, kit)
    done = apply(site, recovery_for(site, kit, floor=1))
    assert done.record.floor == 2
    with pytest.raises(RollbackError):
        import_now(releases[0], site.depot)


def test_a_bundle_that_is_damaged_raises_the_floor_too(
    site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    import_now(releases[1], site.depot)
    (name,) = DepotDirectory(site.depot).bundle_names()
    path = site.depot / "bundles" / name / "bundle.json"
    path.write_bytes(b"{}")
    lose(site, kit)
    done = apply(site, recovery_for(site, kit, floor=1))
    assert (done.record.floor, done.accepted, done.left_out) == (2, 0, (name,))
    with pytest.raises(RollbackError, match="older than release 2"):
        import_now(releases[0], site.depot)
    assert import_now(releases[1], site.depot).record.release == 2


def test_what_was_revoked_stays_revoked(
    tmp_path: Path, site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    from tests.unit.bundle.trust.metadata.test_restrictions import resum

    digest = digest_of((releases[2] / "bundle.json").read_bytes())
    entry = {"release": 3, "digest": digest, "reason": "it loses data"}
    edit(
        releases[1],
        "targets.json",
        lambda m: m.signed.unrecognized_fields.update({REVOKED_FIELD: [entry]}),
        *(key.signer for key in kit.approvers[:2]),
    )
    resum(releases[1])
    import_now(releases[1], site.depot)
    lose(site, kit)
    apply(site, recovery_for(site, kit, floor=2))
    with pytest.raises(RevokedReleaseError):
        import_now(releases[2], site.depot)


@pytest.mark.parametrize("signers", [0, 1])
def test_one_person_alone_recovers_nothing(site: SiteKit, kit: ReleaseKit, signers: int) -> None:
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, signers=signers, source=kit.release)
    with pytest.raises(RecoveryError, match=f"signed by {signers} of 2"):
        apply(site, data)
    with pytest.raises(LostStateError):
        load_states(site.trust)


def test_nobody_else_signs(site: SiteKit, kit: ReleaseKit) -> None:
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, signers=1, source=kit.release)
    with pytest.raises(UnknownKeyError):
        sign(data, KIND, kit.approvers[0].signer, "r")
    fields = json.loads(data)
    key = kit.stranger.signer.public_key.keyid
    fields["signatures"].append({**fields["signatures"][0], "keyid": key})
    with pytest.raises(RecoveryError, match="may not sign"):
        apply(site, canonical_json(fields))


def test_a_whole_record_is_not_recovered(
    site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    """It would make the site forget."""
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, source=kit.release)
    shutil.rmtree(site.trust)
    fresh = make_site(site.depot.parent / "again", kit)
    with pytest.raises(RecoveryError, match="nothing is wrong"):
        draft_recovery(fresh.depot, RecoveryRequest(kit.fingerprint, floor=1, reason="r"), now())
    with pytest.raises(RecoveryError):
        apply(fresh, data)
    import_now(releases[1], fresh.depot)
    assert load_states(fresh.trust)[0].floor == 0


def test_a_record_that_turned_up_again_is_not_recovered(
    site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    """The statement was signed in good faith; the disk was only not mounted."""
    import_now(releases[1], site.depot)
    path = state_of(site, kit)
    away = path.rename(path.with_suffix(".away"))
    data = recovery_for(site, kit, floor=1)
    away.rename(path)
    before = path.read_bytes()
    with pytest.raises(RecoveryError, match="nothing is wrong"):
        apply(site, data)
    assert path.read_bytes() == before


def test_a_statement_is_used_once(
    site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, source=kit.release)
    apply(site, data)
    import_now(releases[2], site.depot)
    shutil.rmtree(site.depot / "bundles")
    lose(site, kit)
    with pytest.raises(RecoveryError, match="already applied"):
        apply(site, data)


def test_a_statement_ends(site: SiteKit, kit: ReleaseKit) -> None:
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, source=kit.release)
    with pytest.raises(RecoveryError, match="expired on"):
        apply_recovery(site.depot, data, now() + timedelta(days=8), "r")


def test_a_statement_is_for_one_site(tmp_path: Path, site: SiteKit, kit: ReleaseKit) -> None:
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, source=kit.release)
    other = make_site(tmp_path / "other", kit, "south")
    lose(other, kit)
    with pytest.raises(RecoveryError):
        apply(other, data)


def test_a_waiver_is_no_recovery(site: SiteKit, kit: ReleaseKit) -> None:
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, source=kit.release)
    for other in (b"", b"{}", data[:-1], data.replace(b"in-toto", b"in-tutu")):
        with pytest.raises(RecoveryError, match="expected a recovery"):
            apply(site, other)


def test_a_root_that_was_never_enrolled_is_not_recovered(
    tmp_path: Path, site: SiteKit, kit: ReleaseKit
) -> None:
    other = make_release(tmp_path / "other")
    with pytest.raises(RecoveryError, match="nothing shows"):
        draft_recovery(
            site.depot,
            RecoveryRequest(other.fingerprint, floor=1, reason="r"),
            now(),
            other.release,
        )
    assert problem_of(site.trust, kit.fingerprint) == ""


def test_another_root_does_not_do(tmp_path: Path, site: SiteKit, kit: ReleaseKit) -> None:
    lose(site, kit)
    other = make_release(tmp_path / "other")
    with pytest.raises(RecoveryError, match="was found"):
        recovery_for(site, kit, floor=1, source=other.release)
    with pytest.raises(RecoveryError, match="was found"):
        recovery_for(site, kit, floor=1)


def test_a_site_without_keys_begins_anew(tmp_path: Path, kit: ReleaseKit) -> None:
    depot = tmp_path / "plain"
    enrolled(depot, kit)
    state_path(depot / "trust", kit.fingerprint).unlink()
    with pytest.raises(RecoveryError, match="no keys of its own") as raised:
        draft_recovery(
            depot, RecoveryRequest(kit.fingerprint, floor=1, reason="r"), now(), kit.release
        )
    assert "new depot" in raised.value.hint


def test_a_damaged_authority_recovers_nothing(site: SiteKit, kit: ReleaseKit) -> None:
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, source=kit.release)
    (site.trust / "authority.json").write_bytes(b"{}")
    with pytest.raises(DamagedAuthorityError):
        apply(site, data)
    (site.trust / "authority.json").unlink()
    with pytest.raises(DamagedAuthorityError, match="missing"):
        apply(site, data)


def test_a_key_that_was_taken_away_stays_so(
    tmp_path: Path, site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    """The newest root that the depot holds comes back too."""
    gone = kit.approvers[0].signer.public_key.keyid
    metadata: Metadata[Root] = Metadata.from_bytes((kit.release / "1.root.json").read_bytes())
    metadata.signed.version = 2
    metadata.signed.revoke_key(gone, Targets.type)
    metadata.signed.add_key(generate_key("Dora Example").public_key, Targets.type)
    metadata.signatures.clear()
    for key in kit.roots:
        metadata.sign(key.signer, append=True)
    root = metadata.to_bytes()
    (kit.release / "2.root.json").write_bytes(root)
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, source=kit.release)
    assert len(look_at(data, KIND, "r")[0].roots) == 2
    apply(site, data)
    with pytest.raises(RevokedKeyError):
        import_now(releases[2], site.depot)


def test_the_clock_is_not_behind_the_depot(
    site: SiteKit, kit: ReleaseKit, releases: tuple[Path, ...]
) -> None:
    import_now(releases[0], site.depot)
    lose(site, kit)
    data = recovery_for(site, kit, floor=1)
    (name,) = DepotDirectory(site.depot).bundle_names()
    path = site.depot / "bundles" / name / "import.json"
    fields = json.loads(path.read_bytes())
    fields["when"] = (now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_bytes(canonical_json(fields))
    with pytest.raises(ClockError):
        apply(site, data)


def test_one_process_at_a_time(site: SiteKit, kit: ReleaseKit) -> None:
    lose(site, kit)
    data = recovery_for(site, kit, floor=1, source=kit.release)
    with directory_lock(site.depot), pytest.raises(BusyError):
        apply(site, data)


@pytest.mark.parametrize(
    ("floor", "reason"), [(0, "r"), (1, ""), (1, "  "), (1, "a\nb"), (1, "x" * 2000)]
)
def test_what_is_asked_must_be_fit(site: SiteKit, kit: ReleaseKit, floor: int, reason: str) -> None:
    lose(site, kit)
    with pytest.raises(UsageError):
        draft_recovery(
            site.depot,
            RecoveryRequest(kit.fingerprint, floor=floor, reason=reason),
            now(),
            kit.release,
        )


def test_the_ledger_comes_back_with_every_root(
    tmp_path: Path, site: SiteKit, kit: ReleaseKit
) -> None:
    other = make_release(tmp_path / "other")
    enrolled(site.depot, other)
    before = load_ledger(site.trust)
    (site.trust / LEDGER_NAME).write_bytes(b"broken")
    apply(site, recovery_for(site, kit, floor=1, source=kit.release))
    after = load_ledger(site.trust)
    assert {e.fingerprint for e in after.roots} == {e.fingerprint for e in before.roots}
    assert after.authority == before.authority
    assert {s.floor for s in load_states(site.trust)} == {0, 1}


def test_the_record_is_canonical(site: SiteKit, kit: ReleaseKit) -> None:
    from bundle.base.canonical import decode_canonical

    lose(site, kit)
    done = apply(site, recovery_for(site, kit, floor=1, source=kit.release))
    assert decode_canonical(done.path.read_bytes(), RecoveryRecord, "r") == done.record
