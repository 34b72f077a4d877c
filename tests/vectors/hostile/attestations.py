"""Attestations: taken away, changed, of another release, by another key, too many."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle.base.canonical import canonical_json
from bundle.trust.attestations.envelope import sign_statement
from tests.vectors.hostile.base import Family, Stage

case = Family("attestation")
_FOLDER = "attestations"


def _of(stage: Stage, which: str) -> str:
    """Return the file name of an attestation of the first approver, or of the builder."""
    ada = stage.kit.approvers[0].signer.public_key.keyid[:16]
    builder = stage.kit.builder.signer.public_key.keyid[:16]
    return {
        "provenance": "provenance.dsse.json",
        "changes": "changes.dsse.json",
        "approval": f"approval-{ada}.dsse.json",
        "signature": f"bundle.json.{ada}.sig",
        "builder-signature": f"bundle.json.{builder}.sig",
        "key": f"keys/{ada}.pem",
        "builder-key": f"keys/{builder}.pem",
    }[which]


_ALL = ("provenance", "changes", "approval", "signature", "builder-signature", "key", "builder-key")


def _path(stage: Stage, which: str) -> Path:
    return stage.bundle / _FOLDER / _of(stage, which)


def _on(which: str, change: Callable[[bytes], bytes]) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        path = _path(stage, which)
        path.write_bytes(change(path.read_bytes()))

    return make


def _from_older(which: str) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        shutil.copy(stage.older / _FOLDER / _of(stage, which), _path(stage, which))

    return make


def _gone(which: str) -> Callable[[Stage], None]:
    return lambda stage: _path(stage, which).unlink()


def _flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


for _which in _ALL:
    case.add(f"{_which}-taken-away", _gone(_which), "attestation", "attestations/")
    case.add(f"{_which}-with-a-flipped-bit", _on(_which, _flip), "attestation", "attestations/")
    case.add(f"{_which}-empty", _on(_which, lambda d: b""), "attestation", "attestations/")
    case.add(
        f"{_which}-with-a-line-more",
        _on(_which, lambda d: d + b"\n"),
        "attestation",
        "attestations/",
    )
for _which in ("provenance", "changes", "approval", "signature", "builder-signature"):
    case.add(f"{_which}-of-another-release", _from_older(_which), "attestation", "attestations/")
for _which in ("provenance", "changes", "approval"):
    case.add(
        f"{_which}-nested-deep",
        _on(_which, lambda d: b"[" * 60_000),
        "attestation",
        "attestations/",
    )
    case.add(
        f"{_which}-as-yaml",
        _on(_which, lambda d: b"payload: !!binary x\n"),
        "attestation",
        "attest",
    )


@case("attestation", "provenance")
def the_whole_folder_taken_away(stage: Stage) -> None:
    shutil.rmtree(stage.bundle / _FOLDER)


@case("attestation", "attestations/")
def an_approver_s_files_taken_away_together(stage: Stage) -> None:
    for which in ("approval", "signature", "key"):
        _gone(which)(stage)


@case("attestation", "attestations/")
def two_statements_exchanged(stage: Stage) -> None:
    one, two = _path(stage, "provenance"), _path(stage, "changes")
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)


@case("attestation", "attestations/")
def two_approvals_exchanged(stage: Stage) -> None:
    names = [
        stage.bundle / _FOLDER / f"approval-{key.signer.public_key.keyid[:16]}.dsse.json"
        for key in stage.kit.approvers[:2]
    ]
    data = names[0].read_bytes()
    names[0].write_bytes(names[1].read_bytes())
    names[1].write_bytes(data)


def _envelope(which: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Stage], None]:
    def edit(data: bytes) -> bytes:
        body = json.loads(data)
        change(body)
        return canonical_json(body)

    return _on(which, edit)


for _label, _change in {
    "no-signature": lambda e: e.update(signatures=[]),
    "one-signature-twice": lambda e: e.update(signatures=e["signatures"] * 2),
    "another-key-id": lambda e: e["signatures"][0].update(keyid="ab" * 32),
    "no-key-id": lambda e: e["signatures"][0].pop("keyid"),
    "another-payload-type": lambda e: e.update(payloadType="text/plain"),
    "a-field-more": lambda e: e.update(note="x"),
    "a-payload-in-url-base64": lambda e: e.update(payload="_-" + e["payload"]),
    "a-payload-with-a-line-end": lambda e: e.update(payload=e["payload"] + "\n"),
    "a-payload-of-nothing": lambda e: e.update(payload=""),
    "a-thousand-signatures": lambda e: e.update(signatures=e["signatures"] * 60),
}.items():
    case.add(
        f"an-approval-with-{_label}", _envelope("approval", _change), "attestation", "approval-"
    )


def _restate(
    which: str, signer: Callable[[Stage], Any], change: Callable[[dict[str, Any]], Any]
) -> Callable[[Stage], None]:
    """Sign another statement, and put it in the place of the right one."""

    def make(stage: Stage) -> None:
        path = _path(stage, which)
        statement = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
        change(statement)
        path.write_bytes(sign_statement(canonical_json(statement), signer(stage).signer))

    return make


def _ada(stage: Stage) -> Any:
    return stage.kit.approvers[0]


def _builder(stage: Stage) -> Any:
    return stage.kit.builder


for _label, _change in {
    "without-a-ticket": lambda s: s["predicate"].update(ticket=""),
    "by-another-name": lambda s: s["predicate"].update(approver="Bob Example"),
    "of-another-number": lambda s: s["predicate"].update(release=99),
    "of-a-negative-number": lambda s: s["predicate"].update(release=-1),
    "about-another-bundle": lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
    "about-two-bundles": lambda s: s.update(subject=s["subject"] * 2),
    "about-nothing": lambda s: s.update(subject=[]),
    "of-another-type": lambda s: s.update(predicateType="urn:isoward:waiver:v1"),
    "with-an-escape-in-its-ticket": lambda s: s["predicate"].update(ticket="\x1b[2J"),
    "that-says-more": lambda s: s["predicate"].update(extra=1),
    "with-a-time-that-is-none": lambda s: s["predicate"].update(time="soon"),
    "of-what-was-not-reviewed": lambda s: s["predicate"]["reviewed"].update(
        provenance="sha256:" + "0" * 64
    ),
}.items():
    case.add(
        f"an-approval-{_label}", _restate("approval", _ada, _change), "attestation", "approval-"
    )


def _nothing(statement: dict[str, Any]) -> None:
    """Change nothing."""


for _label, _which, _signer in (
    ("an-approval-by-the-builder", "approval", _builder),
    ("an-approval-by-a-stranger", "approval", lambda s: s.kit.stranger),
    ("a-provenance-by-an-approver", "provenance", _ada),
    ("a-provenance-by-a-stranger", "provenance", lambda s: s.kit.stranger),
    ("changes-by-an-approver", "changes", _ada),
):
    case.add(_label, _restate(_which, _signer, _nothing), "attestation", "attestations/")


def _other_source(statement: dict[str, Any]) -> None:
    statement["predicate"]["runDetails"]["metadata"]["invocationId"] = "ff" * 16


# The builder's own key is not enough for another story once the approvers have read the first.
case.add(
    "another-provenance-by-the-builder-afterwards",
    _restate("provenance", _builder, _other_source),
    "attestation",
    "approval-",
)


@case("attestation", "approval-")
def an_approval_without_its_signature_under_targets(stage: Stage) -> None:
    from tests.support.trust.release_kit import approve_by

    before = (stage.trust / "targets.json").read_bytes()
    approve_by(stage.bundle, stage.kit.approvers[2:])
    (stage.trust / "targets.json").write_bytes(before)


@case("attestation", "approval-")
def a_signature_under_targets_without_its_approval(stage: Stage) -> None:
    stage.edit("targets.json", lambda m: None, *stage.kit.approvers)


for _name in (
    "extra.dsse.json",
    "approval-" + "0" * 16 + ".dsse.json",
    "approval-../x",
    "keys/extra.pem",
    "keys/.hidden",
    "PROVENANCE.dsse.json",
    "provenance.dsse.json.tmp",
    "cafe\u0301.dsse.json",
):

    def _add(stage: Stage, name: str = _name) -> None:
        path = stage.bundle / _FOLDER / name.replace("../", "..-")
        path.write_bytes(b"x")

    case.add(f"a-file-too-many-{_name.replace('/', '-')}", _add, "attestation", "attestations/")


@case("attestation", "attestations/")
def a_file_whose_name_is_no_text(stage: Stage) -> None:
    with open(os.fsencode(stage.bundle / _FOLDER) + b"/\xff", "wb") as file:  # noqa: PTH123 - bytes
        file.write(b"x")


@case("unsafe-path", "attestations/")
def a_folder_too_many(stage: Stage) -> None:
    (stage.bundle / _FOLDER / "more").mkdir()


@case("unsafe-path", "attestations/")
def a_link_to_a_secret(stage: Stage) -> None:
    _gone("provenance")(stage)
    _path(stage, "provenance").symlink_to("/etc/passwd")


@case("size-mismatch", "attestations/")
def a_key_of_a_megabyte(stage: Stage) -> None:
    os.truncate(_path(stage, "key"), 1 << 20)


@case("unexpected-file", "attestations")
def a_thousand_files(stage: Stage) -> None:
    for i in range(1000):
        (stage.bundle / _FOLDER / f"{i}.dsse.json").write_bytes(b"")
