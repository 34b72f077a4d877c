"""Imports the private key of a cosign key pair.

The file is PEM around JSON: a PKCS8 key in a NaCl secret box, whose key comes from a passphrase by
scrypt.

Source: cosign, `pkg/cosign/keys.go`; go-securesystemslib, `encrypted`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

from bundle.base.errors import KeyFileError, UsageError
from bundle.base.extras import VENDOR, how_to_install
from bundle.base.limits import MIB
from bundle.trust.keys.schemes import KEY_TYPES, FileSigner, signer_of
from bundle.trust.keys.stored import name_key

_PEM: Final = re.compile(
    rb"\s*-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----\s+"
    rb"([A-Za-z0-9+/=\s]+)"
    rb"-----END ENCRYPTED \1 PRIVATE KEY-----\s*"
)
_MAX_MEMORY: Final = 256 * MIB
"""For scrypt; cosign's own parameters need 64 MiB."""
_KEY_BYTES: Final = 32


class _ScryptParameters(msgspec.Struct, frozen=True):
    n: Annotated[int, msgspec.Meta(ge=2, le=2**20)] = msgspec.field(name="N")
    r: Annotated[int, msgspec.Meta(ge=1, le=64)]
    p: Annotated[int, msgspec.Meta(ge=1, le=16)]


class _Kdf(msgspec.Struct, frozen=True):
    name: Literal["scrypt"]
    params: _ScryptParameters
    salt: str


class _Cipher(msgspec.Struct, frozen=True):
    name: Literal["nacl/secretbox"]
    nonce: str


class _Box(msgspec.Struct, frozen=True):
    kdf: _Kdf
    cipher: _Cipher
    ciphertext: str


def open_cosign_key(data: bytes, passphrase: bytes, name: str, where: str) -> FileSigner:
    """Decrypt a cosign private key.

    Args:
        data: The file.
        passphrase: Of the cosign key; cosign allows an empty one.
        name: Of the holder, for the public key.
        where: The file's name, for messages.
    Raises:
        KeyFileError: Not such a file, a wrong passphrase, or an unsupported type of key.
    """
    private_bytes = _decrypt(_parse(data, where), passphrase, where)
    try:
        private = load_der_private_key(private_bytes, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _not_ours(where) from error
    signer = signer_of(private)
    if signer is None:
        raise _not_ours(where)
    name_key(signer.public_key, name)
    return signer


def _parse(data: bytes, where: str) -> _Box:
    found = _PEM.fullmatch(data)
    try:
        text = b"".join(found[2].split()) if found else b""
        return msgspec.json.decode(base64.b64decode(text, validate=True), type=_Box)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise KeyFileError(
            f"{where}: expected a cosign private key (ENCRYPTED SIGSTORE PRIVATE KEY), "
            "found something else",
            "Give the .key file that `cosign generate-key-pair` wrote.",
        ) from error


def _decrypt(box: _Box, passphrase: bytes, where: str) -> bytes:
    try:
        from nacl.exceptions import CryptoError
        from nacl.secret import SecretBox
    except ImportError as error:
        raise UsageError(
            "importing a cosign key needs PyNaCl, which is not installed here",
            how_to_install(VENDOR),
        ) from error
    params = box.kdf.params
    try:
        salt, nonce, ciphertext = (
            base64.b64decode(text, validate=True)
            for text in (box.kdf.salt, box.cipher.nonce, box.ciphertext)
        )
        key = hashlib.scrypt(
            passphrase,
            salt=salt,
            n=params.n,
            r=params.r,
            p=params.p,
            maxmem=_MAX_MEMORY,
            dklen=_KEY_BYTES,
        )
        return SecretBox(key).decrypt(ciphertext, nonce)
    except CryptoError as error:
        raise KeyFileError(
            f"{where}: the passphrase is wrong, or the file is damaged", "Try again."
        ) from error
    except (ValueError, TypeError) as error:
        raise KeyFileError(
            f"{where}: the cosign key is damaged: {error}", "Give cosign's unchanged file."
        ) from error


def _not_ours(where: str) -> KeyFileError:
    return KeyFileError(
        f"{where}: expected a key of type {', '.join(KEY_TYPES)}, found another",
        "Make a key with `isoward keys new` instead.",
    )
