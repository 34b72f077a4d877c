"""Waivers and rules: the site's own exceptions, and what upstream must have signed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from bundle.base.canonical import canonical_json
from tests.support.sites.people import make_site, waiver_for
from tests.support.trust.release_kit import now
from tests.vectors.hostile.base import Family, Stage

case = Family("exception")
_WAIVED: dict[str, Any] = {"commands": ("import",), "options": ("--waiver", "w.json")}


def _waiver(stage: Stage, **more: Any) -> None:
    """Let the expired release be the one that is imported, with a waiver beside it."""
    shutil.rmtree(stage.bundle)
    stage.expired.rename(stage.bundle)
    waiver_for(stage.bundle, stage.site, stage.folder / "w.json", **more)


def _edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        _waiver(stage)
        path = stage.folder / "w.json"
        body = json.loads(path.read_bytes())
        change(body)
        path.write_bytes(canonical_json(body))

    return make


@case("expired", "timestamp.json")
def an_expired_release_without_a_waiver(stage: Stage) -> None:
    shutil.rmtree(stage.bundle)
    stage.expired.rename(stage.bundle)


@case("waiver", "signed by 1 of 2 required people", **_WAIVED)
def a_waiver_by_one_person(stage: Stage) -> None:
    _waiver(stage, signers=1)


@case("waiver", "signed by 0 of 2 required people", **_WAIVED)
def a_waiver_by_nobody(stage: Stage) -> None:
    _waiver(stage, signers=0)


@case("waiver", "expired", **_WAIVED)
def a_waiver_that_has_ended(stage: Stage) -> None:
    _waiver(stage, days=7, at=now() - timedelta(days=8))


@case("waiver", "later than", **_WAIVED)
def a_waiver_of_tomorrow(stage: Stage) -> None:
    _waiver(stage, at=now() + timedelta(days=1))


@case("waiver", "for the site 'south'", **_WAIVED)
def a_waiver_of_another_site(stage: Stage) -> None:
    _waiver(stage, authority=replace(stage.site.authority, site="south"))


@case("waiver", "may not sign this", **_WAIVED)
def a_waiver_by_the_people_of_another_site(stage: Stage) -> None:
    _waiver(stage)
    south = make_site(stage.folder / "elsewhere", stage.vendor)
    waiver_for(stage.bundle, south, stage.folder / "w.json")


@case("waiver", "is for", **_WAIVED)
def a_waiver_of_another_release(stage: Stage) -> None:
    _waiver(stage)
    data = (stage.folder / "w.json").read_bytes()
    shutil.rmtree(stage.bundle)
    stage.older.rename(stage.bundle)
    stage.edit("timestamp.json", _expire, stage.kit.builder)
    (stage.folder / "w.json").write_bytes(data)


def _expire(metadata: Any) -> None:
    metadata.signed.expires = now() - timedelta(minutes=1)


@case("waiver", "is not valid", **_WAIVED)
def a_waiver_with_one_signature_under_two_ids(stage: Stage) -> None:
    _waiver(stage, signers=1)
    path = stage.folder / "w.json"
    body = json.loads(path.read_bytes())
    other = stage.site.keys[1].signer.public_key.keyid
    body["signatures"].append({**body["signatures"][0], "keyid": other})
    body["signatures"].sort(key=lambda s: str(s["keyid"]))
    path.write_bytes(canonical_json(body))


@case("waiver", "may not sign", **_WAIVED)
def a_waiver_by_the_vendor(stage: Stage) -> None:
    _waiver(stage, signers=1)
    path = stage.folder / "w.json"
    body = json.loads(path.read_bytes())
    body["signatures"].append(
        {**body["signatures"][0], "keyid": stage.kit.approvers[0].signer.public_key.keyid}
    )
    path.write_bytes(canonical_json(body))


for _label, _change in {
    "no-payload": lambda b: b.update(payload=""),
    "another-payload-type": lambda b: b.update(payloadType="text/plain"),
    "a-field-more": lambda b: b.update(note="x"),
    "a-payload-with-a-line-end": lambda b: b.update(payload=b["payload"] + "\n"),
    "a-thousand-signatures": lambda b: b.update(signatures=b["signatures"] * 500),
}.items():
    case.add(f"a-waiver-with-{_label}", _edited(_change), "waiver", "w.json", **_WAIVED)


def _raw(data: bytes) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        _waiver(stage)
        (stage.folder / "w.json").write_bytes(data)

    return make


for _label, _data in {
    "empty": b"",
    "nested-deep": b"[" * 100_000,
    "no-text": b"\xff" * 100,
    "a-list": b"[]",
}.items():
    case.add(f"a-waiver-{_label}", _raw(_data), "waiver", "w.json", **_WAIVED)


@case("missing-blob", "w.json", **_WAIVED)
def a_waiver_that_is_not_there(stage: Stage) -> None:
    _waiver(stage)
    (stage.folder / "w.json").unlink()


@case("unsafe-path", "w.json", **_WAIVED)
def a_waiver_that_is_a_link(stage: Stage) -> None:
    _waiver(stage)
    path = stage.folder / "w.json"
    path.rename(stage.folder / "outside")
    path.symlink_to("outside")


@case("damaged-authority", "damaged", **_WAIVED)
def a_waiver_at_a_site_whose_keys_were_changed(stage: Stage) -> None:
    _waiver(stage)
    path = stage.depot / "trust" / "authority.json"
    path.write_bytes(path.read_bytes().replace(b'"threshold":2', b'"threshold":3'))


@case("damaged-authority", "is missing", **_WAIVED)
def a_waiver_at_a_site_whose_keys_are_gone(stage: Stage) -> None:
    _waiver(stage)
    (stage.depot / "trust" / "authority.json").unlink()


@case("missing-blob", "blobs/sha256/", **_WAIVED)
def a_waiver_waives_nothing_else(stage: Stage) -> None:
    _waiver(stage)
    shutil.rmtree(stage.bundle / "blobs")


def _rules(change: Callable[[dict[str, Any]], Any]) -> Callable[[Stage], None]:
    return lambda stage: stage.manifest(change)


def _rule(**fields: Any) -> Callable[[Stage], None]:
    return _rules(lambda b: b["signatures"][0].update(fields))


_NO_KEY = {"key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}
case.add("no-rules", _rules(lambda b: b.pop("signatures")), "unsigned", "busybox")
case.add("rules-for-other-images", _rule(images=["other.example/**"]), "unsigned", "busybox")
case.add(
    "rules-that-have-ended",
    _rules(lambda b: b["signatures"][0]["unsigned"].update(expires="2020-01-01")),
    "policy",
    "2020",
)
case.add(
    "a-day-that-is-none",
    _rules(lambda b: b["signatures"][0]["unsigned"].update(expires="2099-13-45")),
    "format",
    "is not a date",
)
case.add("two-methods-in-a-rule", _rule(cosign=_NO_KEY), "format", "signatures[0]")
case.add(
    "no-method-in-a-rule",
    _rules(lambda b: b["signatures"][0].pop("unsigned")),
    "format",
    "signatures[0]",
)
case.add("a-pattern-with-a-space", _rule(images=["a b"]), "format", "bundle.json")
case.add(
    "a-claim-that-is-false",
    _rules(lambda b: b["images"][0]["verified"][0].update(signer="Somebody Else")),
    "policy",
    "says it was verified by",
)
case.add(
    "no-claim",
    _rules(lambda b: b["images"][0].pop("verified")),
    "policy",
    "says it was verified by",
)


@case("lifetime", "timestamp.json")
def a_timestamp_that_a_stolen_key_signed_for_a_hundred_years(stage: Stage) -> None:
    def for_ever(metadata: Any) -> None:
        metadata.signed.expires = metadata.signed.expires + timedelta(days=36_500)

    stage.edit("timestamp.json", for_ever, stage.kit.builder)
