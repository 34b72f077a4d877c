"""What is in a site file reaches the nodes as it stands, whatever it looks like to Ansible."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bundle.base.reference import Reference
from installer.ansible_run.text import ansible_value
from installer.kubespray.inventory import InventoryInput, depot_url, render_inventory
from tests.support.sites.plain import HOST_KEY, node_data, site_data, site_of

_IMAGE = Reference("r.example:5000", "app/web", "", "sha256:" + "a" * 64)


def _input(connection: str = "ssh", **changes: Any) -> InventoryInput:
    site = site_of(site_data(**changes))
    return InventoryInput(
        site, Path("/keys/a b/id"), _IMAGE, ("docker.io", "r.example:5000"), Path("/run/ca.pem"),
        "20261122T120000Z-ward", connection, become=False,
    )  # fmt: skip


def _as_ansible_reads(text: str, folder: Path) -> dict[str, Any]:
    path = folder / "inventory.yml"
    path.write_text(text, encoding="utf-8")
    program = Path(sys.executable).parent / "ansible-inventory"
    done = subprocess.run(
        [program, "-i", path, "--list"], capture_output=True, text=True, check=False,
        env={"LC_ALL": "C.UTF-8", "HOME": str(folder), "ANSIBLE_INVENTORY_ENABLED": "yaml",
             "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_ansible_reads_what_the_site_says(tmp_path: Path) -> None:
    nodes = [node_data(HOST_KEY, 2222)]
    read = _as_ansible_reads(render_inventory(_input(nodes=nodes)), tmp_path)
    node = read["_meta"]["hostvars"]["node1"]
    assert node["ansible_host"] == {"__ansible_unsafe": "127.0.0.1"}
    assert node["ansible_port"] == 2222
    assert node["ansible_connection"] == "ssh"
    assert node["ansible_ssh_private_key_file"] == {"__ansible_unsafe": "/keys/a b/id"}
    assert node["isoward_image"] == {"__ansible_unsafe": str(_IMAGE)}
    assert [r["__ansible_unsafe"] for r in node["isoward_registries"]] == [
        "docker.io",
        "r.example:5000",
    ]


def test_text_that_looks_like_a_template_stays_text(tmp_path: Path) -> None:
    hostile = ["/bin/echo", "{{ lookup('pipe', 'id') }}", 'a"b\\c', "x: [y]\n- z", "ü€😀 %h #"]
    text = render_inventory(_input(firstImage={"reference": "x:1", "command": hostile}))
    node = _as_ansible_reads(text, tmp_path)["_meta"]["hostvars"]["node1"]
    # Ansible itself says of each one that it will not be evaluated.
    assert [part["__ansible_unsafe"] for part in node["isoward_command"]] == hostile


def test_a_local_run_names_no_address_and_no_key() -> None:
    text = render_inventory(_input("local"))
    assert "ansible_connection: local" in text
    assert "ansible_host" not in text
    assert "private_key" not in text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_survives_quoting(value: str) -> None:
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!unsafe", lambda loader, node: node.value)
    assert yaml.load(ansible_value([value, {value: Path(value or ".")}]), Loader=Loader) == [
        value,
        {value: str(Path(value or "."))},
    ]


@pytest.mark.parametrize(
    ("address", "url"),
    [("10.0.0.5", "https://10.0.0.5:5443"), ("fd00::5", "https://[fd00::5]:5443")],
)
def test_the_depots_address_is_a_url(address: str, url: str) -> None:
    assert depot_url(site_of(site_data(depot={"address": address}))) == url
