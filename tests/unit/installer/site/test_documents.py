from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import DefinitionError, StorageError
from installer.site.load import load_site, parse_site
from tests.support.sites.plain import HOST_KEY, node_data, site_data, write_site

_ROOT = Path(__file__).resolve().parents[4]


def test_a_site_is_read_and_its_key_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    path = write_site(tmp_path, site_data())
    loaded = load_site(path)
    assert loaded.site.metadata.name == "ward"
    assert loaded.ssh_key == tmp_path / "id_ed25519"


def test_the_sample_site_is_a_site() -> None:
    path = _ROOT / "inventory" / "samples" / "site.yaml"
    site = parse_site(path.read_bytes(), str(path))
    assert site.nodes[0].zone in site.zones


def test_the_sample_names_its_schema() -> None:
    path = _ROOT / "inventory" / "samples" / "site.yaml"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert schema != first
    assert (path.parent / schema).is_file()


def _no_key(folder: Path) -> None:
    (folder / "id_ed25519").unlink()


def _open_key(folder: Path) -> None:
    (folder / "id_ed25519").chmod(0o644)


def _folder_key(folder: Path) -> None:
    _no_key(folder)
    (folder / "id_ed25519").mkdir()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(_no_key, "found none"), (_open_key, "mode 644"), (_folder_key, "expected a file")],
)
def test_a_key_that_ssh_would_refuse_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    path = write_site(tmp_path, site_data())
    spoil(tmp_path)
    with pytest.raises(DefinitionError, match=says) as caught:
        load_site(path)
    assert "ssh.key" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"zones": ["admin"]}, "nodes\\[0\\].zone"),
        ({"nodes": []}, "nodes"),
        ({"extra": 1}, "extra"),
        ({"firstImage": {"reference": "x:1", "command": []}}, "firstImage.command"),
        ({"firstImage": {"reference": "no tag", "command": ["a"]}}, "firstImage.reference"),
        ({"depot": {"address": "https://depot"}}, "depot.address"),
        ({"ssh": {"user": "root;reboot", "key": "k"}}, "ssh.user"),
        ({"nodes": [node_data(HOST_KEY.replace("ssh-ed25519", "ssh-rsa"), 22)]}, "hostKey"),
        ({"nodes": [node_data(HOST_KEY, 22), node_data(HOST_KEY, 23, "node2")]}, "hostKey"),
    ],
)
def test_a_wrong_site_is_refused_by_field(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = write_site(tmp_path, site_data(**change))
    with pytest.raises(DefinitionError, match=says) as caught:
        load_site(path)
    assert str(path) in caught.value.message


def test_a_missing_site_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no such file"):
        load_site(tmp_path / "none.yaml")


def test_a_file_that_cannot_be_read_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_site(tmp_path, site_data())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        load_site(path)
