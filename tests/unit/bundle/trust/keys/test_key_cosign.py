"""Importing cosign's private keys."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bundle.base.errors import KeyFileError, UsageError
from bundle.cli.main import run
from bundle.trust.keys.from_cosign import open_cosign_key
from bundle.trust.keys.schemes import type_name
from bundle.trust.keys.stored import holder, load_key
from tests.support.trust.commands import descriptor_with
from tests.support.trust.cosign_keys import SCRYPT, boxed, cosign_key, pem

PASSPHRASE = b"cosign's own"


def _p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("kind", ["SIGSTORE", "COSIGN"])
@pytest.mark.parametrize(
    ("make", "type_"),
    [
        (_p256, "ecdsa-p256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ecdsa-p384"),
        (Ed25519PrivateKey.generate, "ed25519"),
    ],
    ids=["p256", "p384", "ed25519"],
)
def test_a_cosign_key_becomes_ours(make: Callable[[], Any], type_: str, kind: str) -> None:
    private = make()
    key = open_cosign_key(cosign_key(private, PASSPHRASE, kind), PASSPHRASE, "Ada", "cosign.key")
    assert (holder(key.public_key), type_name(key.public_key)) == ("Ada", type_)
    key.public_key.verify_signature(key.sign(b"x"), b"x")


def test_an_empty_passphrase_is_possible() -> None:
    key = open_cosign_key(cosign_key(_p256(), b""), b"", "Ada", "cosign.key")
    assert holder(key.public_key) == "Ada"


def test_a_wrong_passphrase_is_said() -> None:
    with pytest.raises(KeyFileError, match=r"cosign\.key: the passphrase is wrong"):
        open_cosign_key(cosign_key(_p256(), PASSPHRASE), b"another", "Ada", "cosign.key")


def test_a_key_of_another_type_is_refused() -> None:
    data = cosign_key(rsa.generate_private_key(65537, 2048), PASSPHRASE)
    with pytest.raises(KeyFileError, match="expected a key of type"):
        open_cosign_key(data, PASSPHRASE, "Ada", "cosign.key")


def test_what_decrypts_to_no_key_is_refused() -> None:
    with pytest.raises(KeyFileError, match="expected a key of type"):
        open_cosign_key(boxed(b"no key", PASSPHRASE, "SIGSTORE", SCRYPT), PASSPHRASE, "A", "x")


GOOD = json.loads(base64.b64decode(b"".join(cosign_key(_p256(), PASSPHRASE).splitlines()[1:-1])))


def _with(path: str, value: object) -> bytes:
    copy = json.loads(json.dumps(GOOD))
    *parents, last = path.split(".")
    inner = copy
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return pem(copy)


DAMAGED = {
    "empty": b"",
    "our own PEM": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "no base64": b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nA\n"
    b"-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
    "two titles": cosign_key(_p256(), PASSPHRASE).replace(b"END ENCRYPTED SIGSTORE", b"END COSIGN"),
    "no JSON object": pem([]),
    "deep": pem(json.loads("[" * 500 + "]" * 500)),
    "another kdf": _with("kdf.name", "pbkdf2"),
    "another cipher": _with("cipher.name", "aes"),
    "cost beyond reason": _with("kdf.params.N", 2**30),
    "cost beyond memory": _with("kdf.params", {"N": 2**20, "r": 8, "p": 1}),
    "cost no power of two": _with("kdf.params.N", 1000),
    "cost of zero": _with("kdf.params.r", 0),
    "salt is no base64": _with("kdf.salt", "?"),
    "short nonce": _with("cipher.nonce", "AAAA"),
    "short box": _with("ciphertext", "AAAA"),
    "number for text": _with("ciphertext", 5),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_cosign_key_is_refused(case: str) -> None:
    with pytest.raises(KeyFileError):
        open_cosign_key(DAMAGED[case], PASSPHRASE, "Ada", "cosign.key")


def test_the_command_asks_for_both_passphrases(tmp_path: Path) -> None:
    (tmp_path / "cosign.key").write_bytes(cosign_key(_p256(), PASSPHRASE))
    arguments = ["keys", "import-cosign", str(tmp_path / "cosign.key"), "Ada Example"]
    arguments += ["-o", str(tmp_path / "ada.pem")]
    with descriptor_with("cosign's own\ncorrect horse battery\n") as fd:
        assert run([*arguments, "--passphrase-fd", fd]) == 0
    assert (tmp_path / "ada.pem").stat().st_mode & 0o777 == 0o600
    key = load_key(tmp_path / "ada.pem", b"correct horse battery")
    assert type_name(key.public_key) == "ecdsa-p256"


def test_a_refused_import_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "cosign.key").write_bytes(cosign_key(_p256(), PASSPHRASE))
    arguments = ["keys", "import-cosign", str(tmp_path / "cosign.key"), "Ada Example"]
    arguments += ["-o", str(tmp_path / "ada.pem")]
    for lines in ("wrong\ncorrect horse battery\n", "cosign's own\nshort\n"):
        with descriptor_with(lines) as fd:
            assert run([*arguments, "--passphrase-fd", fd]) == 38
    assert [path.name for path in tmp_path.iterdir()] == ["cosign.key"]


def test_without_pynacl_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nacl", "nacl.exceptions", "nacl.secret"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match="PyNaCl") as caught:
        open_cosign_key(pem(GOOD), PASSPHRASE, "Ada", "cosign.key")
    assert "[vendor]" in caught.value.hint
