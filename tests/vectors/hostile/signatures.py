"""Signatures: missing, too few, twice, by the wrong key, of something else, in another spelling."""

from __future__ import annotations

import json
from typing import Any

from bundle.base.canonical import canonical_json
from tests.vectors.hostile.base import Family, Stage

case = Family("signature")
_ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def _signatures(stage: Stage, name: str, change: Any) -> None:
    """Change the list of signatures of a metadata file, as JSON."""
    body = json.loads((stage.trust / name).read_bytes())
    body["signatures"] = change(body["signatures"])
    (stage.trust / name).write_bytes(canonical_json(body))


for _name, _error in (
    ("1.root.json", "not-enrolled"),
    ("targets.json", "threshold"),
    # Its digest stands in timestamp.json, which is looked at first.
    ("snapshot.json", "mixed-metadata"),
    ("timestamp.json", "threshold"),
):

    def _unsigned(stage: Stage, name: str = _name) -> None:
        _signatures(stage, name, lambda s: [])

    case.add(f"none-under-{_name.removesuffix('.json')}", _unsigned, _error, _name)


@case("threshold", "1 of 2")
def one_approval_alone(stage: Stage) -> None:
    _signatures(stage, "targets.json", lambda s: s[:1])


@case("not-enrolled", "1.root.json")
def one_root_key_alone(stage: Stage) -> None:
    _signatures(stage, "1.root.json", lambda s: s[:1])


@case("signature", "targets.json")
def one_approval_twice(stage: Stage) -> None:
    _signatures(stage, "targets.json", lambda s: [s[0], s[0]])


@case("signature", "targets.json")
def one_approval_under_another_approvers_id(stage: Stage) -> None:
    other = stage.kit.approvers[2].signer.public_key.keyid
    _signatures(stage, "targets.json", lambda s: [s[0], {**s[0], "keyid": other}])


@case("unknown-key", "targets.json")
def one_approval_under_an_unknown_id(stage: Stage) -> None:
    _signatures(stage, "targets.json", lambda s: [s[0], {**s[0], "keyid": "ab" * 32}])


@case("unknown-key", "targets.json")
def the_builder_as_second_approver(stage: Stage) -> None:
    stage.edit("targets.json", lambda m: None, stage.kit.approvers[0], stage.kit.builder)


@case("unknown-key", "targets.json")
def a_root_key_as_second_approver(stage: Stage) -> None:
    stage.edit("targets.json", lambda m: None, stage.kit.approvers[0], stage.kit.roots[0])


@case("unknown-key", "targets.json")
def a_stranger_besides_two_approvers(stage: Stage) -> None:
    stage.edit("targets.json", lambda m: None, *stage.kit.approvers[:2], stage.kit.stranger)


@case("unknown-key", "targets.json")
def strangers_only(stage: Stage) -> None:
    stage.edit("targets.json", lambda m: None, stage.kit.stranger)


@case("unknown-key", "timestamp.json")
def an_approver_as_builder(stage: Stage) -> None:
    stage.edit("timestamp.json", lambda m: None, stage.kit.approvers[0])


@case("unknown-key", "snapshot.json")
def a_root_key_as_builder(stage: Stage) -> None:
    stage.edit("snapshot.json", lambda m: None, stage.kit.roots[0])


@case("not-enrolled", "1.root.json")
def an_approver_under_the_root(stage: Stage) -> None:
    stage.edit("1.root.json", lambda m: None, *stage.kit.roots, stage.kit.approvers[0])


@case("signature", "timestamp.json")
def snapshots_signature_under_timestamp(stage: Stage) -> None:
    body = json.loads((stage.trust / "snapshot.json").read_bytes())
    _signatures(stage, "timestamp.json", lambda s: body["signatures"])


@case("signature", "targets.json")
def signatures_of_another_release(stage: Stage) -> None:
    body = json.loads((stage.older / "trust/targets.json").read_bytes())
    _signatures(stage, "targets.json", lambda s: body["signatures"])


def _each(change: Any) -> Any:
    return lambda stage: _signatures(
        stage, "targets.json", lambda s: [{**one, "sig": change(one["sig"])} for one in s]
    )


def _malleable(text: str) -> str:
    """Add the group's order to s: the same signature to a verifier that does not look."""
    data = bytes.fromhex(text)
    s = int.from_bytes(data[32:], "little") + _ED25519_ORDER
    return (data[:32] + s.to_bytes(32, "little")).hex()


for _name, _change in {
    "flipped": lambda sig: f"{int(sig[0], 16) ^ 1:x}{sig[1:]}",
    "truncated": lambda sig: sig[:-2],
    "longer": lambda sig: f"{sig}00",
    "empty": lambda sig: "",
    "zero": lambda sig: "0" * len(sig),
    "upper-case": str.upper,
    "spaced": lambda sig: f"{sig[:10]} {sig[10:]}",
    "no-hexadecimal": lambda sig: f"zz{sig[2:]}",
    "odd": lambda sig: sig[1:],
    "huge": lambda sig: sig * 1000,
    "malleable": _malleable,
    "a-number": lambda sig: 1,
    "null": lambda sig: None,
    "a-list": lambda sig: [sig],
}.items():
    case.add(f"value-{_name}", _each(_change), "signature", "targets.json")


@case("signature", "targets.json")
def an_unsigned_field_in_a_signature(stage: Stage) -> None:
    _signatures(stage, "targets.json", lambda s: [{**one, "note": "x"} for one in s])


@case("signature", "targets.json")
def signatures_as_an_object(stage: Stage) -> None:
    _signatures(stage, "targets.json", lambda s: {one["keyid"]: one["sig"] for one in s})


@case("unknown-key", "targets.json")
def thousands_of_short_signatures(stage: Stage) -> None:
    _signatures(
        stage,
        "targets.json",
        lambda s: [*s, *({"keyid": f"{i:064x}", "sig": "00"} for i in range(4000))],
    )


@case("unknown-key", "targets.json")
def thousands_of_well_formed_signatures(stage: Stage) -> None:
    _signatures(
        stage,
        "targets.json",
        lambda s: [*s, *({"keyid": f"{i:064x}", "sig": "00" * 64} for i in range(2000))],
    )
