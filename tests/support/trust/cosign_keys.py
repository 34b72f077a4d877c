"""Making cosign private keys, by the same rules as cosign and without its code."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nacl.secret import SecretBox

SCRYPT = {"N": 1024, "r": 8, "p": 1}
"""Weaker than cosign's, so that tests are fast."""


def cosign_key(
    private: Any, passphrase: bytes, kind: str = "SIGSTORE", scrypt: dict[str, int] | None = None
) -> bytes:
    """Write a private key as `cosign generate-key-pair` does.

    Args:
        private: Of the cryptography library.
        passphrase: Of the new file.
        kind: SIGSTORE, or COSIGN as before version 2.
        scrypt: Parameters.
    """
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return boxed(der, passphrase, kind, scrypt or SCRYPT)


def boxed(content: bytes, passphrase: bytes, kind: str, scrypt: dict[str, int]) -> bytes:
    """Put any content into cosign's envelope."""
    salt, nonce = os.urandom(32), os.urandom(24)
    key = hashlib.scrypt(
        passphrase, salt=salt, n=scrypt["N"], r=scrypt["r"], p=scrypt["p"], dklen=32
    )
    return pem(
        {
            "kdf": {"name": "scrypt", "params": scrypt, "salt": _text(salt)},
            "cipher": {"name": "nacl/secretbox", "nonce": _text(nonce)},
            "ciphertext": _text(SecretBox(key).encrypt(content, nonce).ciphertext),
        },
        kind,
    )


def pem(fields: Any, kind: str = "SIGSTORE") -> bytes:
    """Write any JSON as the PEM that cosign writes."""
    body = base64.encodebytes(json.dumps(fields).encode()).decode()
    title = f"ENCRYPTED {kind} PRIVATE KEY"
    return f"-----BEGIN {title}-----\n{body}-----END {title}-----\n".encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
