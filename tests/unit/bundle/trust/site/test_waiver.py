"""One expired release comes in by the site's own decision, and nothing else does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.ngclient import Updater

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import (
    DamagedAuthorityError,
    DigestMismatchError,
    ExpiredError,
    IsowardError,
    RollbackError,
    SignatureError,
    ThresholdError,
    UnknownKeyError,
    UsageError,
    WaiverError,
)
from bundle.store.layout import BundleDirectory
from bundle.trust.site.state import find_state, load_states
from bundle.trust.site.statement import look_at, sign
from bundle.trust.site.waiver import KIND, WAIVER_NAME, GrantedWaiver, WaiverRequest, draft_waiver
from bundle.trust.verify.verification import examine_expired, verify_trust
from installer.depot.directory import DepotDirectory
from installer.depot.exceptions import notices
from installer.depot.importer import import_bundle
from tests.support.depot.imported import import_now
from tests.support.sites.people import (
    LONG_AGO,
    SiteKit,
    expired_bundle,
    granted,
    import_waived,
    make_site,
    waiver_for,
)
from tests.support.trust.edit import edit
from tests.support.trust.release_kit import (
    ReleaseKit,
    approve_by,
    enrolled,
    make_bundle,
    make_release,
    now,
    release_bundle,
    trusted_bundle,
)


def test_an_expired_bundle_comes_in_by_a_waiver(
    tmp_path: Path, expired: Path, site: SiteKit
) -> None:
    with pytest.raises(ExpiredError, match=r"trust/timestamp\.json"):
        import_now(expired, site.depot)
    outcome = import_waived(expired, site, waiver_for(expired, site, tmp_path / "w.json"))
    waiver = outcome.record.waiver
    assert waiver is not None
    assert (waiver.ticket, waiver.reason) == ("CHG-7", "The vendor cannot be reached")
    assert waiver.signers == ("Olga Operator", "Otto Officer")
    kept = site.depot / "bundles" / hex_of(outcome.record.digest) / WAIVER_NAME
    assert kept.read_bytes() == (tmp_path / "w.json").read_bytes()


def test_every_later_report_shows_it(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    import_waived(expired, site, waiver_for(expired, site, tmp_path / "w.json"))
    again = import_now(expired, site.depot)
    assert again.already
    for said in (again.notices, notices(DepotDirectory(site.depot))):
        (line,) = said
        assert "EXPIRED, by a waiver of Olga Operator and Otto Officer" in line
        assert "CHG-7: The vendor cannot be reached" in line


def test_a_bundle_that_is_there_gets_a_newer_waiver_recorded(
    tmp_path: Path, site: SiteKit, vendor: ReleaseKit
) -> None:
    bundle = expired_bundle(tmp_path / "bundle", vendor)
    first = waiver_for(bundle, site, tmp_path / "1.json", days=3)
    second = waiver_for(bundle, site, tmp_path / "2.json", days=9)
    assert import_waived(bundle, site, first).record.waiver is not None
    later = import_waived(bundle, site, second)
    assert later.already
    assert later.record == DepotDirectory(site.depot).records()[0]
    assert later.record.waiver is not None
    assert later.record.waiver.digest == digest_of(second.read_bytes())
    kept = site.depot / "bundles" / hex_of(later.record.digest) / WAIVER_NAME
    assert kept.read_bytes() == second.read_bytes()


def test_the_waiver_ends(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json", days=2)
    later = now() + timedelta(days=3)
    with pytest.raises(WaiverError, match="the waiver expired on"):
        granted(expired, site, file, later)
    import_waived(expired, site, file)
    with pytest.raises(ExpiredError):
        import_bundle(expired, site.depot, lambda: later)
    # What is in the depot stays there: lives hang on it.
    assert "until" in notices(DepotDirectory(site.depot))[0]


@pytest.mark.parametrize("signers", [0, 1])
def test_one_person_alone_waives_nothing(
    tmp_path: Path, expired: Path, site: SiteKit, signers: int
) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json", signers=signers)
    with pytest.raises(WaiverError, match=f"signed by {signers} of 2 required people"):
        import_waived(expired, site, file)
    assert DepotDirectory(site.depot).bundle_names() == frozenset()


def test_one_person_does_not_sign_twice(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json", signers=1)
    data, name, added = sign(file.read_bytes(), KIND, site.keys[0].signer, "w")
    assert (data, name, added) == (file.read_bytes(), "Olga Operator", False)
    fields = json.loads(data)
    fields["signatures"] *= 2
    file.write_bytes(canonical_json(fields))
    with pytest.raises(WaiverError, match="is not valid"):
        import_waived(expired, site, file)


@pytest.mark.parametrize("who", ["stranger", "approver"])
def test_nobody_else_signs(
    tmp_path: Path, expired: Path, site: SiteKit, vendor: ReleaseKit, who: str
) -> None:
    key = vendor.stranger if who == "stranger" else vendor.approvers[0]
    file = waiver_for(expired, site, tmp_path / "w.json", signers=1)
    with pytest.raises(UnknownKeyError, match="is not the site's"):
        sign(file.read_bytes(), KIND, key.signer, "w")
    fields = json.loads(file.read_bytes())
    fields["signatures"].append({**fields["signatures"][0], "keyid": key.signer.public_key.keyid})
    file.write_bytes(canonical_json(fields))
    with pytest.raises(WaiverError, match="may not sign"):
        import_waived(expired, site, file)


def test_it_is_for_one_bundle_only(
    tmp_path: Path, expired: Path, site: SiteKit, vendor: ReleaseKit
) -> None:
    other = expired_bundle(tmp_path / "other", vendor, "2.0.0")
    file = waiver_for(expired, site, tmp_path / "w.json")
    with pytest.raises(WaiverError, match="the waiver is for tiny 1"):
        import_waived(other, site, file)
    state = load_states(site.trust)[0]
    with pytest.raises(WaiverError, match="is not valid for"):
        verify_trust(BundleDirectory(other), state, waiver=granted(expired, site, file))


def test_it_is_for_one_site_only(
    tmp_path: Path, expired: Path, site: SiteKit, vendor: ReleaseKit
) -> None:
    """The same people at another site sign for that one."""
    file = waiver_for(expired, site, tmp_path / "w.json")
    other = make_site(tmp_path / "other", vendor, "south")
    with pytest.raises(WaiverError):
        import_waived(expired, other, file)


def test_a_site_without_keys_waives_nothing(
    tmp_path: Path, expired: Path, site: SiteKit, vendor: ReleaseKit
) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json")
    depot = tmp_path / "plain"
    enrolled(depot, vendor)
    with pytest.raises(WaiverError, match="named no keys"):
        import_bundle(expired, depot, lambda: datetime.now(UTC), waiver=file)
    directory = BundleDirectory(expired)
    facts = examine_expired(directory, find_state(directory, load_states(depot / "trust")), now())
    with pytest.raises(WaiverError, match="named no keys"):
        draft_waiver(facts, None, WaiverRequest("r", "t", 1), now())


def test_a_damaged_authority_waives_nothing(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json")
    (site.trust / "authority.json").write_bytes(b"{}")
    with pytest.raises(DamagedAuthorityError):
        import_waived(expired, site, file)


def spoil_signature(bundle: Path, kit: ReleaseKit) -> None:
    edit(bundle, "timestamp.json", lambda m: None, kit.stranger.signer)


def spoil_threshold(bundle: Path, kit: ReleaseKit) -> None:
    edit(bundle, "targets.json", lambda m: None, kit.approvers[0].signer)


def spoil_targets(bundle: Path, kit: ReleaseKit) -> None:
    def change(metadata: Any) -> None:
        metadata.signed.targets["bundle.json"].length += 1

    edit(bundle, "targets.json", change)


def spoil_blob_list(bundle: Path, _: ReleaseKit) -> None:
    path = bundle / "trust/snapshot.json"
    path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))


@pytest.mark.parametrize(
    "spoil", [spoil_signature, spoil_threshold, spoil_targets, spoil_blob_list]
)
def test_everything_else_is_checked_as_ever(
    tmp_path: Path, expired: Path, site: SiteKit, vendor: ReleaseKit, spoil: Any
) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json")
    waiver = granted(expired, site, file)
    spoil(expired, vendor)
    with pytest.raises((SignatureError, UnknownKeyError, ThresholdError, RollbackError)):
        verify_trust(BundleDirectory(expired), load_states(site.trust)[0], waiver=waiver)


def test_it_does_not_waive_a_rollback(
    tmp_path: Path, expired: Path, site: SiteKit, vendor: ReleaseKit
) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json")
    import_now(trusted_bundle(tmp_path / "newer", vendor, "2.0.0"), site.depot)
    with pytest.raises(RollbackError):
        import_waived(expired, site, file)


def test_it_does_not_waive_a_damaged_blob(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json")
    (blob,) = (expired / "blobs/sha256").iterdir()
    blob.write_bytes(b"X" + blob.read_bytes()[1:])
    with pytest.raises(DigestMismatchError):
        import_waived(expired, site, file)


def test_a_newer_release_comes_in_after_a_waived_one(
    tmp_path: Path, expired: Path, site: SiteKit, vendor: ReleaseKit
) -> None:
    import_waived(expired, site, waiver_for(expired, site, tmp_path / "w.json"))
    newer = import_now(trusted_bundle(tmp_path / "newer", vendor, "2.0.0"), site.depot)
    assert newer.record.waiver is None
    assert len(newer.notices) == 1
    with pytest.raises(RollbackError):
        import_now(expired, site.depot)


def test_a_fresh_bundle_needs_none(tmp_path: Path, site: SiteKit, vendor: ReleaseKit) -> None:
    fresh = trusted_bundle(tmp_path / "fresh", vendor)
    with pytest.raises(UsageError, match="none of its trust metadata has expired"):
        waiver_for(fresh, site, tmp_path / "w.json")


def test_none_is_made_for_what_is_wrong_otherwise(
    tmp_path: Path, site: SiteKit, vendor: ReleaseKit
) -> None:
    at = now() - LONG_AGO
    bundle = make_bundle(tmp_path / "bundle")
    release_bundle(bundle, vendor, at)
    approve_by(bundle, vendor.approvers[:1], at)
    with pytest.raises(ThresholdError):
        waiver_for(bundle, site, tmp_path / "w.json")


def test_it_says_what_has_expired(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json")
    predicate, digest, signed = look_at(file.read_bytes(), KIND, "w")
    assert [entry.file for entry in predicate.files] == ["trust/timestamp.json"]
    assert digest == digest_of((expired / "bundle.json").read_bytes())
    assert (predicate.name, predicate.version, predicate.release) == ("tiny", "1.0.0", 1)
    assert len(signed) == 2


def test_only_the_module_grants_a_waiver(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    waiver = granted(expired, site, waiver_for(expired, site, tmp_path / "w.json"))
    with pytest.raises(TypeError, match=r"bundle\.trust\.site\.waiver"):
        GrantedWaiver(waiver.predicate, waiver.digest, waiver.signers, waiver.data, object())


def test_an_expired_root_can_be_waived(tmp_path: Path) -> None:
    """The root expires last, and with it everything."""
    begin = now() - timedelta(days=720)
    kit = make_release(tmp_path / "vendor", begin)
    bundle = make_bundle(tmp_path / "bundle")
    release_bundle(bundle, kit, begin)
    approve_by(bundle, kit.approvers[:2], begin)
    site = make_site(tmp_path / "site", kit)
    directory = BundleDirectory(bundle)
    later = now() + timedelta(days=20)
    facts = examine_expired(directory, load_states(site.trust)[0], later)
    assert [name for name, _ in facts.files] == [
        "trust/1.root.json",
        "trust/timestamp.json",
        "trust/snapshot.json",
        "trust/targets.json",
    ]


def test_python_tuf_has_the_clock_that_is_set(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    """Pins the one attribute of python-tuf that a waiver needs; an update that drops it fails."""
    root = (expired / "trust/1.root.json").read_bytes()
    updater = Updater(str(tmp_path), "none:", bootstrap=root)
    before = updater._trusted_set.reference_time
    assert abs(before - now()) < timedelta(minutes=5)
    waiver = granted(expired, site, waiver_for(expired, site, tmp_path / "w.json"))
    verified, _ = verify_trust(BundleDirectory(expired), load_states(site.trust)[0], waiver=waiver)
    assert verified.waiver == waiver
    assert verified.expires < now()


def test_the_targets_expiry_alone_is_waived_too(
    tmp_path: Path, expired: Path, site: SiteKit, vendor: ReleaseKit
) -> None:
    def past(metadata: Any) -> None:
        metadata.signed.expires = now() - timedelta(days=1)

    edit(expired, "targets.json", past, *(key.signer for key in vendor.approvers[:2]))
    waiver = granted(expired, site, waiver_for(expired, site, tmp_path / "w.json"))
    verified, _ = verify_trust(BundleDirectory(expired), load_states(site.trust)[0], waiver=waiver)
    assert verified.release == 1


def test_something_else_is_no_waiver(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    file = tmp_path / "w.json"
    for data in (b"", b"{}", b"[" * 100_000, (expired / "bundle.json").read_bytes()):
        file.write_bytes(data)
        with pytest.raises(WaiverError, match="expected a waiver"):
            import_waived(expired, site, file)
    file.unlink()
    with pytest.raises(IsowardError, match=r"w\.json"):
        import_waived(expired, site, file)
