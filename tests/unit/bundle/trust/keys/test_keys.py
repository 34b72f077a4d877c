"""Keys in files: what is written, what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bundle.base.errors import KeyFileError, StorageError
from bundle.trust.keys.stored import (
    check_name,
    generate_key,
    holder,
    is_encrypted,
    is_exposed,
    load_key,
    load_public_key,
    write_key,
)

PASSPHRASE = b"correct horse battery"


def test_a_key_comes_back_with_its_holder(tmp_path: Path) -> None:
    key = generate_key("Ada Example")
    public = write_key(key, tmp_path / "ada.pem", PASSPHRASE)
    assert public == tmp_path / "ada.pub"
    loaded = load_key(tmp_path / "ada.pem", PASSPHRASE)
    assert loaded.public_key.keyid == key.public_key.keyid
    assert holder(load_public_key(public)) == "Ada Example"
    assert load_public_key(public).keyid == key.public_key.keyid


def test_the_private_key_is_for_its_owner_and_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "ada.pem"
    write_key(generate_key("Ada"), path, PASSPHRASE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert is_encrypted(path)
    assert not is_exposed(path)
    path.chmod(0o640)
    assert is_exposed(path)
    load_key(path, PASSPHRASE)


def test_a_build_system_s_key_has_no_passphrase(tmp_path: Path) -> None:
    write_key(generate_key("Build"), tmp_path / "build", None)
    assert not is_encrypted(tmp_path / "build")
    assert (tmp_path / "build.pub").is_file()
    load_key(tmp_path / "build")


@pytest.mark.parametrize("taken", ["ada.pem", "ada.pub"])
def test_no_file_is_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(KeyFileError, match="never overwritten"):
        write_key(generate_key("Ada"), tmp_path / "ada.pem", PASSPHRASE)
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "ada.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        write_key(generate_key("Ada"), tmp_path / "ada.pem", PASSPHRASE)
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        write_key(generate_key("Ada"), tmp_path / "no" / "ada.pem", PASSPHRASE)
    assert list(tmp_path.iterdir()) == []


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="too short"):
        write_key(generate_key("Ada"), tmp_path / "ada.pem", b"short")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("passphrase", "says"), [(b"wrong wrong wrong", "wrong"), (None, "no pass")]
)
def test_the_passphrase_must_be_right(tmp_path: Path, passphrase: bytes | None, says: str) -> None:
    write_key(generate_key("Ada"), tmp_path / "ada.pem", PASSPHRASE)
    with pytest.raises(KeyFileError, match=says):
        load_key(tmp_path / "ada.pem", passphrase)


@pytest.mark.parametrize(
    "data", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_private_key_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.pem").write_bytes(data)
    with pytest.raises(KeyFileError, match="expected a private key"):
        load_key(tmp_path / "x.pem")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    key = generate_private_key(65537, 2048)
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "rsa.pem").write_bytes(data)
    with pytest.raises(KeyFileError, match="expected a private key"):
        load_key(tmp_path / "rsa.pem")


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        load_key(tmp_path / "none.pem")
    (tmp_path / "huge.pem").write_bytes(b"x" * 70_000)
    with pytest.raises(KeyFileError, match="at most"):
        load_key(tmp_path / "huge.pem")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("keyid", "00" * 32),
        ("keyid", None),
        ("keytype", "rsa"),
        ("keyval", {"public": "zz"}),
        ("keyval", {"public": "AB" * 32}),
        ("keyval", 5),
        ("x-isoward-name", ""),
        ("x-isoward-name", "Ada\u202eexe"),
        ("x-isoward-name", 5),
    ],
)
def test_an_edited_public_key_is_refused(tmp_path: Path, field: str, value: object) -> None:
    public = write_key(generate_key("Ada"), tmp_path / "ada.pem", None)
    fields = json.loads(public.read_text())
    fields[field] = value
    public.write_text(json.dumps(fields))
    with pytest.raises(KeyFileError):
        load_public_key(public)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 60_000])
def test_what_is_no_public_key_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.pub").write_bytes(data)
    with pytest.raises(KeyFileError, match="expected a public key file"):
        load_public_key(tmp_path / "x.pub")


@pytest.mark.parametrize("name", ["", " Ada", "Ada\n", "\x1b[31mAda", "x" * 101])
def test_a_name_that_a_terminal_would_not_show_is_refused(name: str) -> None:
    with pytest.raises(KeyFileError):
        check_name(name)
