"""For whom a release is, of which product, and which releases were taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root

from bundle.base.digest import digest_of
from bundle.base.errors import (
    RevokedReleaseError,
    SignatureError,
    TrustError,
    UsageError,
    WrongProductError,
    WrongSiteError,
)
from bundle.store.layout import BundleDirectory
from bundle.store.sums import write_sums
from bundle.trust.metadata.restrictions import (
    PRODUCT_FIELD,
    REVOKED_FIELD,
    SITES_FIELD,
    RevokedRelease,
    merge_revoked,
)
from bundle.trust.site.state import TrustState, load_states, state_from_fingerprint
from bundle.trust.verify.verification import verify_trust
from bundler.release.publish import Unreleased, write_trust
from installer.depot.directory import DepotDirectory
from installer.depot.exceptions import notices
from installer.enrollment.first_trust import enroll, read_candidate
from tests.support.depot.imported import import_now
from tests.support.trust.edit import edit, verify
from tests.support.trust.release_kit import (
    ReleaseKit,
    enrolled,
    make_bundle,
    now,
    release_bundle,
    trusted_bundle,
)


def approvers(kit: ReleaseKit) -> list[Any]:
    return [key.signer for key in kit.approvers[:2]]


def restrict(bundle: Path, kit: ReleaseKit, field: str, value: object) -> None:
    """Set a field of targets.json, signed by the approvers."""
    edit(
        bundle,
        "targets.json",
        lambda m: m.signed.unrecognized_fields.update({field: value}),
        *approvers(kit),
    )


def at_site(depot: Path, kit: ReleaseKit, name: str) -> TrustState:
    candidate = read_candidate(kit.release, kit.fingerprint, now())
    return enroll(depot, candidate, now(), site=name)[0]


@pytest.fixture
def for_north(tmp_path: Path, kit: ReleaseKit) -> Path:
    """A release for north and south, as a build makes it."""
    bundle = make_bundle(tmp_path / "for north", b"for north")
    data = (bundle / "bundle.json").read_bytes()
    write_trust(
        Unreleased(bundle, data, ("south", "north")), kit.release, kit.builder.signer, now()
    )
    targets = json.loads((bundle / "trust/targets.json").read_bytes())
    assert targets["signed"][SITES_FIELD] == ["north", "south"]
    return bundle


def test_a_build_says_for_which_sites_it_is(for_north: Path, kit: ReleaseKit) -> None:
    data, key = (for_north / "bundle.json").read_bytes(), kit.builder.signer
    again = write_trust(Unreleased(for_north, data, ("north", "south")), kit.release, key, now())
    assert again == 1
    other = write_trust(Unreleased(for_north, data), kit.release, key, now())
    assert other == 2


@pytest.mark.parametrize("name", ["east", "", "north-2", "nort"])
def test_another_site_refuses_it(tmp_path: Path, bundle: Path, kit: ReleaseKit, name: str) -> None:
    restrict(bundle, kit, SITES_FIELD, ["north", "south"])
    with pytest.raises(WrongSiteError, match="north, south only"):
        verify(bundle, at_site(tmp_path / "depot", kit, name))


@pytest.mark.parametrize("name", ["north", "south"])
def test_the_site_itself_takes_it(tmp_path: Path, bundle: Path, kit: ReleaseKit, name: str) -> None:
    restrict(bundle, kit, SITES_FIELD, ["north", "south"])
    verified, _ = verify_trust(BundleDirectory(bundle), at_site(tmp_path / "depot", kit, name))
    assert verified.sites == ("north", "south")


def test_an_auditor_is_told_of_the_restriction(bundle: Path, kit: ReleaseKit) -> None:
    restrict(bundle, kit, SITES_FIELD, ["north"])
    directory = BundleDirectory(bundle)
    state = state_from_fingerprint(directory, kit.fingerprint, now())
    assert verify_trust(directory, state, at_site=False)[0].sites == ("north",)
    with pytest.raises(WrongSiteError, match="has no name"):
        verify_trust(directory, state)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (SITES_FIELD, []),
        (SITES_FIELD, "north"),
        (SITES_FIELD, ["North"]),
        (SITES_FIELD, [1]),
        (SITES_FIELD, {"north": True}),
        (REVOKED_FIELD, [{"release": 1}]),
        (REVOKED_FIELD, [{"release": 0, "digest": digest_of(b"x"), "reason": "r"}]),
        (REVOKED_FIELD, [{"release": 1, "digest": "x", "reason": "r"}]),
        (REVOKED_FIELD, [{"release": 1, "digest": digest_of(b"x"), "reason": "r", "more": 1}]),
    ],
)
def test_a_malformed_restriction_is_refused(
    bundle: Path, kit: ReleaseKit, state: TrustState, field: str, value: object
) -> None:
    restrict(bundle, kit, field, value)
    with pytest.raises(SignatureError, match="malformed"):
        verify(bundle, state)


def test_a_restriction_that_the_courier_removes_breaks_the_signatures(
    tmp_path: Path, bundle: Path, kit: ReleaseKit
) -> None:
    restrict(bundle, kit, SITES_FIELD, ["north"])
    edit(bundle, "targets.json", lambda m: m.signed.unrecognized_fields.clear())
    with pytest.raises(SignatureError, match=r"trust/targets\.json"):
        verify(bundle, at_site(tmp_path / "depot", kit, "east"))


def test_a_site_has_one_name(tmp_path: Path, kit: ReleaseKit) -> None:
    depot = tmp_path / "depot"
    assert enrolled(depot, kit).site == ""
    assert at_site(depot, kit, "north").site == "north"
    assert at_site(depot, kit, "").site == "north"
    with pytest.raises(UsageError, match="cannot become 'south'"):
        at_site(depot, kit, "south")
    assert load_states(depot / "trust")[0].site == "north"


def test_a_state_without_the_new_fields_still_loads(tmp_path: Path, state: TrustState) -> None:
    (path,) = (tmp_path / "depot/trust").glob("?" * 64 + ".json")
    assert not {"site", "revoked", "floor"} & json.loads(path.read_bytes())["state"].keys()
    assert load_states(tmp_path / "depot/trust") == (state,)


def product(kit: ReleaseKit, name: object) -> None:
    """Let the root key holders say for which product the root is."""
    path = kit.release / "1.root.json"
    metadata: Metadata[Root] = Metadata.from_bytes(path.read_bytes())
    metadata.signed.unrecognized_fields[PRODUCT_FIELD] = name
    metadata.signatures.clear()
    for key in kit.roots:
        metadata.sign(key.signer, append=True)
    path.write_bytes(metadata.to_bytes())


def test_a_build_of_another_product_is_refused(tmp_path: Path, kit: ReleaseKit) -> None:
    product(kit, "imaging")
    bundle = make_bundle(tmp_path / "bundle")
    with pytest.raises(WrongProductError, match="'imaging', but the bundle belongs to 'tiny'"):
        release_bundle(bundle, kit)
    assert not (bundle / "trust").exists()


def test_a_bundle_of_the_product_is_accepted(tmp_path: Path, kit: ReleaseKit) -> None:
    product(kit, "tiny")
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    root = digest_of((kit.release / "1.root.json").read_bytes())
    candidate = read_candidate(kit.release, root, now())
    assert candidate.description.product == "tiny"
    verify(bundle, enroll(tmp_path / "depot", candidate, now())[0])


def test_a_bundle_of_another_product_is_refused(tmp_path: Path, kit: ReleaseKit) -> None:
    """The build system was taken over: it gives another product's bundle trust metadata."""
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    product(kit, "imaging")
    data = (kit.release / "1.root.json").read_bytes()
    (bundle / "trust/1.root.json").write_bytes(data)
    state = enroll(tmp_path / "depot", read_candidate(kit.release, digest_of(data), now()), now())
    with pytest.raises(WrongProductError):
        verify(bundle, state[0])


@pytest.mark.parametrize("name", ["Imaging", "", 7, ["imaging"]])
def test_a_malformed_product_is_refused(tmp_path: Path, kit: ReleaseKit, name: object) -> None:
    product(kit, name)
    with pytest.raises(TrustError, match="malformed"):
        read_candidate(kit.release, None, now())


def revoke(bundle: Path, kit: ReleaseKit, revoked: Path, release: int = 1) -> None:
    """Let the approvers of one release take another one back."""
    digest = digest_of((revoked / "bundle.json").read_bytes())
    entry = {"release": release, "digest": digest, "reason": "it loses data"}
    restrict(bundle, kit, REVOKED_FIELD, [entry])


def resum(bundle: Path) -> None:
    directory = BundleDirectory(bundle)
    state = state_from_fingerprint(directory, digest_of(first_root(bundle)), now())
    write_sums(bundle, verify_trust(directory, state, at_site=False)[0].manifest)


def first_root(bundle: Path) -> bytes:
    return (bundle / "trust/1.root.json").read_bytes()


def test_a_release_that_lists_itself_is_refused(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    revoke(bundle, kit, bundle)
    with pytest.raises(RevokedReleaseError, match="it loses data"):
        verify(bundle, state)


def test_a_site_remembers_what_was_revoked(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    revoke(second, kit, bundle)
    seen = verify(second, state)
    assert [entry.release for entry in seen.revoked] == [1]
    # Not only older than seen, which it is as well.
    with pytest.raises(RevokedReleaseError):
        verify(bundle, seen)
    third = trusted_bundle(tmp_path / "3", kit, "3.0.0")
    assert verify(third, seen).revoked == seen.revoked


def test_revoked_lists_add_up() -> None:
    def entry(release: int, reason: str) -> RevokedRelease:
        return RevokedRelease(release=release, digest=digest_of(b"%d" % release), reason=reason)

    merged = merge_revoked([entry(2, "a")], [entry(1, "b"), entry(2, "c")])
    assert [(e.release, e.reason) for e in merged] == [(1, "b"), (2, "a")]


def test_what_runs_is_served_on_and_said(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """Lives hang on it: what was taken back is served, and every report says so."""
    depot = tmp_path / "depot"
    assert import_now(bundle, depot).notices == ()
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    revoke(second, kit, bundle)
    resum(second)
    (said,) = import_now(second, depot).notices
    assert "release 1 of tiny was REVOKED by its approvers: it loses data" in said
    assert notices(DepotDirectory(depot)) == (said,)
    assert len(DepotDirectory(depot).bundle_names()) == 2
    with pytest.raises(RevokedReleaseError):
        import_now(bundle, depot)


def test_a_later_build_keeps_the_list(tmp_path: Path, bundle: Path, kit: ReleaseKit) -> None:
    path = kit.release / "targets.json"
    metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    entry = {"release": 1, "digest": digest_of(b"x"), "reason": "r"}
    metadata.signed.unrecognized_fields[REVOKED_FIELD] = [entry]
    path.write_bytes(metadata.to_bytes())
    later = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    signed = json.loads((later / "trust/targets.json").read_bytes())["signed"]
    assert signed[REVOKED_FIELD] == [entry]
