from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError
from bundler.registry.logins import NetrcCredentials, load_logins


def test_the_hosts_of_a_netrc_file(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    path.write_text(
        "machine index.example.org login ada password s3cret\n"
        "machine [::1] login six password p6\ndefault login any password where\n"
    )
    found = NetrcCredentials(path)
    for host in ("index.example.org", "index.example.org:8443"):
        credential = found.find(host)
        assert credential is not None
        assert (credential.user, credential.password) == ("ada", "s3cret")
    assert found.find("other.example.org") is None
    assert found.find("example.org") is None
    assert found.find("default") is None
    six = found.find("[::1]:8443")
    assert six is not None
    assert six.user == "six"


def test_dockers_come_first_and_nothing_is_needed(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert load_logins(environ).find("index.example.org") is None
    (tmp_path / ".netrc").write_text("machine index.example.org login ada password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    found = load_logins(environ).find("index.example.org")
    assert found is not None
    assert found.user == "ada"
    (tmp_path / ".docker").mkdir()
    auths = {"index.example.org": {"auth": "YmVuOnB3"}}
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
    found = load_logins(environ).find("index.example.org")
    assert found is not None
    assert found.user == "ben"
    other = tmp_path / "other"
    other.write_text("machine files.example.org login cleo password pw\n")
    found = load_logins({**environ, "NETRC": str(other)}).find("files.example.org")
    assert found is not None
    assert found.user == "cleo"


@pytest.mark.parametrize("data", [b"machine x login s3cret-and no\n", b"\xff\xfe"])
def test_a_file_that_is_none_is_refused_without_its_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "netrc"
    path.write_bytes(data)
    with pytest.raises(DefinitionError, match="it is not a netrc file") as caught:
        NetrcCredentials(path)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="directory"):
        NetrcCredentials(tmp_path)
