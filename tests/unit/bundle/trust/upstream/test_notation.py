"""Notation's JWS envelopes, below an authority of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundle.base.errors import PolicyError, UnsignedError
from bundle.kinds.policy import NotationRule, SignatureRule
from tests.support.registries.referrers import ImageSigner
from tests.support.registries.signing import NOW, SignedImage, by_key
from tests.support.trust.notation_world import (
    DAY,
    Holder,
    attach,
    authority,
    certificate,
    header,
    jws,
    payload_of,
    url64,
)

CRITICAL = ["io.cncf.notary.signingScheme"]
TIME = "io.cncf.notary.authenticSigningTime"


@pytest.fixture(scope="module")
def top() -> Holder:
    """The authority that rules name."""
    return authority()


def _rule(holder: Holder) -> SignatureRule:
    return SignatureRule(images=("**",), notation=NotationRule(certificate=holder.pem))


def _text(moment: Any) -> str:
    return str(moment.isoformat())


@pytest.mark.parametrize("algorithm", ["PS256", "PS384", "PS512", "ES256", "ES384", "ES512"])
def test_each_algorithm(image: SignedImage, top: Holder, algorithm: str) -> None:
    holder = certificate("publisher", top, algorithm=algorithm)
    carrier = attach(image, jws(holder, payload_of(image), header(algorithm)))
    (found,) = image.verify(_rule(top))
    assert (found.method, found.digest, found.signer) == ("notation", carrier, "CN=publisher")


def test_an_authority_in_between(image: SignedImage, top: Holder) -> None:
    middle = certificate("middle", top, ca=True, path_length=0)
    attach(image, jws(certificate("publisher", middle), payload_of(image), header()))
    for holder in (top, middle):
        assert image.verify(_rule(holder))


def test_the_signing_certificate_itself_may_be_named(image: SignedImage) -> None:
    alone = certificate("publisher")
    attach(image, jws(alone, payload_of(image), header()))
    assert image.verify(_rule(alone))


def test_another_authority_of_the_same_name(image: SignedImage, top: Holder) -> None:
    attach(image, jws(certificate("publisher", top), payload_of(image), header()))
    with pytest.raises(UnsignedError, match="is not below this one"):
        image.verify(_rule(authority()))


def test_a_chain_that_only_names_the_authority(image: SignedImage, top: Holder) -> None:
    forged = certificate("publisher", authority())
    holder = Holder(forged.certificate, forged.key, (top.certificate,))
    attach(image, jws(holder, payload_of(image), header()))
    with pytest.raises(UnsignedError, match="was not issued by"):
        image.verify(_rule(top))


BAD_CERTIFICATES: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"last": NOW - DAY / 2}, "is valid from"),
    "not-yet-valid": ({"first": NOW + DAY}, "is valid from"),
    "not-valid-when-signed": ({"first": NOW - DAY / 2}, "is valid from"),
    "an-authority": ({"ca": True, "usage": {"digital_signature": True}}, "is a CA's"),
    "no-signing": ({"usage": {"digital_signature": False, "crl_sign": True}}, "not for signing"),
    "may-issue": ({"usage": {"key_cert_sign": True}}, "may sign certificates"),
    "usage-not-critical": ({"critical_usage": False}, "not for signing"),
    "tls-server": ({"purposes": [ExtendedKeyUsageOID.SERVER_AUTH]}, "for code signing only"),
    "two-purposes": (
        {"purposes": [ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.TIME_STAMPING]},
        "for code signing only",
    ),
    "unknown-demand": (
        {"extra": x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")},
        "has an unsupported critical extension",
    ),
}


@pytest.mark.parametrize("name", list(BAD_CERTIFICATES))
def test_a_certificate_that_may_not_sign(image: SignedImage, top: Holder, name: str) -> None:
    fields, says = BAD_CERTIFICATES[name]
    attach(image, jws(certificate("publisher", top, **fields), payload_of(image), header()))
    with pytest.raises(UnsignedError, match=says):
        image.verify(_rule(top))


def test_no_extended_usage_is_accepted(image: SignedImage, top: Holder) -> None:
    attach(image, jws(certificate("publisher", top, purposes=[]), payload_of(image), header()))
    assert image.verify(_rule(top))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"ca": False}, "does not belong to a certificate authority"),
        ({"usage": {"key_cert_sign": False, "crl_sign": True}}, "may not sign certificates"),
        ({"last": NOW - DAY / 2}, "is valid from"),
    ],
)
def test_an_authority_in_between_that_is_none(
    image: SignedImage, top: Holder, fields: dict[str, Any], says: str
) -> None:
    middle = certificate("middle", top, **{"ca": True, **fields})
    attach(image, jws(certificate("publisher", middle), payload_of(image), header()))
    with pytest.raises(UnsignedError, match=says):
        image.verify(_rule(top))


def test_an_authority_that_allows_none_below(image: SignedImage) -> None:
    top = authority(path_length=0)
    middle = certificate("middle", top, ca=True)
    attach(image, jws(certificate("publisher", middle), payload_of(image), header()))
    with pytest.raises(UnsignedError, match="does not allow an authority below"):
        image.verify(_rule(top))


BAD_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "expired": (
        {"__expiry": _text(NOW - DAY / 2), "crit": [*CRITICAL, "io.cncf.notary.expiry"]},
        "it expired at",
    ),
    "expiry-not-critical": ({"__expiry": _text(NOW + DAY)}, "is not marked critical"),
    "scheme-not-critical": ({"crit": []}, "is not marked critical"),
    "no-crit": ({"crit": None}, "its list of critical headers is missing"),
    "plugin": (
        {"__verificationPlugin": "x", "crit": [*CRITICAL, "io.cncf.notary.verificationPlugin"]},
        "has an unsupported critical header",
    ),
    "unknown-scheme": ({"__signingScheme": "notary.x510"}, "scheme 'notary.x510' is unknown"),
    "other-content": ({"cty": "application/json"}, "has the unknown type"),
    "no-time": ({"__signingTime": None}, "its signing time is missing"),
    "odd-time": ({"__signingTime": "yesterday"}, "is not a time"),
    "time-without-zone": ({"__signingTime": "2025-01-01T00:00:00"}, "time with a time zone"),
    "far-time": ({"__signingTime": "0001-01-01T00:00:00+23:00"}, "is not a time"),
    "future-time": ({"__signingTime": _text(NOW + DAY)}, "in the future"),
    "authority-time-in-plain": (
        {"__authenticSigningTime": _text(NOW), "crit": [*CRITICAL, TIME]},
        "does not match its signing scheme",
    ),
    "authority-without-time": (
        {"__signingScheme": "notary.x509.signingAuthority"},
        "does not match its signing scheme",
    ),
}


@pytest.mark.parametrize("name", list(BAD_HEADERS))
def test_a_protected_header_that_is_refused(image: SignedImage, top: Holder, name: str) -> None:
    changes, says = BAD_HEADERS[name]
    made = jws(certificate("publisher", top), payload_of(image), header(**changes))
    attach(image, made)
    with pytest.raises(UnsignedError, match=says):
        image.verify(_rule(top))


def test_an_expiry_that_is_still_to_come(image: SignedImage, top: Holder) -> None:
    changes: dict[str, Any] = {
        "__expiry": _text(NOW + DAY),
        "crit": [*CRITICAL, "io.cncf.notary.expiry"],
    }
    attach(image, jws(certificate("publisher", top), payload_of(image), header(**changes)))
    assert image.verify(_rule(top))
    with pytest.raises(UnsignedError, match="it expired at"):
        image.verify(_rule(top), now=NOW + DAY)


def test_a_signing_authoritys_time_counts(image: SignedImage, top: Holder) -> None:
    changes: dict[str, Any] = {
        "__signingScheme": "notary.x509.signingAuthority",
        "__signingTime": None,
        "__authenticSigningTime": _text(NOW - DAY),
        "crit": [*CRITICAL, TIME],
    }
    holder = certificate("publisher", top, last=NOW - DAY / 2)
    attach(image, jws(holder, payload_of(image), header(**changes)))
    assert image.verify(_rule(top))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [("ES384", "ES256"), ("PS384", "PS256"), ("PS256", "ES256"), ("none", "ES256")],
)
def test_an_algorithm_that_is_not_the_keys(
    image: SignedImage, top: Holder, algorithm: str, key: str
) -> None:
    holder = certificate("publisher", top, algorithm=key)
    made = jws(holder, payload_of(image), header(key))
    made["protected"] = url64(json.dumps(header(algorithm)).encode())
    attach(image, made)
    with pytest.raises(UnsignedError, match="does not match its certificate"):
        image.verify(_rule(top))


@pytest.mark.parametrize(
    ("field", "value"), [("digest", "sha256:" + "0" * 64), ("size", 1), ("mediaType", "text/plain")]
)
def test_another_target(image: SignedImage, top: Holder, field: str, value: object) -> None:
    about = payload_of(image)
    about["targetArtifact"][field] = value
    attach(image, jws(certificate("publisher", top), about, header()))
    with pytest.raises(UnsignedError, match="it signs"):
        image.verify(_rule(top))


ALTERED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "payload": (lambda e: e.update(payload=url64(b'{"targetArtifact":{}}')), "does not match"),
    "padded": (lambda e: e.update(payload=e["payload"] + "="), "does not match"),
    "padded-signature": (lambda e: e.update(signature=e["signature"] + "=="), "not base64url"),
    "no-payload": (lambda e: e.pop("payload"), "does not match"),
    "short-signature": (lambda e: e.update(signature=url64(b"x" * 63)), "the wrong length"),
    "zero-signature": (lambda e: e.update(signature=url64(b"\0" * 64)), "does not match"),
    "no-signature": (lambda e: e.pop("signature"), "not base64url"),
    "no-chain": (lambda e: e.update(header={}), "certificates in x5c"),
    "long-chain": (lambda e: e["header"].update(x5c=e["header"]["x5c"] * 9), "certificates in x5c"),
    "bad-chain": (lambda e: e["header"].update(x5c=["YQ=="]), "malformed"),
    "odd-chain": (lambda e: e["header"].update(x5c=[7]), "certificate"),
    "header-not-json": (lambda e: e.update(protected=url64(b"{")), "protected header: not JSON"),
}


@pytest.mark.parametrize("name", list(ALTERED))
def test_altered_envelope(image: SignedImage, top: Holder, name: str) -> None:
    edit, says = ALTERED[name]
    made = jws(certificate("publisher", top), payload_of(image), header())
    edit(made)
    attach(image, made)
    with pytest.raises(UnsignedError, match=says):
        image.verify(_rule(top))


def test_an_envelope_in_cose_is_named(image: SignedImage, top: Holder) -> None:
    attach(image, b"\xd2\x84", kind="application/cose")
    with pytest.raises(UnsignedError, match="COSE"):
        image.verify(_rule(top))


def test_two_envelopes_in_one_manifest(image: SignedImage, top: Holder) -> None:
    made = json.dumps(jws(certificate("publisher", top), payload_of(image), header())).encode()
    image.attach(
        [("application/jose+json", made, {})] * 2,
        artifact_type="application/vnd.cncf.notary.signature",
    )
    with pytest.raises(UnsignedError, match="expected one envelope, found 2"):
        image.verify(_rule(top))


def test_the_type_may_stand_in_the_config(image: SignedImage, top: Holder) -> None:
    made = json.dumps(jws(certificate("publisher", top), payload_of(image), header())).encode()
    image.attach(
        [("application/jose+json", made, {})], config_type="application/vnd.cncf.notary.signature"
    )
    assert image.verify(_rule(top))


def test_each_kind_is_told_from_the_other(
    image: SignedImage, top: Holder, signer: ImageSigner
) -> None:
    image.sign(signer.sign)
    with pytest.raises(UnsignedError, match="it is a cosign signature"):
        image.verify(_rule(top))
    other = SignedImage()
    attach(other, jws(certificate("publisher", top), payload_of(other), header()))
    with pytest.raises(UnsignedError, match="it is a Notation signature"):
        other.verify(by_key(signer))


@pytest.mark.parametrize(
    "pem", ["x", "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----"]
)
def test_a_certificate_that_cannot_be_used(image: SignedImage, pem: str) -> None:
    rule = SignatureRule(images=("**",), notation=NotationRule(certificate=pem))
    with pytest.raises(PolicyError, match="one certificate in PEM"):
        image.verify(rule)


def test_a_certificate_of_a_weak_key_cannot_be_named() -> None:
    pem = authority(algorithm="weak").pem
    rule = SignatureRule(images=("**",), notation=NotationRule(certificate=pem))
    with pytest.raises(PolicyError, match="too weak"):
        SignedImage().verify(rule)
