"""Reading a file that SOPS encrypted with age: flat, texts only, and every byte of it vouched for.

The file's key is in the file, encrypted for each recipient by age (pyrage); each value is
encrypted with it by AES-256-GCM, bound to its name; and a MAC over all values, encrypted likewise
and bound to the time, says that none is missing or was put in the place of another.

Source: SOPS 3.11, README ("Encryption Protocol", "Message Authentication Code"), aes/cipher.go and
sops.go.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bundle.base.errors import DefinitionError

_VALUE: Final = re.compile(
    r"ENC\[AES256_GCM,data:(?P<data>[A-Za-z0-9+/=]*),iv:(?P<iv>[A-Za-z0-9+/=]+),"
    r"tag:(?P<tag>[A-Za-z0-9+/=]+),type:(?P<type>[a-z]+)\]"
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_KEY_BYTES: Final = 32
_IV_BYTES: Final = (8, 128)
_TAG_BYTES: Final = 16
_MAX_RECIPIENTS: Final = 64
_UNKNOWN: Final = ("key_groups", "shamir_threshold", "mac_only_encrypted")
"""Of SOPS's own fields, those that would change what the rest means."""


def decrypt(tree: Mapping[str, Any], identities: Sequence[str], where: str) -> dict[str, str]:
    """Return the values of a file by their names.

    Args:
        tree: The file, parsed; its names and values in the order of the file.
        identities: Private keys of age, `AGE-SECRET-KEY-1...`.
        where: The file's name, for messages, which never quote a value.
    Raises:
        DefinitionError: No key opens it, something was changed, or it is more than we read.
    """
    metadata = tree.get("sops")
    if not isinstance(metadata, dict):
        raise _refuse(where, "it has no part `sops`")
    for name in _UNKNOWN:
        if metadata.get(name):
            raise _refuse(where, f"it uses {name}, which is not supported here")
    key = _file_key(metadata, identities, where)
    values: dict[str, str] = {}
    whole = hashlib.sha512()
    for name, value in tree.items():
        if name != "sops":
            values[name] = _open(key, value, f"{name}:", where=where, name=name)
            whole.update(values[name].encode())
    at = str(metadata.get("lastmodified", ""))
    if _TIME.fullmatch(at) is None:
        raise _refuse(where, "it has no time of writing")
    promised = _open(key, metadata.get("mac"), at, where=where, name="mac")
    if not hmac.compare_digest(promised, whole.hexdigest().upper()):
        raise _refuse(where, "its MAC does not match: something was added, removed or moved")
    return values


def _file_key(metadata: Mapping[str, Any], identities: Sequence[str], where: str) -> bytes:
    recipients = metadata.get("age")
    if not isinstance(recipients, list) or not 0 < len(recipients) <= _MAX_RECIPIENTS:
        raise _refuse(where, "it is not encrypted for a key of age")
    try:
        mine = [pyrage.x25519.Identity.from_str(identity) for identity in identities]
    except pyrage.IdentityError as error:
        raise DefinitionError(
            "--age-key: expected private keys of age, found something else",
            "Make one with `age-keygen -o FILE`.",
        ) from error
    for recipient in recipients:
        text = recipient.get("enc") if isinstance(recipient, dict) else None
        if not isinstance(text, str):
            continue
        try:
            key = pyrage.decrypt(text.strip().encode(), mine)
        except pyrage.DecryptError:
            # Meant for somebody else, or damaged; the next one may be ours.
            continue
        if len(key) == _KEY_BYTES:
            return bytes(key)
    known = [str(recipient.get("recipient")) for recipient in recipients if recipient]
    raise DefinitionError(
        f"{where}: none of the given keys decrypts it; it is for {', '.join(known)[:300]}",
        "Name the file of the private key with --age-key.",
    )


def _open(key: bytes, value: Any, bound_to: str, where: str, name: str) -> str:
    """Decrypt one value; an empty one is never encrypted."""
    if value == "":
        return ""
    found = _VALUE.fullmatch(value) if isinstance(value, str) else None
    if found is None or found["type"] != "str":
        raise _refuse(where, f"{name!r} is not an encrypted text")
    try:
        data, iv, tag = (base64.b64decode(found[part], validate=True)
                         for part in ("data", "iv", "tag"))  # fmt: skip
    except binascii.Error as error:
        raise _refuse(where, f"{name!r} is damaged") from error
    least, most = _IV_BYTES
    if not least <= len(iv) <= most or len(tag) != _TAG_BYTES:
        raise _refuse(where, f"{name!r} is damaged")
    try:
        return AESGCM(key).decrypt(iv, data + tag, bound_to.encode()).decode()
    except (InvalidTag, UnicodeDecodeError) as error:
        raise _refuse(where, f"{name!r} was changed after it was encrypted") from error


def _refuse(where: str, why: str) -> DefinitionError:
    return DefinitionError(
        f"{where}: {why}", "Use the file that SOPS wrote, or encrypt it again with `sops`."
    )
