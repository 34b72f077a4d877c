"""The supported types of keys, and the exact form of a key and a signature of each.

securesystemslib signs and verifies. It accepts several encodings of a key, and anyone can turn an
ECDSA signature into a second valid one: s becomes n - s. A medium of which no byte may change needs
exactly one form, so only one is accepted here.

Source: TUF specification 1.0, section 4.2; TAP 21 (ML-DSA); FIPS 186-5; FIPS 204; SEC 1, C.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.signer import CryptoSigner, Key, Signature, SSlibKey

from bundle.base.errors import KeyFileError
from bundle.trust.keys.strength import weakness
from bundle.trust.keys.terms import MAX_PUBLIC_VALUE

KeyTypeName: TypeAlias = Literal["ed25519", "ecdsa-p256", "ecdsa-p384", "ml-dsa-65"]
"""As on the command line."""

KEY_TYPES: Final[tuple[KeyTypeName, ...]] = get_args(KeyTypeName)
DEFAULT_KEY_TYPE: Final = "ed25519"

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P384_ORDER: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffff"
    "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)


@dataclass(frozen=True, slots=True)
class _KeyType:
    """One type: its names in TUF metadata, how it is made, and how long its signatures are.

    Attributes:
        keytype: In a TUF key.
        scheme: In a TUF key.
        generate: From the operating system's randomness.
        signature_bytes: Of every signature; for ECDSA, of the longest.
        order: Of the curve's group, for ECDSA; 0 for types with only one form of signature.
    """

    keytype: str
    scheme: str
    generate: Callable[[], Any]
    signature_bytes: int
    order: int = 0


_TYPES: Final[dict[KeyTypeName, _KeyType]] = {
    "ed25519": _KeyType("ed25519", "ed25519", Ed25519PrivateKey.generate, 64),
    "ecdsa-p256": _KeyType(
        "ecdsa",
        "ecdsa-sha2-nistp256",
        lambda: ec.generate_private_key(ec.SECP256R1()),
        72,
        _P256_ORDER,
    ),
    "ecdsa-p384": _KeyType(
        "ecdsa",
        "ecdsa-sha2-nistp384",
        lambda: ec.generate_private_key(ec.SECP384R1()),
        104,
        _P384_ORDER,
    ),
    "ml-dsa-65": _KeyType("ml-dsa", "ml-dsa-65/1", MLDSA65PrivateKey.generate, 3309),
}
_NAMES: Final = {(t.keytype, t.scheme): name for name, t in _TYPES.items()}

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
MAX_SIGNATURE_HEX: Final = 2 * max(t.signature_bytes for t in _TYPES.values())
"""Characters of the longest signature of any type."""


class FileSigner(CryptoSigner):
    """A private key in memory, whose signatures are in canonical form."""

    def sign(self, payload: bytes) -> Signature:
        """Sign, and choose the smaller of ECDSA's two signatures."""
        return canonical_signature(self.public_key, super().sign(payload))


def generate_signer(type_: KeyTypeName) -> FileSigner:
    """Make a key."""
    return FileSigner(_TYPES[type_].generate())


def signer_of(private: Any) -> FileSigner | None:
    """Return a signer for a private key; None if its type is not supported."""
    try:
        public = SSlibKey.from_crypto(private.public_key())
    except (ValueError, AttributeError):
        return None
    if (public.keytype, public.scheme) not in _NAMES:
        return None
    return FileSigner(private, public)


def type_name(key: Key) -> str:
    """Return a key's type as on the command line, for people; the key was checked."""
    return _NAMES[key.keytype, key.scheme]


def public_value(key: Key, where: str) -> bytes:
    """Check a public key's encoding and return it as DER, by which keys are compared.

    Raises:
        KeyFileError: Of an unsupported type, not on its curve, weak, or not in our encoding.
    """
    der: bytes = _read(key, where)[0].public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def derived_id(key: Key, where: str) -> str:
    """Return the id that follows from a public key's value.

    Raises:
        KeyFileError: As `public_value`.
    """
    return _read(key, where)[1].keyid


def _read(key: Key, where: str) -> tuple[Any, SSlibKey]:
    value = key.keyval.get("public")
    known = (key.keytype, key.scheme) in _NAMES
    if known and isinstance(value, str) and len(value) <= MAX_PUBLIC_VALUE:
        try:
            public: Any = (
                Ed25519PublicKey.from_public_bytes(bytes.fromhex(value))
                if key.keytype == "ed25519"
                else load_pem_public_key(value.encode())
            )
            same = SSlibKey.from_crypto(public)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            pass
        else:
            if (same.keytype, same.scheme, same.keyval) == (key.keytype, key.scheme, key.keyval):
                if wrong := weakness(public):
                    raise KeyFileError(
                        f"{where}: key {str(key.keyid)[:16]} is weak: {wrong}",
                        "Do not use it: make a key with `isoward keys new`, and find out where "
                        "this one came from.",
                    )
                return public, same
    raise KeyFileError(
        f"{where}: key {str(key.keyid)[:16]} is not a public key of a supported type "
        f"({', '.join(KEY_TYPES)}), or not in canonical form",
        "Make keys with `isoward keys new`.",
    )


def is_signature_text(text: str) -> bool:
    """Return whether a text can be a signature of any type: lower-case hexadecimal, bounded."""
    return len(text) <= MAX_SIGNATURE_HEX and _HEX.fullmatch(text) is not None


def is_canonical(key: Key, signature: Signature) -> bool:
    """Return whether a signature is in the canonical form of its key's type."""
    name = _NAMES.get((key.keytype, key.scheme))
    if name is None or not is_signature_text(signature.signature):
        return False
    type_ = _TYPES[name]
    if not type_.order:
        return len(signature.signature) == 2 * type_.signature_bytes
    data = bytes.fromhex(signature.signature)
    try:
        r, s = decode_dss_signature(data)
        return s <= type_.order // 2 and encode_dss_signature(r, s) == data
    except ValueError:
        return False


def canonical_signature(key: Key, signature: Signature) -> Signature:
    """Return a new signature in canonical form: for ECDSA, with the smaller s."""
    order = _TYPES[_NAMES[key.keytype, key.scheme]].order
    if not order:
        return signature
    r, s = decode_dss_signature(bytes.fromhex(signature.signature))
    return Signature(signature.keyid, encode_dss_signature(r, min(s, order - s)).hex())
