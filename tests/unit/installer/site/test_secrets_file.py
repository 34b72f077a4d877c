"""A site's secrets: what SOPS encrypted with age, and nothing that was changed since."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.base.errors import DefinitionError
from installer.site.secrets_file import load_secrets, secret_names, secrets_problems
from tests.support.sites.sops import age_key, encrypted, sops

VALUES = {"sudoPassword": "hunter2hunter2 ü", "encryptionKey": "abcdefghijklmnopqrstuvwxyz012345"}
Change = Callable[[dict[str, Any]], None]


def _write(path: Path, data: object) -> Path:
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def test_the_real_sops_writes_what_we_read(tmp_path: Path) -> None:
    recipient = age_key(tmp_path / "keys.txt")
    path = _write(tmp_path / "secrets.yaml", VALUES)
    done = subprocess.run(
        [sops(), "encrypt", "--in-place", "--age", recipient, path],
        env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hunter2" not in path.read_text()
    assert load_secrets(path, tmp_path / "keys.txt") == VALUES


def test_the_real_sops_reads_what_our_tests_write(tmp_path: Path) -> None:
    recipient = age_key(tmp_path / "keys.txt")
    path = _write(tmp_path / "secrets.yaml", encrypted(VALUES, recipient))
    done = subprocess.run(
        [sops(), "decrypt", path],
        env={"HOME": str(tmp_path), "SOPS_AGE_KEY_FILE": str(tmp_path / "keys.txt")},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout) == VALUES


def test_secrets_are_read_with_the_key_and_their_names_without(tmp_path: Path) -> None:
    recipient = age_key(tmp_path / "keys.txt")
    path = _write(tmp_path / "secrets.yaml", encrypted(VALUES, recipient))
    assert secrets_problems(path) == []
    assert secret_names(path) == tuple(VALUES)
    assert load_secrets(path, tmp_path / "keys.txt") == VALUES


def _swap(data: dict[str, Any]) -> None:
    data["sudoPassword"], data["encryptionKey"] = data["encryptionKey"], data["sudoPassword"]


def _set(name: str, value: object) -> Change:
    return lambda data: data.__setitem__(name, value)


def _in_sops(name: str, value: object) -> Change:
    return lambda data: data["sops"].__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_swap, "was changed after"),
        (lambda data: data.pop("encryptionKey"), "MAC does not match"),
        (_set("sudoPassword", ""), "MAC does not match"),
        (_in_sops("lastmodified", "2026-01-02T03:04:06Z"), "'mac' was changed"),
        (_in_sops("lastmodified", "yesterday"), "no time of writing"),
        (_in_sops("key_groups", [{"age": []}]), "key_groups"),
        (_in_sops("mac_only_encrypted", True), "mac_only_encrypted"),
        (_set("sudoPassword", "ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]"), "damaged"),
        (_set("sudoPassword", "ENC[plain]"), "not an encrypted text"),
        (_set("other", "ENC[x]"), "line 3: expected one of sudoPassword, encryptionKey, found"),
    ],
)
def test_what_was_changed_is_refused_without_a_word_of_it(
    tmp_path: Path, change: Change, says: str
) -> None:
    recipient = age_key(tmp_path / "keys.txt")
    data = encrypted(VALUES, recipient)
    sops_part = data.pop("sops")
    changed = {**data, "sops": sops_part}
    change(changed)
    if "other" in changed:
        changed["sops"] = changed.pop("sops")
    path = _write(tmp_path / "secrets.yaml", changed)
    with pytest.raises(DefinitionError, match=says) as caught:
        load_secrets(path, tmp_path / "keys.txt")
    for value in VALUES.values():
        assert value not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"encryptionKey": "tooshort"}, "expected 32 letters and digits.*found 8 characters"),
        ({"encryptionKey": "ü" * 32}, "expected 32 letters and digits"),
        ({"sudoPassword": "abc"}, "expected at least 6 characters, found 3"),
    ],
)
def test_a_secret_that_cannot_be_meant_is_refused(
    tmp_path: Path, values: dict[str, str], says: str
) -> None:
    recipient = age_key(tmp_path / "keys.txt")
    path = _write(tmp_path / "secrets.yaml", encrypted(values, recipient))
    with pytest.raises(DefinitionError, match=says):
        load_secrets(path, tmp_path / "keys.txt")


def test_a_number_is_no_text(tmp_path: Path) -> None:
    recipient = age_key(tmp_path / "keys.txt")
    data = encrypted({"sudoPassword": "123456"}, recipient, kind="int")
    with pytest.raises(DefinitionError, match="not an encrypted text"):
        load_secrets(_write(tmp_path / "secrets.yaml", data), tmp_path / "keys.txt")


def test_the_right_key_is_needed_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    recipient, key = age_key(tmp_path / "keys.txt"), tmp_path / "keys.txt"
    path = _write(tmp_path / "secrets.yaml", encrypted(VALUES, recipient))
    age_key(tmp_path / "other.txt")
    with pytest.raises(DefinitionError, match=f"none of the given keys.* {recipient}"):
        load_secrets(path, tmp_path / "other.txt")
    with pytest.raises(DefinitionError, match="found none"):
        load_secrets(path, tmp_path / "none.txt")
    key.chmod(0o640)
    with pytest.raises(DefinitionError, match="mode 640"):
        load_secrets(path, key)
    key.chmod(0o600)
    key.write_text("no key at all\n")
    with pytest.raises(DefinitionError, match="something else") as caught:
        load_secrets(path, key)
    assert "no key at all" not in str(caught.value)
