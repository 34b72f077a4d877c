"""Key pairs of stock cosign, imported; and which of our types stock cosign verifies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bundle.base.errors import KeyFileError
from bundle.cli.main import run
from bundle.trust.attestations.envelope import detached_signature, public_pem
from bundle.trust.keys.from_cosign import open_cosign_key
from bundle.trust.keys.schemes import KeyTypeName, type_name
from bundle.trust.keys.stored import generate_key, load_key
from tests.support.programs.go_tools import BUILD_SECONDS, go_tool
from tests.support.trust.commands import descriptor_with

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(BUILD_SECONDS + 300)]

DATA = b"signed by one, verified by the other"
PASSWORD = "cosign's own"


@pytest.fixture(scope="module")
def cosign() -> Path:
    return go_tool("cosign")


@pytest.fixture
def key_pair(tmp_path: Path, cosign: Path) -> Path:
    """Let cosign make a key pair, and return the private key's file."""
    _run(cosign, tmp_path, "generate-key-pair")
    return tmp_path / "cosign.key"


def _run(cosign: Path, directory: Path, *arguments: str) -> None:
    """Run cosign, which has no other way to get a password than its environment or a terminal."""
    subprocess.run(
        [cosign, *arguments],
        cwd=directory,
        env={**os.environ, "COSIGN_PASSWORD": PASSWORD},
        check=True,
        capture_output=True,
        timeout=120,
    )


def _verifies(cosign: Path, directory: Path, signature: bytes, key: Path) -> bool:
    (directory / "data").write_bytes(DATA)
    (directory / "data.sig").write_bytes(signature)
    asked = ["--insecure-ignore-tlog", "--key", str(key), "--signature", "data.sig", "data"]
    done = subprocess.run(
        [cosign, "verify-blob", *asked],
        cwd=directory,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ("Verified OK" in done.stdout + done.stderr) == (done.returncode == 0)
    return done.returncode == 0


def test_a_key_pair_of_cosign_signs_here_and_verifies_there(
    tmp_path: Path, cosign: Path, key_pair: Path
) -> None:
    ours = tmp_path / "ada.pem"
    arguments = ["keys", "import-cosign", str(key_pair), "Ada Example", "-o", str(ours)]
    with descriptor_with(f"{PASSWORD}\ncorrect horse battery\n") as fd:
        assert run([*arguments, "--passphrase-fd", fd]) == 0
    key = load_key(ours, b"correct horse battery")
    assert type_name(key.public_key) == "ecdsa-p256"
    assert public_pem(key.public_key) == (tmp_path / "cosign.pub").read_bytes()
    signature = detached_signature(DATA, key)
    assert _verifies(cosign, tmp_path, signature, tmp_path / "cosign.pub")
    other = detached_signature(DATA, generate_key("Bob", "ecdsa-p256"))
    assert not _verifies(cosign, tmp_path, other, tmp_path / "cosign.pub")


def test_a_wrong_password_of_cosign_is_said(key_pair: Path) -> None:
    with pytest.raises(KeyFileError, match="the passphrase is wrong"):
        open_cosign_key(key_pair.read_bytes(), b"another", "Ada", "cosign.key")


def test_a_key_that_cosign_imported_can_be_imported_here(tmp_path: Path, cosign: Path) -> None:
    key = generate_key("Ada", "ecdsa-p384")
    (tmp_path / "openssl.pem").write_bytes(key.private_bytes)
    _run(cosign, tmp_path, "import-key-pair", "--key", "openssl.pem")
    data = (tmp_path / "import-cosign.key").read_bytes()
    back = open_cosign_key(data, PASSWORD.encode(), "Ada", "import-cosign.key")
    assert back.public_key.keyid == key.public_key.keyid


@pytest.mark.parametrize(
    ("type_", "verdict"),
    [("ed25519", True), ("ecdsa-p256", True), ("ecdsa-p384", False), ("ml-dsa-65", False)],
)
def test_which_types_cosign_verifies(
    tmp_path: Path, cosign: Path, type_: KeyTypeName, verdict: bool
) -> None:
    """With a key in a file cosign 3 hashes for ECDSA by SHA-256, and does not know ML-DSA."""
    key = generate_key("Ada", type_)
    (tmp_path / "ada.public.pem").write_bytes(public_pem(key.public_key))
    signature = detached_signature(DATA, key)
    assert _verifies(cosign, tmp_path, signature, tmp_path / "ada.public.pem") is verdict
