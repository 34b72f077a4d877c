"""The second root: not signed by the first, against the policy, misnumbered; and revoked keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from bundle.trust.keys.stored import generate_key
from tests.support.trust.edit import reissue
from tests.support.trust.release_kit import now
from tests.vectors.hostile.base import Family, Stage

case = Family("root")
ROLES = (Root.type, Targets.type, Snapshot.type, Timestamp.type)


def next_root(
    stage: Stage, change: Callable[[Root], Any], *keys: Any, name: str = "2.root.json"
) -> None:
    """Write a second root, signed by `keys`; by both root keys if none are given."""
    metadata: Metadata[Root] = Metadata.from_bytes((stage.trust / "1.root.json").read_bytes())
    metadata.signed.version = 2
    change(metadata.signed)
    metadata.signatures.clear()
    for key in keys or stage.kit.roots:
        metadata.sign(key.signer, append=True)
    (stage.trust / name).write_bytes(metadata.to_bytes())


def _nothing(root: Root) -> None:
    """Change nothing."""


@case("signature", "2.root.json")
def signed_by_one_root_key(stage: Stage) -> None:
    next_root(stage, _nothing, stage.kit.roots[0])


@case("unknown-key", "2.root.json")
def signed_by_a_stranger_too(stage: Stage) -> None:
    next_root(stage, _nothing, *stage.kit.roots, stage.kit.stranger)


def _taken_over(stage: Stage) -> Callable[[Root], None]:
    """Make the stranger the holder of every role."""

    def change(root: Root) -> None:
        for role in ROLES:
            for key_id in list(root.roles[role].keyids):
                root.revoke_key(key_id, role)
            root.add_key(stage.kit.stranger.signer.public_key, role)

    return change


@case("trust", "2.root.json")
def taken_over_by_a_stranger(stage: Stage) -> None:
    next_root(stage, _taken_over(stage), stage.kit.stranger)


@case("signature", "2.root.json")
def new_root_keys_that_the_old_ones_did_not_sign(stage: Stage) -> None:
    fresh = [generate_key("Ned New"), generate_key("Nora New")]

    def change(root: Root) -> None:
        for key_id in list(root.roles[Root.type].keyids):
            root.revoke_key(key_id, Root.type)
        for key in fresh:
            root.add_key(key.public_key, Root.type)

    metadata: Metadata[Root] = Metadata.from_bytes((stage.trust / "1.root.json").read_bytes())
    metadata.signed.version = 2
    change(metadata.signed)
    metadata.signatures.clear()
    for key in fresh:
        metadata.sign(key, append=True)
    (stage.trust / "2.root.json").write_bytes(metadata.to_bytes())


@case("signature", "2.root.json")
def a_higher_threshold_that_is_not_met(stage: Stage) -> None:
    third = generate_key("Third Root")

    def change(root: Root) -> None:
        root.add_key(third.public_key, Root.type)
        root.roles[Root.type].threshold = 3

    next_root(stage, change)


@case("signature", "2.root.json")
def a_copy_of_the_first(stage: Stage) -> None:
    shutil.copy(stage.trust / "1.root.json", stage.trust / "2.root.json")


@case("signature", "expected version 2")
def with_a_version_left_out(stage: Stage) -> None:
    next_root(stage, lambda root: setattr(root, "version", 3))


@case("unexpected-file", "3.root.json")
def with_a_file_left_out(stage: Stage) -> None:
    next_root(stage, lambda root: setattr(root, "version", 3), name="3.root.json")


@case("unexpected-file", "02.root.json")
def with_a_zero_before_the_number(stage: Stage) -> None:
    next_root(stage, _nothing, name="02.root.json")


@case("unexpected-file", ".root.json")
def with_other_digits(stage: Stage) -> None:
    next_root(stage, _nothing, name="\uff12.root.json")


@case("expired", "2.root.json")
def expired(stage: Stage) -> None:
    next_root(stage, lambda root: setattr(root, "expires", now() - timedelta(days=1)))


def _threshold(role: str, number: int) -> Callable[[Root], None]:
    def change(root: Root) -> None:
        root.roles[role].threshold = number

    return change


case.add(
    "one-approval-is-enough",
    lambda s: next_root(s, _threshold("targets", 1)),
    "trust",
    "2.root.json",
)
case.add("out-of-reach", lambda s: next_root(s, _threshold("root", 9)), "trust", "2.root.json")
case.add(
    "consistent-snapshot",
    lambda s: next_root(s, lambda r: setattr(r, "consistent_snapshot", True)),
    "trust",
    "2.root.json",
)


@case("trust", "2.root.json")
def the_builder_may_approve(stage: Stage) -> None:
    key = stage.kit.builder.signer.public_key
    next_root(stage, lambda root: root.add_key(key, Targets.type))


@case("trust", "2.root.json")
def an_approver_builds(stage: Stage) -> None:
    key = stage.kit.approvers[0].signer.public_key
    next_root(stage, lambda root: root.add_key(key, Timestamp.type))


@case("trust", "2.root.json")
def one_person_with_two_keys(stage: Stage) -> None:
    again = generate_key("ADA  example").public_key
    next_root(stage, lambda root: root.add_key(again, Targets.type))


@case("trust", "2.root.json")
def one_key_under_two_ids(stage: Stage) -> None:
    def change(root: Root) -> None:
        key = root.keys[stage.kit.approvers[0].signer.public_key.keyid]
        body = {**key.to_dict(), "x-isoward-name": "Ada Again"}
        root.add_key(type(key).from_dict("ab" * 32, body), Targets.type)

    next_root(stage, change)


@case("trust", "2.root.json")
def a_key_without_a_role(stage: Stage) -> None:
    key = stage.kit.stranger.signer.public_key
    next_root(stage, lambda root: root.keys.update({key.keyid: key}))


@case("trust", "2.root.json")
def a_holder_with_a_control_character(stage: Stage) -> None:
    key = generate_key("Eve Escape").public_key
    key.unrecognized_fields["x-isoward-name"] = "Eve\x1b[2J"
    next_root(stage, lambda root: root.add_key(key, Targets.type))


@case("trust", "2.root.json")
def a_holder_without_a_name(stage: Stage) -> None:
    key = generate_key("Noname Holder").public_key
    key.unrecognized_fields.clear()
    next_root(stage, lambda root: root.add_key(key, Targets.type))


@case("wrong-product", "another-product")
def for_another_product(stage: Stage) -> None:
    next_root(
        stage, lambda r: r.unrecognized_fields.update({"x-isoward-product": "another-product"})
    )


@case("trust", "2.root.json")
def for_a_product_that_is_a_path(stage: Stage) -> None:
    next_root(stage, lambda r: r.unrecognized_fields.update({"x-isoward-product": "../x"}))


def _without(role: str, key_id: str) -> Callable[[Root], None]:
    return lambda root: root.revoke_key(key_id, role)


@case("revoked-key", "targets.json")
def a_revoked_approver(stage: Stage) -> None:
    gone = stage.kit.approvers[0].signer.public_key.keyid
    next_root(stage, _without(Targets.type, gone))


@case("revoked-key", "snapshot.json")
def a_revoked_builder(stage: Stage) -> None:
    old, new = stage.kit.builder, generate_key("New Builder")

    def change(root: Root) -> None:
        for role in (Snapshot.type, Timestamp.type):
            root.revoke_key(old.signer.public_key.keyid, role)
            root.add_key(new.public_key, role)

    next_root(stage, change)
    reissue(stage.bundle, stage.kit, lambda s: None)


@case("revoked-key", "3.root.json")
def a_revoked_root_key(stage: Stage) -> None:
    old, fresh = stage.kit.roots, generate_key("Fresh Root")

    def change(root: Root) -> None:
        root.revoke_key(old[1].signer.public_key.keyid, Root.type)
        root.add_key(fresh.public_key, Root.type)

    metadata: Metadata[Root] = Metadata.from_bytes((stage.trust / "1.root.json").read_bytes())
    for version, by in (
        (2, (*(k.signer for k in old), fresh)),
        (3, (*(k.signer for k in old), fresh)),
    ):
        metadata.signed.version = version
        if version == 2:
            change(metadata.signed)
        metadata.signatures.clear()
        for signer in by:
            metadata.sign(signer, append=True)
        (stage.trust / f"{version}.root.json").write_bytes(metadata.to_bytes())


def _json(change: Callable[[dict[str, Any]], Any]) -> Callable[[Stage], None]:
    """Change the second root as JSON, which leaves its signatures wrong: it must not get so far."""

    def make(stage: Stage) -> None:
        next_root(stage, _nothing)
        path = stage.trust / "2.root.json"
        body = json.loads(path.read_bytes())
        change(body["signed"])
        path.write_text(json.dumps(body, separators=(",", ":"), sort_keys=True))

    return make


for _label, _change in {
    "without-the-role-targets": lambda s: s["roles"].pop("targets"),
    "with-another-role": lambda s: s["roles"].update(mirrors=s["roles"]["root"]),
    "with-a-threshold-of-zero": lambda s: s["roles"]["targets"].update(threshold=0),
    "with-a-negative-threshold": lambda s: s["roles"]["targets"].update(threshold=-1),
    "with-a-threshold-as-text": lambda s: s["roles"]["targets"].update(threshold="2"),
    "with-a-threshold-of-a-half": lambda s: s["roles"]["targets"].update(threshold=0.5),
    "with-an-unknown-key-type": lambda s: next(iter(s["keys"].values())).update(keytype="rot13"),
    "with-a-key-id-as-a-path": lambda s: s["keys"].update({"../x": next(iter(s["keys"].values()))}),
    "with-a-role-key-that-is-missing": lambda s: s["roles"]["root"]["keyids"].append("ab" * 32),
    "with-one-key-id-twice": lambda s: s["roles"]["root"]["keyids"].append(
        s["roles"]["root"]["keyids"][0]
    ),
}.items():
    # Either its form or its policy is wrong, or at least its signatures are by now.
    _by_policy = _label in {"with-a-key-id-as-a-path", "with-a-role-key-that-is-missing"}
    case.add(_label, _json(_change), "trust" if _by_policy else "signature", "2.root.json")
