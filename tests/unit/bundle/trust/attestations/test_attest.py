"""Envelopes, detached signatures and public keys: what verifies, and what does not."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.dsse import Envelope

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import AttestationError
from bundle.model.attestation import (
    APPROVAL,
    PAYLOAD_TYPE,
    PROVENANCE,
    make_statement,
    pre_authentication_encoding,
)
from bundle.model.predicates import Approval
from bundle.trust.attestations.envelope import (
    About,
    check_detached,
    detached_signature,
    open_envelope,
    predicate_of,
    public_pem,
    sign_statement,
)
from bundle.trust.keys.schemes import KEY_TYPES, KeyTypeName
from bundle.trust.keys.stored import SigningKey, generate_key
from tests.support.programs.needs import requires_tool

DATA = b'{"kind":"Bundle"}'
ABOUT = About("bundle.json", digest_of(DATA))
ADA, BOB = generate_key("Ada"), generate_key("Bob")
WHERE = "attestations/x.dsse.json"


def statement(predicate: Any = None, type_: str = PROVENANCE, about: About = ABOUT) -> bytes:
    return make_statement(about.name, about.digest, type_, predicate or {"a": 1})


def keys(*signers: SigningKey) -> dict[str, Any]:
    return {signer.public_key.keyid: signer.public_key for signer in signers}


@pytest.mark.parametrize("type_", KEY_TYPES)
def test_each_type_of_key_signs_and_verifies(type_: KeyTypeName) -> None:
    signer = generate_key("Ada", type_)
    payload = statement()
    opened = open_envelope(sign_statement(payload, signer), keys(signer), WHERE)
    assert opened.payload == payload
    assert opened.signers == (signer.public_key,)
    made = detached_signature(DATA, signer)
    check_detached(made, DATA, signer.public_key, WHERE)
    with pytest.raises(AttestationError, match="signature of Ada is not valid"):
        check_detached(made, DATA + b" ", signer.public_key, WHERE)
    assert public_pem(signer.public_key).startswith(b"-----BEGIN PUBLIC KEY-----\n")


def test_an_independent_reader_of_dsse_agrees() -> None:
    payload = statement()
    envelope = Envelope.from_dict(json.loads(sign_statement(payload, ADA)))
    assert envelope.pae() == pre_authentication_encoding(PAYLOAD_TYPE, payload)
    assert list(envelope.verify([ADA.public_key], 1)) == [ADA.public_key.keyid]


def test_the_encoding_is_the_specification_s_example() -> None:
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pre_authentication_encoding("http://example.com/HelloWorld", b"hello world") == expected


def test_several_keys_sign_one_statement() -> None:
    opened = open_envelope(sign_statement(statement(), ADA, BOB), keys(ADA, BOB), WHERE)
    assert {key.keyid for key in opened.signers} == set(keys(ADA, BOB))


def test_no_signature_may_be_by_another_key() -> None:
    with pytest.raises(AttestationError, match="may not sign this"):
        open_envelope(sign_statement(statement(), ADA, BOB), keys(ADA), WHERE)


def edited(change: Callable[[dict[str, Any]], None], *signers: SigningKey) -> bytes:
    envelope: dict[str, Any] = json.loads(sign_statement(statement(), *(signers or (ADA,))))
    change(envelope)
    return canonical_json(envelope)


def set_payload(data: bytes) -> Callable[[dict[str, Any]], None]:
    return lambda envelope: envelope.update(payload=base64.b64encode(data).decode())


def first(envelope: dict[str, Any]) -> dict[str, str]:
    signature: dict[str, str] = envelope["signatures"][0]
    return signature


BAD: dict[str, Callable[[dict[str, Any]], None]] = {
    "another payload": set_payload(statement({"a": 2})),
    "no payload": set_payload(b""),
    "another payload type": lambda e: e.update(payloadType="application/json"),
    "no signature": lambda e: e.update(signatures=[]),
    "a signature twice": lambda e: e.update(signatures=e["signatures"] * 2),
    "a signature that is none": lambda e: first(e).update(sig="AAAA"),
    "an empty signature": lambda e: first(e).update(sig=""),
    "a signature that is no base64": lambda e: first(e).update(sig="not base64!"),
    "base64 without padding": lambda e: first(e).update(sig=first(e)["sig"].rstrip("=")),
    "another key's id": lambda e: first(e).update(keyid=BOB.public_key.keyid),
    "no key id": lambda e: first(e).update(keyid=""),
    "an unsigned field": lambda e: e.update(note="trust me"),
    "an unsigned field of a signature": lambda e: first(e).update(cert="x"),
    "a payload that is no base64": lambda e: e.update(payload="%%%"),
    "a payload that is no text": lambda e: e.update(payload=7),
    "a hundred signatures": lambda e: e.update(signatures=e["signatures"] * 100),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_envelope_is_refused(what: str) -> None:
    data = edited(BAD[what])
    with pytest.raises(AttestationError, match=r"attestations/x\.dsse\.json: ") as refused:
        open_envelope(data, keys(ADA, BOB), WHERE)
    assert refused.value.exit_code == 31


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"payload":1e999}'],
    ids=["empty", "object", "list", "null", "cut", "no text", "deep", "number"],
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    with pytest.raises(AttestationError):
        open_envelope(data, keys(ADA), WHERE)


def test_another_spelling_is_refused() -> None:
    envelope = json.loads(sign_statement(statement(), ADA))
    for text in (json.dumps(envelope), json.dumps(envelope, indent=1)):
        with pytest.raises(AttestationError, match="canonical"):
            open_envelope(text.encode(), keys(ADA), WHERE)


def test_a_detached_signature_is_no_attestation_and_no_attestation_a_signature() -> None:
    payload = statement()
    raw = bytes.fromhex(ADA.sign(payload).signature)
    data = edited(lambda e: first(e).update(sig=base64.b64encode(raw).decode()))
    with pytest.raises(AttestationError, match="is not valid"):
        open_envelope(data, keys(ADA), WHERE)
    message = pre_authentication_encoding(PAYLOAD_TYPE, payload)
    made = base64.b64encode(bytes.fromhex(ADA.sign(message).signature)) + b"\n"
    with pytest.raises(AttestationError, match="is not valid"):
        check_detached(made, payload, ADA.public_key, WHERE)


def test_a_detached_signature_has_one_spelling() -> None:
    made = detached_signature(DATA, ADA)
    check_detached(made, DATA, ADA.public_key, WHERE)
    for other in (made[:-1], made + b"\n", b" " + made, made.replace(b"=", b""), b"\n", b""):
        with pytest.raises(AttestationError, match="is not valid"):
            check_detached(other, DATA, ADA.public_key, WHERE)


def test_a_signature_by_another_key_does_not_count() -> None:
    with pytest.raises(AttestationError, match="signature of Bob is not valid"):
        check_detached(detached_signature(DATA, ADA), DATA, BOB.public_key, WHERE)


APPROVED = {
    "approver": "Ada",
    "ticket": "CHG-1",
    "time": "2026-01-02T03:04:05Z",
    "release": 1,
    "reviewed": {"provenance": digest_of(b"p"), "changes": digest_of(b"c")},
}


def approval(predicate: Any, about: About = ABOUT, type_: str = APPROVAL) -> Approval:
    made = sign_statement(statement(predicate, type_, about), ADA)
    opened = open_envelope(made, keys(ADA), WHERE)
    return predicate_of(opened, ABOUT, APPROVAL, Approval, WHERE)


def test_a_predicate_is_read() -> None:
    found = approval(APPROVED)
    assert (found.approver, found.ticket, found.release) == ("Ada", "CHG-1", 1)


@pytest.mark.parametrize(
    ("about", "type_", "message"),
    [
        (About("bundle.json", digest_of(b"other")), APPROVAL, "about bundle.json"),
        (About("other.json", ABOUT.digest), APPROVAL, "about bundle.json"),
        (ABOUT, PROVENANCE, "expected a statement urn:isoward:approval:v1"),
    ],
    ids=["another digest", "another name", "another type"],
)
def test_a_statement_about_something_else_is_refused(
    about: About, type_: str, message: str
) -> None:
    with pytest.raises(AttestationError, match=message):
        approval(APPROVED, about, type_)


@pytest.mark.parametrize(
    "change",
    [
        {"ticket": ""},
        {"ticket": "x" * 257},
        {"release": 0},
        {"release": "1"},
        {"time": "yesterday"},
        {"time": "2026-01-02T03:04:05"},
        {"extra": True},
        {"reviewed": {"provenance": "sha256:abc", "changes": digest_of(b"c")}},
    ],
    ids=str,
)
def test_a_malformed_predicate_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(AttestationError):
        approval(APPROVED | change)


def test_two_subjects_are_refused() -> None:
    payload = json.loads(statement(APPROVED, APPROVAL))
    payload["subject"].append({"name": "x", "digest": {"sha256": "0" * 64}})
    opened = open_envelope(sign_statement(canonical_json(payload), ADA), keys(ADA), WHERE)
    with pytest.raises(AttestationError, match="alone"):
        predicate_of(opened, ABOUT, APPROVAL, Approval, WHERE)


@pytest.mark.parametrize("type_", ["ed25519", "ecdsa-p256", "ecdsa-p384"])
def test_openssl_reads_the_public_key(tmp_path: Path, type_: KeyTypeName) -> None:
    requires_tool("openssl")
    path = tmp_path / "key.pem"
    path.write_bytes(public_pem(generate_key("Ada", type_).public_key))
    done = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", path], capture_output=True, check=True
    )
    assert done.stdout == path.read_bytes()
