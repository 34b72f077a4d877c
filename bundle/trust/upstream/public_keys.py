"""Public keys of upstream, as cosign uses them.

Source: cosign's signature specification, "Signature Schemes"; sigstore's algorithm registry.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final, TypeGuard

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from bundle.base.digest import digest_of
from bundle.trust.keys.strength import MAX_RSA_BITS, MIN_RSA_BITS, weakness
from bundle.trust.upstream.verdict import NotGoodError

_Key = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
_SHA256: Final = hashes.SHA256()
# cosign signs with SHA-256 by whatever key, newer tools with the digest that fits the curve.
_CURVES: Final[dict[str, tuple[hashes.HashAlgorithm, ...]]] = {
    "secp256r1": (_SHA256,),
    "secp384r1": (_SHA256, hashes.SHA384()),
}


@dataclass(frozen=True)
class UpstreamKey:
    """A public key.

    Attributes:
        fingerprint: Digest of the key in DER (SubjectPublicKeyInfo).
    """

    fingerprint: str
    _key: _Key

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Return whether this key signed `data`."""
        if isinstance(self._key, ec.EllipticCurvePublicKey):
            chosen = _CURVES[self._key.curve.name]
            return any(self._verify_ec(self._key, signature, data, h) for h in chosen)
        try:
            if isinstance(self._key, rsa.RSAPublicKey):
                self._key.verify(signature, data, padding.PKCS1v15(), _SHA256)
            else:
                self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    @staticmethod
    def _verify_ec(
        key: ec.EllipticCurvePublicKey,
        signature: bytes,
        data: bytes,
        algorithm: hashes.HashAlgorithm,
    ) -> bool:
        try:
            key.verify(signature, data, ec.ECDSA(algorithm))
        except InvalidSignature:
            return False
        return True


def load_upstream_key(pem: str) -> UpstreamKey:
    """Read a public key.

    Raises:
        NotGoodError: Not one public key in PEM, of a kind that is used.
    """
    if pem.count("-----BEGIN") != 1 or "PRIVATE KEY" in pem:
        raise NotGoodError("expected one public key in PEM (-----BEGIN PUBLIC KEY-----)")
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotGoodError("expected one public key in PEM (-----BEGIN PUBLIC KEY-----)") from error
    if not _is_accepted(key):
        raise NotGoodError(
            "expected an ECDSA key (P-256, P-384), an Ed25519 key or an RSA key of "
            f"{MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
        )
    if wrong := weakness(key):
        raise NotGoodError(f"the key is weak: {wrong}")
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return UpstreamKey(digest_of(der), key)


def _is_accepted(key: object) -> TypeGuard[_Key]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    if isinstance(key, rsa.RSAPublicKey):
        return MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
    return isinstance(key, ed25519.Ed25519PublicKey)


def decode_base64(text: str, what: str) -> bytes:
    """Decode standard base64 strictly.

    Raises:
        NotGoodError: Empty, or not that.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotGoodError(f"{what} is not base64") from error
    if not data:
        raise NotGoodError(f"{what} is empty")
    return data
