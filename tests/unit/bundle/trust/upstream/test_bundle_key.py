"""Sigstore bundles and DSSE attestations, by a public key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from bundle.base.errors import UnsignedError
from tests.support.registries.referrers import ImageSigner
from tests.support.registries.signing import (
    BUNDLE,
    DSSE,
    SIGN_PREDICATE,
    SignedImage,
    by_key,
    envelope,
    other_digest,
    statement,
)
from tests.support.trust.sigstore_world import b64

SBOM = "https://cyclonedx.org/bom"


@pytest.mark.parametrize(
    "predicate",
    [SIGN_PREDICATE, "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"],
)
def test_a_statement_that_the_image_is_the_signers(
    image: SignedImage, signer: ImageSigner, predicate: str
) -> None:
    carrier = image.sign_bundle(signer.sign, predicate=predicate)
    (found,) = image.verify(by_key(signer))
    assert (found.digest, found.predicate, found.subject) == (carrier, predicate, image.digest)


def test_an_attested_sbom_is_no_signature(image: SignedImage, signer: ImageSigner) -> None:
    image.sign_bundle(signer.sign, predicate=SBOM)
    with pytest.raises(UnsignedError, match=f"attestation of type {SBOM} is not a signature"):
        image.verify(by_key(signer))


@pytest.mark.parametrize("as_bundle", [True, False])
def test_an_attested_sbom_beside_a_signature_is_recorded(
    image: SignedImage, signer: ImageSigner, as_bundle: bool
) -> None:
    image.sign(signer.sign)
    if as_bundle:
        carrier = image.sign_bundle(signer.sign, predicate=SBOM)
    else:
        made = json.dumps(envelope(signer.sign, statement(image.digest, SBOM))).encode()
        carrier = image.attach([(DSSE, made, {"predicateType": SBOM})])
    found = {entry.predicate: entry.digest for entry in image.verify(by_key(signer))}
    assert found[SBOM] == carrier
    assert set(found) == {"", SBOM}


def test_a_strangers_attestation_is_not_recorded(
    image: SignedImage, signer: ImageSigner, stranger: ImageSigner
) -> None:
    image.sign(signer.sign)
    image.sign_bundle(stranger.sign, predicate=SBOM)
    assert [entry.predicate for entry in image.verify(by_key(signer))] == [""]


def test_a_message_signature_over_the_manifest(image: SignedImage, signer: ImageSigner) -> None:
    image.attach_bundle(_message(image.data, signer))
    (found,) = image.verify(by_key(signer))
    assert found.predicate == ""


def test_a_message_signature_over_other_bytes(image: SignedImage, signer: ImageSigner) -> None:
    image.attach_bundle(_message(b"other", signer))
    with pytest.raises(UnsignedError, match="it signs sha256:"):
        image.verify(by_key(signer))


def test_a_message_signature_that_claims_the_digest(
    image: SignedImage, signer: ImageSigner
) -> None:
    made = _message(b"other", signer)
    digest = b64(hashlib.sha256(image.data).digest())
    made["messageSignature"]["messageDigest"]["digest"] = digest
    image.attach_bundle(made)
    with pytest.raises(UnsignedError, match="not made by this key"):
        image.verify(by_key(signer))


def test_swapped_image(image: SignedImage, signer: ImageSigner) -> None:
    image.sign_bundle(signer.sign, about=other_digest())
    with pytest.raises(UnsignedError, match=f"a statement about {other_digest()}"):
        image.verify(by_key(signer))


def test_a_statement_about_several_images(image: SignedImage, signer: ImageSigner) -> None:
    made = statement(other_digest(), SIGN_PREDICATE, image.digest)
    image.attach_bundle(_bundle(envelope(signer.sign, made)))
    assert len(image.verify(by_key(signer))) == 1


def _edit(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(bundle: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        node = bundle
        for name in parents:
            node = node[name]
        node[last] = value

    return edit


def _duplicate(bundle: dict[str, Any]) -> None:
    bundle["messageSignature"] = {"signature": "YQ=="}


ALTERED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "other-payload": (
        _edit("dsseEnvelope.payload", b64(statement(other_digest()))),
        "not made by this",
    ),
    "other-type": (_edit("dsseEnvelope.payloadType", "text/plain"), "not made by this key"),
    "no-signature": (_edit("dsseEnvelope.signatures", []), "not a DSSE envelope"),
    "empty-signature": (_edit("dsseEnvelope.signatures", [{"sig": ""}]), "is empty"),
    "bad-signature": (_edit("dsseEnvelope.signatures", [{"sig": "?"}]), "not base64"),
    "bad-payload": (_edit("dsseEnvelope.payload", "?"), "not a DSSE envelope"),
    "no-envelope": (_edit("dsseEnvelope", None), "must have either"),
    "envelope-is-text": (_edit("dsseEnvelope", "x"), "must have either"),
    "both-contents": (_duplicate, "must have either"),
    "unknown-version": (_edit("mediaType", f"{BUNDLE};v=9"), "unknown type"),
    "no-version": (_edit("mediaType", 3), "unknown type"),
}


@pytest.mark.parametrize("name", list(ALTERED))
def test_altered_bundle(image: SignedImage, signer: ImageSigner, name: str) -> None:
    edit, says = ALTERED[name]
    image.sign_bundle(signer.sign, edit=edit)
    with pytest.raises(UnsignedError, match=says):
        image.verify(by_key(signer))


STATEMENTS = {
    "not-json": (b"x", "not JSON"),
    "no-type": (b'{"subject": []}', "not an in-toto statement"),
    "no-subject": (b'{"_type": "https://in-toto.io/Statement/v1"}', "about nothing"),
    "subject-is-text": (
        b'{"_type": "https://in-toto.io/Statement/v1", "subject": ["a"]}',
        "about sha256:",
    ),
    "type-in-two-cases": (b'{"_Type": "a", "_type": "b"}', "duplicate"),
    "type-twice": (b'{"_type": "a", "_type": "https://in-toto.io/Statement/v1"}', "duplicate"),
}


@pytest.mark.parametrize("name", list(STATEMENTS))
def test_a_signed_statement_that_is_malformed(
    image: SignedImage, signer: ImageSigner, name: str
) -> None:
    made, says = STATEMENTS[name]
    image.attach_bundle(_bundle(envelope(signer.sign, made)))
    with pytest.raises(UnsignedError, match=says):
        image.verify(by_key(signer))


def test_a_predicate_may_have_keys_of_any_case(image: SignedImage, signer: ImageSigner) -> None:
    made = statement(image.digest).replace(b'"predicate": {}', b'"predicate": {"a": 1, "A": 2}')
    image.attach_bundle(_bundle(envelope(signer.sign, made)))
    assert image.verify(by_key(signer))


def test_a_signed_payload_of_another_type(image: SignedImage, signer: ImageSigner) -> None:
    made = envelope(signer.sign, statement(image.digest), "application/x.other")
    image.attach_bundle(_bundle(made))
    with pytest.raises(UnsignedError, match=r"payload type is 'application/x\.other'"):
        image.verify(by_key(signer))


def test_a_statement_without_a_predicate_type(image: SignedImage, signer: ImageSigner) -> None:
    image.attach_bundle(_bundle(envelope(signer.sign, statement(image.digest, ""))))
    with pytest.raises(UnsignedError, match="no predicateType"):
        image.verify(by_key(signer))


def test_a_bundle_with_a_key_twice(image: SignedImage, signer: ImageSigner) -> None:
    data = json.dumps(_bundle(envelope(signer.sign, statement(image.digest)))).encode()
    image.attach([(BUNDLE, data[:-1] + b', "mediaType": "x"}', {})])
    with pytest.raises(UnsignedError, match="duplicate"):
        image.verify(by_key(signer))


def _bundle(made: dict[str, Any]) -> dict[str, Any]:
    material = {"publicKey": {"hint": "aGludA=="}, "tlogEntries": []}
    return {"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": made}


def _message(data: bytes, signer: ImageSigner) -> dict[str, Any]:
    digest = {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(data).digest())}
    content = {"messageDigest": digest, "signature": b64(signer.sign(data))}
    material = {"publicKey": {"hint": "aGludA=="}, "tlogEntries": []}
    return {"mediaType": BUNDLE, "verificationMaterial": material, "messageSignature": content}
