"""The site's own keys, and the ledger of what it has enrolled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from securesystemslib.signer import Key

from bundle.base.errors import (
    DamagedAuthorityError,
    DamagedStateError,
    KeyFileError,
    LostStateError,
    UsageError,
)
from bundle.trust.site.authority import (
    AUTHORITY_NAME,
    Authority,
    authority_keys,
    load_authority,
    make_authority,
    save_authority,
)
from bundle.trust.site.ledger import LEDGER_NAME, load_ledger
from bundle.trust.site.state import load_readable_states, load_states, state_path
from installer.enrollment.first_trust import enroll, read_candidate
from tests.support.depot.imported import import_now
from tests.support.sites.people import SITE, enrol_site, make_site
from tests.support.trust.release_kit import (
    KeyFile,
    ReleaseKit,
    enrolled,
    make_key,
    make_release,
    now,
    trusted_bundle,
)


def public(base: Path, *names: str) -> list[Key]:
    return [make_key(base / str(n), name).signer.public_key for n, name in enumerate(names)]


def authority_of(base: Path, *names: str, threshold: int = 2) -> Authority:
    return make_authority(public(base, *names), threshold, SITE)


def test_the_site_s_keys_come_back(tmp_path: Path, kit: ReleaseKit) -> None:
    site = make_site(tmp_path, kit)
    assert load_authority(site.trust) == site.authority
    assert authority_keys(site.authority).keys() == {
        key.signer.public_key.keyid for key in site.keys
    }
    assert load_ledger(site.trust).authority is not None
    assert load_states(site.trust)[0].site == SITE


@pytest.mark.parametrize(
    ("names", "threshold", "why"),
    [
        (("Olga", "Otto"), 1, "threshold of at least 2"),
        (("Olga",), 2, "with 1 keys only"),
        ((), 2, "with 0 keys only"),
        (("Olga Operator", "olga  operator"), 2, "one person is given twice"),
    ],
)
def test_two_persons_at_least(
    tmp_path: Path, names: tuple[str, ...], threshold: int, why: str
) -> None:
    with pytest.raises((UsageError, KeyFileError), match=why):
        authority_of(tmp_path, *[n.replace("  ", " ") for n in names], threshold=threshold)


def test_one_key_does_not_count_twice(tmp_path: Path) -> None:
    key = make_key(tmp_path, "Olga Operator").signer.public_key
    with pytest.raises(UsageError, match="one key is given twice"):
        make_authority([key, key], 2, SITE)


@pytest.mark.parametrize(
    "pick", [lambda k: k.approvers[0], lambda k: k.roots[0], lambda k: k.builder]
)
def test_the_vendor_s_keys_are_not_the_site_s(
    tmp_path: Path, kit: ReleaseKit, pick: Callable[[ReleaseKit], KeyFile]
) -> None:
    theirs = pick(kit).signer.public_key
    ours = make_key(tmp_path, "Olga Operator").signer.public_key
    with pytest.raises(UsageError, match="belongs to the vendor"):
        enrol_site(tmp_path / "depot", kit, make_authority([ours, theirs], 2, SITE))
    assert load_states(tmp_path / "depot/trust") == ()


def test_a_vendor_s_person_is_not_the_site_s(tmp_path: Path, kit: ReleaseKit) -> None:
    with pytest.raises(UsageError, match="Ada Example"):
        enrol_site(tmp_path / "depot", kit, authority_of(tmp_path, "Olga Operator", "ADA Example"))


def test_a_second_vendor_s_keys_are_compared_too(tmp_path: Path, kit: ReleaseKit) -> None:
    other = make_release(tmp_path / "other")
    ours = make_key(tmp_path, "Olga Operator").signer.public_key
    authority = make_authority([ours, other.stranger.signer.public_key], 2, SITE)
    enrol_site(tmp_path / "depot", kit, authority)
    theirs = make_release(tmp_path / "third")
    enrolled(tmp_path / "depot 2", theirs)
    candidate = read_candidate(theirs.release, theirs.fingerprint, now())
    # Mallory Stranger is no key of the third root, so only names of holders could clash.
    assert enroll(tmp_path / "depot", candidate, now())[1]


def test_the_site_s_keys_cannot_be_changed(tmp_path: Path, kit: ReleaseKit) -> None:
    site = make_site(tmp_path, kit)
    with pytest.raises(UsageError, match="cannot be changed"):
        enrol_site(site.depot, kit, authority_of(tmp_path / "x", "Eva Evil", "Emil Evil"))
    enrol_site(site.depot, kit, site.authority)
    enrolled(site.depot, kit)
    assert load_authority(site.trust) == site.authority


def test_they_are_named_before_the_first_import(
    tmp_path: Path, kit: ReleaseKit, bundle: Path
) -> None:
    depot = tmp_path / "depot"
    enrolled(depot, kit)
    import_now(bundle, depot)
    with pytest.raises(UsageError, match="before the first import"):
        enrol_site(depot, kit, authority_of(tmp_path, "Eva Evil", "Emil Evil"))
    assert not (depot / "trust" / AUTHORITY_NAME).exists()


def test_they_may_be_named_a_little_later(tmp_path: Path, kit: ReleaseKit) -> None:
    enrolled(tmp_path / "depot", kit)
    authority = authority_of(tmp_path, "Olga Operator", "Otto Officer")
    enrol_site(tmp_path / "depot", kit, authority)
    assert load_authority(tmp_path / "depot/trust") == authority


def test_a_file_that_was_put_there_is_not_in_force(
    tmp_path: Path, kit: ReleaseKit, bundle: Path
) -> None:
    depot = tmp_path / "depot"
    enrolled(depot, kit)
    import_now(bundle, depot)
    save_authority(depot / "trust", authority_of(tmp_path, "Eva Evil", "Emil Evil"))
    import_now(trusted_bundle(tmp_path / "2", kit, "2.0.0"), depot)
    assert load_authority(depot / "trust") is None


def test_every_damaged_byte_of_the_authority_is_an_error(tmp_path: Path, kit: ReleaseKit) -> None:
    site = make_site(tmp_path, kit)
    path = site.trust / AUTHORITY_NAME
    data = path.read_bytes()
    for at in range(0, len(data), 23):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(DamagedAuthorityError):
            load_authority(site.trust)
    for short in (b"", b"{}", data[:-1], data + b"\n"):
        path.write_bytes(short)
        with pytest.raises(DamagedAuthorityError):
            load_authority(site.trust)
    path.unlink()
    with pytest.raises(DamagedAuthorityError, match="it is missing"):
        load_authority(site.trust)
    save_authority(site.trust, authority_of(tmp_path / "x", "Eva Evil", "Emil Evil"))
    with pytest.raises(DamagedAuthorityError, match="not the enrolled one"):
        load_authority(site.trust)
    path.write_bytes(data)
    assert load_authority(site.trust) == site.authority


def test_every_damaged_byte_of_the_ledger_is_an_error(tmp_path: Path, kit: ReleaseKit) -> None:
    site = make_site(tmp_path, kit)
    path = site.trust / LEDGER_NAME
    data = path.read_bytes()
    for at in range(0, len(data), 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises((DamagedStateError, LostStateError)):
            load_states(site.trust)
    for short in (b"", b"{}", data[:-1]):
        path.write_bytes(short)
        with pytest.raises(DamagedStateError):
            load_states(site.trust)


@pytest.mark.parametrize("gone", ["state", "state and ledger", "all"])
def test_a_lost_state_is_never_a_new_trust(
    tmp_path: Path, kit: ReleaseKit, bundle: Path, gone: str
) -> None:
    depot = tmp_path / "depot"
    enrolled(depot, kit)
    import_now(bundle, depot)
    trust = depot / "trust"
    state_path(trust, kit.fingerprint).unlink()
    if gone != "state":
        (trust / LEDGER_NAME).unlink()
    if gone == "all":
        trust.rmdir()
    for work in (
        lambda: load_states(trust),
        lambda: enrolled(depot, kit),
        lambda: import_now(bundle, depot),
    ):
        with pytest.raises(LostStateError) as raised:
            work()
        assert "isoward recover" in raised.value.hint
    assert not state_path(trust, kit.fingerprint).exists()


def test_a_lost_state_blocks_another_vendor_too(
    tmp_path: Path, kit: ReleaseKit, bundle: Path
) -> None:
    """Which of two enrolled roots a bundle belongs to could be one that is lost."""
    depot = tmp_path / "depot"
    other = make_release(tmp_path / "other")
    enrolled(depot, kit)
    enrolled(depot, other)
    state_path(depot / "trust", other.fingerprint).unlink()
    with pytest.raises(LostStateError):
        import_now(bundle, depot)


def test_an_import_betrays_that_one_of_two_states_is_lost(
    tmp_path: Path, kit: ReleaseKit, bundle: Path
) -> None:
    depot = tmp_path / "depot"
    enrolled(depot, kit)
    enrolled(depot, make_release(tmp_path / "other"))
    import_now(bundle, depot)
    state_path(depot / "trust", kit.fingerprint).unlink()
    (depot / "trust" / LEDGER_NAME).unlink()
    with pytest.raises(LostStateError, match="was imported below it"):
        enrolled(depot, kit)


def test_an_unreadable_import_betrays_a_lost_state(tmp_path: Path, kit: ReleaseKit) -> None:
    depot = tmp_path / "depot"
    (depot / "bundles" / ("ab" * 32)).mkdir(parents=True)
    with pytest.raises(LostStateError, match="imported bundles"):
        enrolled(depot, kit)


def test_a_depot_of_before_the_ledger_gets_one(
    tmp_path: Path, kit: ReleaseKit, bundle: Path
) -> None:
    depot = tmp_path / "depot"
    enrolled(depot, kit)
    (depot / "trust" / LEDGER_NAME).unlink()
    import_now(bundle, depot)
    (entry,) = load_ledger(depot / "trust").roots
    assert entry.fingerprint == kit.fingerprint


def test_what_is_whole_is_still_served(tmp_path: Path, kit: ReleaseKit) -> None:
    depot = tmp_path / "depot"
    other = make_release(tmp_path / "other")
    enrolled(depot, kit)
    enrolled(depot, other)
    assert load_readable_states(depot / "trust")[1] == ()
    state_path(depot / "trust", other.fingerprint).write_bytes(b"{}")
    found, problems = load_readable_states(depot / "trust")
    assert [state.fingerprint for state in found] == [kit.fingerprint]
    assert [type(problem) for problem in problems] == [DamagedStateError]
    state_path(depot / "trust", other.fingerprint).unlink()
    assert [type(p) for p in load_readable_states(depot / "trust")[1]] == [LostStateError]


def test_the_ledger_is_canonical(tmp_path: Path, kit: ReleaseKit) -> None:
    enrolled(tmp_path / "depot", kit)
    path = tmp_path / "depot/trust" / LEDGER_NAME
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1))
    with pytest.raises(DamagedStateError):
        load_ledger(tmp_path / "depot/trust")
