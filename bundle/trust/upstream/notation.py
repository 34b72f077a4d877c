"""Notation signatures in the JWS envelope, below a certificate; offline.

Without a countersignature of a timestamp authority, which a rule has no place for, the signing time
is only claimed. So a certificate must be valid at that time and now; where the scheme is that of a
signing authority, the time is the authority's word, and now does not matter.

Source: notaryproject/specifications: signature-specification.md, signature-envelope-jws.md,
trust-store-trust-policy.md, "Signature Evaluation".
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from bundle.kinds.policy import NotationRule
from bundle.trust.upstream.chain import MAX_CERTIFICATES, check_chain, load_certificate, subject_of
from bundle.trust.upstream.public_keys import decode_base64
from bundle.trust.upstream.strict_json import strict_object, text_at
from bundle.trust.upstream.verdict import (
    Bad,
    Good,
    NotGoodError,
    SignatureManifest,
    Subject,
    Verdict,
)

ARTIFACT_TYPE: Final = "application/vnd.cncf.notary.signature"
JWS: Final = "application/jose+json"
COSE: Final = "application/cose"
_PAYLOAD_TYPE: Final = "application/vnd.cncf.notary.payload.v1+json"
_PREFIX: Final = "io.cncf.notary."
_SCHEME: Final = f"{_PREFIX}signingScheme"
_TIME: Final = f"{_PREFIX}signingTime"
_AUTHENTIC_TIME: Final = f"{_PREFIX}authenticSigningTime"
_EXPIRY: Final = f"{_PREFIX}expiry"
_PLAIN: Final = "notary.x509"
_AUTHORITY: Final = "notary.x509.signingAuthority"
_UNDERSTOOD: Final = frozenset({_SCHEME, _AUTHENTIC_TIME, _EXPIRY})
# The specification ties each algorithm to a size of key.
_RSA: Final[dict[str, tuple[int, hashes.HashAlgorithm]]] = {
    "PS256": (2048, hashes.SHA256()),
    "PS384": (3072, hashes.SHA384()),
    "PS512": (4096, hashes.SHA512()),
}
_EC: Final[dict[str, tuple[str, hashes.HashAlgorithm]]] = {
    "ES256": ("secp256r1", hashes.SHA256()),
    "ES384": ("secp384r1", hashes.SHA384()),
    "ES512": ("secp521r1", hashes.SHA512()),
}


class NotationVerifier:
    """Verifies by a certificate."""

    def __init__(self, rule: NotationRule, now: dt.datetime) -> None:
        """Accept what certificates below the rule's signed.

        Raises:
            NotGoodError: Its certificate cannot be used.
        """
        self._anchor = load_certificate(rule.certificate)
        self._now = now

    def judge(self, manifest: SignatureManifest, subject: Subject) -> Iterator[Verdict]:
        """Judge the one signature of a signature manifest."""
        try:
            yield self._judge(manifest, subject)
        except NotGoodError as error:
            yield Bad(str(error))
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
            # Certificates are read lazily, so what is wrong in one shows late.
            yield Bad(f"a certificate is malformed ({type(error).__name__})")

    def _judge(self, manifest: SignatureManifest, subject: Subject) -> Good:
        if len(manifest.body.layers) != 1:
            raise NotGoodError(f"expected one envelope, found {len(manifest.body.layers)}")
        layer = manifest.body.layers[0]
        if layer.media_type == COSE:
            raise NotGoodError("its envelope is COSE; only JWS is supported")
        if layer.media_type != JWS:
            raise NotGoodError(f"its envelope has the unknown type {layer.media_type[:100]!r}")
        envelope = strict_object(manifest.read(layer), "envelope")
        header = strict_object(_part(envelope, "protected"), "protected header")
        chain = _certificates(envelope)
        _verify(envelope, text_at(header, "alg"), chain[0])
        self._check_times(header, chain)
        _check_target(strict_object(_part(envelope, "payload"), "payload"), subject)
        return Good(subject_of(chain[0]))

    def _check_times(self, header: Mapping[str, Any], chain: list[x509.Certificate]) -> None:
        scheme = _check_header(header)
        expiry = _time(header, _EXPIRY)
        if expiry is not None and expiry <= self._now:
            raise NotGoodError(f"it expired at {expiry:%Y-%m-%d %H:%M} UTC")
        signed = _time(header, _TIME if scheme == _PLAIN else _AUTHENTIC_TIME)
        if signed is None:
            raise NotGoodError("its signing time is missing")
        if signed > self._now:
            raise NotGoodError(
                f"its claimed signing time, {signed:%Y-%m-%d %H:%M} UTC, is in the future"
            )
        check_chain(chain, self._anchor, signed)
        if scheme == _PLAIN:
            check_chain(chain, self._anchor, self._now)


def _part(envelope: Mapping[str, Any], name: str) -> bytes:
    """Decode a part of an envelope: base64url without padding, in its only spelling."""
    text = text_at(envelope, name)
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise NotGoodError(f"its {name} is not base64url") from error
    if not data or base64.urlsafe_b64encode(data).rstrip(b"=") != text.encode():
        raise NotGoodError(f"its {name} is not base64url")
    return data


def _certificates(envelope: Mapping[str, Any]) -> list[x509.Certificate]:
    header = envelope.get("header")
    entries = header.get("x5c") if isinstance(header, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_CERTIFICATES:
        raise NotGoodError(f"expected 1 to {MAX_CERTIFICATES} certificates in x5c")
    try:
        return [
            x509.load_der_x509_certificate(decode_base64(str(entry), "a certificate"))
            for entry in entries
        ]
    except ValueError as error:
        raise NotGoodError("a certificate in x5c is malformed") from error


def _verify(envelope: Mapping[str, Any], algorithm: str, certificate: x509.Certificate) -> None:
    signed = f"{text_at(envelope, 'protected')}.{text_at(envelope, 'payload')}".encode()
    signature = _part(envelope, "signature")
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm in _RSA:
            bits, digest = _RSA[algorithm]
            if key.key_size == bits:
                salted = padding.PSS(padding.MGF1(digest), digest.digest_size)
                key.verify(signature, signed, salted, digest)
                return
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm in _EC:
            curve, digest = _EC[algorithm]
            if key.curve.name == curve:
                key.verify(_der_signature(signature, key.key_size), signed, ec.ECDSA(digest))
                return
    except InvalidSignature as error:
        raise NotGoodError("its signature does not match its payload") from error
    raise NotGoodError(f"algorithm {algorithm[:20]!r} does not match its certificate's key")


def _der_signature(raw: bytes, bits: int) -> bytes:
    size = (bits + 7) // 8
    if len(raw) != 2 * size:
        raise NotGoodError("its signature has the wrong length")
    numbers = int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big")
    return utils.encode_dss_signature(*numbers)


def _check_header(header: Mapping[str, Any]) -> str:
    """Check what the protected header demands, and return the signing scheme."""
    if text_at(header, "cty") != _PAYLOAD_TYPE:
        raise NotGoodError(f"its payload has the unknown type {text_at(header, 'cty')[:100]!r}")
    scheme = text_at(header, _SCHEME)
    if scheme not in {_PLAIN, _AUTHORITY}:
        raise NotGoodError(f"its signing scheme {scheme[:100]!r} is unknown")
    critical = header.get("crit")
    if not isinstance(critical, list) or not all(isinstance(name, str) for name in critical):
        raise NotGoodError("its list of critical headers is missing")
    unknown = set(critical) - _UNDERSTOOD
    if unknown:
        raise NotGoodError(f"it has an unsupported critical header ({min(unknown)[:100]})")
    for name in {_SCHEME, *(_UNDERSTOOD & header.keys())} - set(critical):
        raise NotGoodError(f"{name} is not marked critical")
    if (scheme == _AUTHORITY) == (_AUTHENTIC_TIME not in header):
        raise NotGoodError("its signing time does not match its signing scheme")
    return scheme


def _time(header: Mapping[str, Any], name: str) -> dt.datetime | None:
    if name not in header:
        return None
    try:
        found = dt.datetime.fromisoformat(text_at(header, name))
        if found.tzinfo is None:
            raise NotGoodError(f"{name} is not a time with a time zone")
        return found.astimezone(dt.UTC)
    except (ValueError, OverflowError) as error:
        raise NotGoodError(f"{name} is not a time") from error


def _check_target(payload: Mapping[str, Any], subject: Subject) -> None:
    target = payload.get("targetArtifact")
    if not isinstance(target, dict):
        raise NotGoodError("its payload does not name an artifact")
    found = (target.get("digest"), target.get("size"), target.get("mediaType"))
    if found != (subject.digest, len(subject.data), subject.media_type):
        raise NotGoodError(f"it signs {str(found[0])[:100]}")
