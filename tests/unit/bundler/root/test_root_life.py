"""The life of a root: every change, by chain, and what a site makes of it."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root

from bundle.base.errors import (
    RevokedKeyError,
    SignatureError,
    ThresholdError,
    TrustError,
    UnknownKeyError,
    UsageError,
)
from bundle.trust.keys.schemes import KEY_TYPES
from bundle.trust.metadata.root import parse_root
from bundle.trust.site.state import TrustState
from bundler.root.changes import Change, add, retire, rotate, set_thresholds
from bundler.root.draft import amend, discard, newest_root, read_pending, sign_pending
from bundler.root.explain import explain
from tests.support.trust.edit import verify
from tests.support.trust.release_kit import (
    KeyFile,
    ReleaseKit,
    approve_by,
    make_bundle,
    make_key,
    now,
    release_bundle,
    trusted_bundle,
)
from tests.support.trust.root_life import advance, draft, later, roots_of, sign_all


def public(key: KeyFile) -> Key:
    return key.signer.public_key


def newest(release: Path) -> Root:
    found = newest_root(release)[1]
    assert found is not None
    return found.signed


@pytest.fixture
def dora(tmp_path: Path) -> KeyFile:
    return make_key(tmp_path / "more", "Dora Example")


def test_a_draft_counts_for_nothing_until_both_thresholds_are_met(
    kit: ReleaseKit, dora: KeyFile
) -> None:
    pending = draft(kit.release, add([], [public(dora)]))
    assert (pending.version, pending.missing, pending.complete) == (2, (2, 2), False)
    assert roots_of(kit.release) == ["1.root.json", "draft/2.root.json"]
    assert len(newest(kit.release).roles["targets"].keyids) == 3
    first = sign_all(kit.release, kit.roots[:1])
    assert (first.missing, first.complete) == ((1, 1), False)
    assert newest(kit.release).version == 1
    assert sign_all(kit.release, kit.roots[1:]).complete
    assert roots_of(kit.release) == ["1.root.json", "2.root.json"]
    assert public(dora).keyid in newest(kit.release).roles["targets"].keyids


def test_a_release_made_before_a_draft_is_complete_does_not_carry_it(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    draft(kit.release)
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    assert sorted(path.name for path in (bundle / "trust").glob("*root*")) == ["1.root.json"]
    verify(bundle, state)


def test_a_site_follows_from_the_first_root_to_the_fifth(
    tmp_path: Path, kit: ReleaseKit, state: TrustState, dora: KeyFile
) -> None:
    eve = make_key(tmp_path / "more", "Eve Example")
    builder = make_key(tmp_path / "new", "Build System")
    advance(kit, add([], [public(dora)]))
    advance(kit, set_thresholds(None, 3), later())
    advance(kit, retire("Ada Example"), add([public(eve)], []))
    advance(kit, rotate("Build System", public(builder)))
    kit = dataclasses.replace(kit, builder=builder)
    bundle = make_bundle(tmp_path / "bundle")
    release_bundle(bundle, kit)
    approve_by(bundle, [kit.approvers[1], kit.approvers[2]])
    with pytest.raises(ThresholdError, match="2 of 3 approvals"):
        verify(bundle, state)
    approve_by(bundle, [dora])
    after = verify(bundle, state)
    assert (len(after.roots), after.accepted[0].root_version) == (5, 5)
    roots = [parse_root(text.encode(), "root").signed.version for text in after.roots]
    assert roots == [1, 2, 3, 4, 5]


def test_a_retired_approver_no_longer_counts(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    before = (bundle / "trust/targets.json").read_bytes()
    advance(kit, retire("Ada Example"))
    release_bundle(bundle, kit)
    assert (
        kit.approvers[0].signer.public_key.keyid
        not in (bundle / "trust/targets.json").read_text().split('"signed"')[0]
    )
    with pytest.raises(UnknownKeyError):
        approve_by(bundle, kit.approvers[:1])
    (bundle / "trust/targets.json").write_bytes(before)
    with pytest.raises(RevokedKeyError, match="Ada Example"):
        verify(bundle, state)


def test_a_retired_root_key_no_longer_signs(tmp_path: Path, kit: ReleaseKit, dora: KeyFile) -> None:
    advance(kit, add([public(dora)], []))
    draft(kit.release, retire("Rhea Root"))
    assert sign_all(kit.release, [*kit.roots, dora]).complete
    draft(kit.release)
    with pytest.raises(UnknownKeyError, match="Rolf Root, Dora Example"):
        sign_pending(kit.release, kit.roots[0].signer)
    assert sign_all(kit.release, [kit.roots[1], dora]).complete


def test_a_holder_of_both_roles_can_be_retired_from_one(kit: ReleaseKit, dora: KeyFile) -> None:
    advance(kit, add([public(dora)], [public(dora)]))
    pending = draft(kit.release, retire("dora  EXAMPLE", ("root",)))
    roles = pending.draft.signed.roles
    assert public(dora).keyid not in roles["root"].keyids
    assert public(dora).keyid in roles["targets"].keyids
    assert public(dora).keyid in pending.draft.signed.keys


@pytest.mark.parametrize("type_", KEY_TYPES)
def test_a_key_is_replaced_by_one_of_any_type(
    tmp_path: Path, kit: ReleaseKit, state: TrustState, type_: str
) -> None:
    new = {
        name: make_key(tmp_path / "new", name, type_)  # type: ignore[arg-type]
        for name in ("Rhea Root", "Ada Example", "Build System")
    }
    draft(kit.release, *(rotate(name, public(key)) for name, key in new.items()))
    assert sign_all(kit.release, kit.roots).missing == (0, 1)
    assert sign_all(kit.release, [new["Rhea Root"]]).complete
    kit = dataclasses.replace(
        kit,
        builder=new["Build System"],
        roots=(new["Rhea Root"], kit.roots[1]),
        approvers=(new["Ada Example"], *kit.approvers[1:]),
    )
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    assert len(verify(bundle, state).roots) == 2
    advance(kit)


def test_all_root_keys_may_change_at_once_if_the_old_threshold_signs(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    new = [make_key(tmp_path / "new", name) for name in ("Rhea Root", "Rolf Root")]
    draft(kit.release, *(rotate(key.name, public(key)) for key in new))
    assert sign_all(kit.release, new).missing == (2, 0)
    assert newest(kit.release).version == 1
    assert sign_all(kit.release, kit.roots).complete
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    assert len(verify(bundle, state).roots) == 2


def test_a_rotation_that_the_old_root_did_not_sign_is_refused(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """Somebody puts a root of their own into the release folder, signed by its own keys."""
    mallory = [make_key(tmp_path / "new", name) for name in ("Rhea Root", "Rolf Root")]
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    pending = draft(kit.release, *(rotate(key.name, public(key)) for key in mallory))
    metadata: Metadata[Root] = Metadata.from_bytes(pending.data)
    for key in mallory:
        metadata.sign(key.signer, append=True)
    for folder in (kit.release, bundle / "trust"):
        (folder / "2.root.json").write_bytes(metadata.to_bytes())
    with pytest.raises(SignatureError, match="2 signature"):
        verify(bundle, state)
    with pytest.raises(SignatureError, match=r"2\.root\.json"):
        trusted_bundle(tmp_path / "next", kit)


def test_one_old_root_key_of_two_is_not_enough(
    tmp_path: Path, kit: ReleaseKit, dora: KeyFile
) -> None:
    draft(kit.release, rotate("Rhea Root", public(dora)))
    pending = sign_all(kit.release, [kit.roots[1], dora])
    assert pending.missing == (1, 0)
    assert roots_of(kit.release) == ["1.root.json", "draft/2.root.json"]


def test_an_expired_root_is_refreshed_by_its_holders(tmp_path: Path) -> None:
    from tests.support.trust.release_kit import make_release

    kit = make_release(tmp_path / "vendor", now() - timedelta(days=800))
    with pytest.raises(UsageError, match="have expired on"):
        amend(kit.release, [set_thresholds(None, 3)], now())
    advance(kit, later())
    assert newest(kit.release).expires > now() + timedelta(days=800)


def test_changes_add_up_in_one_draft_and_drop_its_signatures(
    kit: ReleaseKit, dora: KeyFile
) -> None:
    draft(kit.release, add([], [public(dora)]))
    sign_pending(kit.release, kit.roots[0].signer)
    pending, dropped = amend(kit.release, [set_thresholds(None, 3)], now())
    assert (dropped, len(pending.draft.signatures)) == (1, 0)
    told = explain(pending)
    key = f"key ed25519 {public(dora).keyid[:16]}"
    joins, needed = told.changes
    assert joins == f"Dora Example is an approver, and decides with others what is released: {key}"
    assert needed == "approvals needed for a release: 2 -> 3"


def test_a_draft_can_be_dropped(kit: ReleaseKit) -> None:
    draft(kit.release)
    discard(kit.release)
    assert roots_of(kit.release) == ["1.root.json"]
    assert read_pending(kit.release) is None
    with pytest.raises(UsageError, match="no draft"):
        discard(kit.release)


def test_a_damaged_draft_is_an_error_and_can_be_dropped(kit: ReleaseKit) -> None:
    draft(kit.release)
    path = kit.release / "draft/2.root.json"
    for damage in (b"", b"{}", path.read_bytes()[:-9], path.read_bytes().replace(b":2", b":3")):
        path.write_bytes(damage)
        with pytest.raises((TrustError, UsageError)):
            read_pending(kit.release)
    discard(kit.release)


def _unsafe(kit: ReleaseKit, extra: KeyFile) -> dict[str, tuple[list[Change], str]]:
    ada, bob = (key.name for key in kit.approvers[:2])
    return {
        "the last approvers leave": ([retire(ada), retire(bob)], "requires 2 signatures"),
        "a root key holder too few": ([retire("Rhea Root")], "requires 2 signatures"),
        "one approval": ([set_thresholds(None, 1)], "at least 2"),
        "not a root key": ([set_thresholds(0, None)], "at least 1"),
        "too many approvals": ([set_thresholds(None, 4)], "requires 4 signatures"),
        "too many root keys": ([set_thresholds(3, None)], "requires 3 signatures"),
        "no threshold": ([set_thresholds(None, None)], "no threshold"),
        "nobody is added": ([add([], [])], "no key was given"),
        "the builder approves": ([add([], [public(kit.builder)])], "build system"),
        "an approver becomes the builder": (
            [rotate("Build System", public(kit.approvers[0]))],
            "build system",
        ),
        "the builder is retired": ([retire("Build System")], "nothing can be released"),
        "nobody of that name": ([retire("Zoe")], "holders are Ada Example"),
        "nobody of that name in that role": ([retire(ada, ("root",))], "holders are Rhea Root"),
        "nobody to rotate": ([rotate("Zoe", public(extra))], "Zoe does not hold such a key"),
        "an approver twice": ([add([], [public(kit.approvers[0])])], "already has that role"),
        "the same key again": ([rotate(ada, public(kit.approvers[0]))], "already has that role"),
        "another's key": ([rotate(ada, public(kit.approvers[1]))], "already has that role"),
        "one person with two keys": ([rotate(ada, public(extra)), add([], [public(extra)])],
                                     "already has that role"),
    }  # fmt: skip


@pytest.mark.parametrize("case", range(18))
def test_an_unsafe_change_is_refused_and_leaves_nothing(
    kit: ReleaseKit, dora: KeyFile, case: int
) -> None:
    changes, says = list(_unsafe(kit, dora).values())[case]
    with pytest.raises(UsageError, match=says):
        draft(kit.release, *changes)
    assert roots_of(kit.release) == ["1.root.json"]


def test_a_person_has_one_key_in_a_role(tmp_path: Path, kit: ReleaseKit) -> None:
    second = make_key(tmp_path / "second", "Ada  example")
    with pytest.raises(UsageError, match="one holder is listed twice"):
        draft(kit.release, add([], [public(second)]))


def test_a_key_that_was_taken_away_does_not_come_back(kit: ReleaseKit, dora: KeyFile) -> None:
    advance(kit, add([], [public(dora)]))
    advance(kit, retire("Dora Example"))
    with pytest.raises(UsageError, match="cannot be used again"):
        draft(kit.release, add([], [public(dora)]))
    with pytest.raises(UsageError, match="cannot be used again"):
        draft(kit.release, rotate("Ada Example", public(dora)))


def test_a_key_has_one_holder(kit: ReleaseKit) -> None:
    fields = json.loads(kit.approvers[0].public.read_text())
    fields["x-isoward-name"] = "Eve Example"
    key = Key.from_dict(fields.pop("keyid"), fields)
    with pytest.raises(UsageError, match="held by Ada Example"):
        draft(kit.release, add([key], []))


def test_nothing_is_drafted_before_the_first_root_is_complete(
    tmp_path: Path, kit: ReleaseKit
) -> None:
    from bundler.root.ceremony import RootPlan, create_root

    plan = RootPlan(
        tuple(public(k) for k in kit.roots), 2, tuple(public(k) for k in kit.approvers), 2,
        public(kit.builder), now() + timedelta(days=9),
    )  # fmt: skip
    create_root(tmp_path / "fresh", plan, [kit.roots[0].signer], now())
    with pytest.raises(UsageError, match="not complete"):
        draft(tmp_path / "fresh")


def test_a_complete_root_takes_no_more_signatures(kit: ReleaseKit, dora: KeyFile) -> None:
    advance(kit, add([public(dora)], []))
    before = (kit.release / "2.root.json").read_bytes()
    assert sign_pending(kit.release, kit.roots[0].signer)[1] is False
    with pytest.raises(UsageError, match="all required signatures"):
        sign_pending(kit.release, dora.signer)
    with pytest.raises(UnknownKeyError):
        sign_pending(kit.release, kit.stranger.signer)
    assert (kit.release / "2.root.json").read_bytes() == before
