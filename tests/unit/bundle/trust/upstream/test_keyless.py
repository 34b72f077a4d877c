"""Keyless signatures, against a Sigstore of our own: both of cosign's forms."""

from __future__ import annotations

import datetime as dt
import json
import socket
from typing import Any

import pytest

from bundle.base.errors import PolicyError, UnsignedError
from bundle.kinds.policy import KeylessRule, SignatureRule
from tests.support.registries.referrers import SIMPLE_SIGNING, ImageSigner
from tests.support.registries.signing import (
    DSSE,
    SignedImage,
    envelope,
    other_digest,
    simple_payload,
    statement,
)
from tests.support.trust.sigstore_world import IDENTITY, ISSUER, Identity, SigstoreWorld, b64

FORMS = ("statement", "message", "annotations")
LATE = dt.timedelta(hours=1)


def _rule(world: SigstoreWorld, **fields: Any) -> SignatureRule:
    given = {"identity": IDENTITY, "issuer": ISSUER, **fields}
    keyless = KeylessRule(trusted_root=world.trusted_root(), **given)
    return SignatureRule(images=("**",), keyless=keyless)


def _sign(
    image: SignedImage, world: SigstoreWorld, who: Identity, form: str, about: str = ""
) -> str:
    if form == "statement":
        made = world.statement_bundle(who, statement(about or image.digest))
        return image.attach_bundle(made)
    if form == "message":
        return image.attach_bundle(world.message_bundle(who, b"x" if about else image.data))
    payload = simple_payload(about or image.digest)
    return image.attach([(SIMPLE_SIGNING, payload, world.annotations(who, payload))])


@pytest.mark.parametrize("form", FORMS)
def test_a_good_signature(image: SignedImage, world: SigstoreWorld, form: str) -> None:
    carrier = _sign(image, world, world.identity(), form)
    (found,) = image.verify(_rule(world))
    assert (found.method, found.digest) == ("keyless", carrier)
    assert found.signer == f"{IDENTITY} ({ISSUER})"


@pytest.mark.parametrize("form", FORMS)
def test_somebody_else(image: SignedImage, world: SigstoreWorld, form: str) -> None:
    _sign(image, world, world.identity("mallory@example.org"), form)
    with pytest.raises(UnsignedError, match=r"it was made by mallory@example\.org"):
        image.verify(_rule(world))


@pytest.mark.parametrize("form", FORMS)
def test_another_issuer(image: SignedImage, world: SigstoreWorld, form: str) -> None:
    _sign(image, world, world.identity(issuer="https://other.example.org"), form)
    with pytest.raises(UnsignedError, match="does not match"):
        image.verify(_rule(world))


@pytest.mark.parametrize("form", FORMS)
def test_swapped_image(image: SignedImage, world: SigstoreWorld, form: str) -> None:
    _sign(image, world, world.identity(), form, about=other_digest())
    with pytest.raises(UnsignedError, match="none valid"):
        image.verify(_rule(world))


@pytest.mark.parametrize("form", FORMS)
def test_another_sigstore(image: SignedImage, world: SigstoreWorld, form: str) -> None:
    _sign(image, world, world.identity(), form)
    with pytest.raises(UnsignedError, match="signature does not match"):
        image.verify(_rule(SigstoreWorld()))


@pytest.mark.parametrize("form", FORMS)
def test_a_certificate_that_its_log_never_saw(
    image: SignedImage, world: SigstoreWorld, form: str
) -> None:
    _sign(image, world, world.identity(with_sct=False), form)
    with pytest.raises(UnsignedError, match="signed certificate timestamp"):
        image.verify(_rule(world))


@pytest.mark.parametrize("form", FORMS)
def test_a_certificate_for_another_purpose(
    image: SignedImage, world: SigstoreWorld, form: str
) -> None:
    _sign(image, world, world.identity(code_signing=False), form)
    with pytest.raises(UnsignedError, match="code signing"):
        image.verify(_rule(world))


@pytest.mark.parametrize("form", FORMS)
def test_signed_when_the_certificate_was_not_valid(
    image: SignedImage, world: SigstoreWorld, form: str
) -> None:
    _sign(image, world, world.identity(started=LATE), form)
    with pytest.raises(UnsignedError, match="not valid at validation time"):
        image.verify(_rule(world))


@pytest.mark.parametrize(
    ("pattern", "identity"),
    [
        (r".*@example\.org", IDENTITY),
        (r"https://github\.com/a/[a-z]+/release@.*", "https://github.com/a/tool/release@v1"),
    ],
)
def test_an_identity_by_pattern(
    image: SignedImage, world: SigstoreWorld, pattern: str, identity: str
) -> None:
    _sign(image, world, world.identity(identity), "statement")
    (found,) = image.verify(_rule(world, identity=None, identity_regexp=pattern))
    assert found.signer.startswith(identity)


@pytest.mark.parametrize("pattern", ["example", "release@", r".*@example\.or", "x|release"])
def test_a_pattern_matches_the_whole_identity(
    image: SignedImage, world: SigstoreWorld, pattern: str
) -> None:
    _sign(image, world, world.identity(), "statement")
    with pytest.raises(UnsignedError, match="it was made by"):
        image.verify(_rule(world, identity=None, identity_regexp=pattern))


def test_the_certificate_is_long_over_and_that_is_right(
    image: SignedImage, world: SigstoreWorld
) -> None:
    who = world.identity()
    assert who.certificate.not_valid_after_utc < dt.datetime.now(dt.UTC)
    _sign(image, world, who, "annotations")
    assert image.verify(_rule(world), now=dt.datetime(2090, 1, 1, tzinfo=dt.UTC))


def _annotations(
    image: SignedImage, world: SigstoreWorld
) -> tuple[bytes, dict[str, str], dict[str, Any]]:
    payload = simple_payload(image.digest)
    made = world.annotations(world.identity(), payload)
    return payload, made, json.loads(made["dev.sigstore.cosign/bundle"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("integratedTime", 1_700_000_000),
        ("integratedTime", "soon"),
        ("logIndex", 8),
        ("logIndex", -1),
        ("logID", "00" * 32),
        ("logID", "xyz"),
        ("body", "e30="),
        ("body", ""),
    ],
)
def test_an_altered_log_entry(
    image: SignedImage, world: SigstoreWorld, field: str, value: object
) -> None:
    payload, annotations, logged = _annotations(image, world)
    logged["Payload"][field] = value
    annotations["dev.sigstore.cosign/bundle"] = json.dumps(logged)
    image.attach([(SIMPLE_SIGNING, payload, annotations)])
    with pytest.raises(UnsignedError, match="none valid"):
        image.verify(_rule(world))


@pytest.mark.parametrize("promise", ["", "?", "YQ=="])
def test_a_log_entry_without_the_logs_promise(
    image: SignedImage, world: SigstoreWorld, promise: str
) -> None:
    payload, annotations, logged = _annotations(image, world)
    logged["SignedEntryTimestamp"] = promise
    annotations["dev.sigstore.cosign/bundle"] = json.dumps(logged)
    image.attach([(SIMPLE_SIGNING, payload, annotations)])
    with pytest.raises(UnsignedError, match="none valid"):
        image.verify(_rule(world))


def test_the_log_entry_of_another_signature(image: SignedImage, world: SigstoreWorld) -> None:
    who = world.identity()
    payload = simple_payload(image.digest)
    annotations = world.annotations(who, payload)
    other = world.annotations(who, simple_payload(other_digest()))
    annotations["dev.sigstore.cosign/bundle"] = other["dev.sigstore.cosign/bundle"]
    image.attach([(SIMPLE_SIGNING, payload, annotations)])
    with pytest.raises(UnsignedError, match="inconsistent"):
        image.verify(_rule(world))


@pytest.mark.parametrize("part", ["dev.sigstore.cosign/certificate", "dev.sigstore.cosign/bundle"])
def test_a_key_signature_is_no_keyless_one(
    image: SignedImage, world: SigstoreWorld, part: str
) -> None:
    payload, annotations, _ = _annotations(image, world)
    del annotations[part]
    image.attach([(SIMPLE_SIGNING, payload, annotations)])
    with pytest.raises(UnsignedError, match="signed with a key"):
        image.verify(_rule(world))


def test_a_log_entry_with_a_key_twice(image: SignedImage, world: SigstoreWorld) -> None:
    payload, annotations, _ = _annotations(image, world)
    text = annotations["dev.sigstore.cosign/bundle"]
    annotations["dev.sigstore.cosign/bundle"] = text[:-1] + ', "Payload": {}}'
    image.attach([(SIMPLE_SIGNING, payload, annotations)])
    with pytest.raises(UnsignedError, match="duplicate"):
        image.verify(_rule(world))


def test_an_attestation_under_cosigns_tag(image: SignedImage, world: SigstoreWorld) -> None:
    who = world.identity()
    made = statement(image.digest, "https://slsa.dev/provenance/v1")
    bundle = world.statement_bundle(who, made)
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    logged = {
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logIndex": 0,
            "logID": world.log_id.hex(),
        },
    }
    annotations = {
        "dev.sigstore.cosign/certificate": who.pem,
        "dev.sigstore.cosign/bundle": json.dumps(logged),
    }
    image.attach([(DSSE, json.dumps(bundle["dsseEnvelope"]).encode(), annotations)])
    (found,) = image.verify(_rule(world))
    assert found.predicate == "https://slsa.dev/provenance/v1"


def test_a_bundle_without_proof_is_not_good(image: SignedImage, world: SigstoreWorld) -> None:
    made = world.statement_bundle(world.identity(), statement(image.digest))
    del made["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]
    image.attach_bundle(made)
    with pytest.raises(UnsignedError, match="none valid"):
        image.verify(_rule(world))


def test_a_bundle_of_another_envelope(image: SignedImage, world: SigstoreWorld) -> None:
    who = world.identity()
    made = world.statement_bundle(who, statement(other_digest()))
    made["dsseEnvelope"] = envelope(who.sign, statement(image.digest))
    image.attach_bundle(made)
    with pytest.raises(UnsignedError, match="does not match"):
        image.verify(_rule(world))


def test_a_bundle_by_a_key(image: SignedImage, world: SigstoreWorld, signer: ImageSigner) -> None:
    image.sign_bundle(signer.sign)
    with pytest.raises(UnsignedError, match="none valid"):
        image.verify(_rule(world))


@pytest.mark.parametrize("root", ["{}", '{"mediaType": "x"}', b64(b"x")])
def test_a_trusted_root_that_cannot_be_used(image: SignedImage, root: str) -> None:
    keyless = KeylessRule(identity=IDENTITY, issuer=ISSUER, trusted_root=root)
    with pytest.raises(PolicyError, match="the trusted root"):
        image.verify(SignatureRule(images=("**",), keyless=keyless))


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_asked_of_a_network(
    image: SignedImage, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    asked: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        asked.append(arguments)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    # A Sigstore of its own, so that no verifier is ready yet.
    world = SigstoreWorld()
    _sign(image, world, world.identity(), form)
    assert image.verify(_rule(world))
    assert asked == []
