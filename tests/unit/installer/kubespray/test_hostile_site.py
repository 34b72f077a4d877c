"""What somebody writes into a site file stays text: neither Ansible nor Jinja evaluates it, and
what is made of it for nodes has the lines that were meant."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from bundle.base.errors import DefinitionError
from fuzz.registry import TARGETS, check
from fuzz.sites import site as made_of
from installer.kubespray.inventory_folder import write_inventory
from installer.kubespray.settings import HOSTS_NAME, KubesprayInput, render_kubespray
from tests.support.sites.clusters import cluster_data, kubespray_manifest
from tests.support.sites.plain import site_of

_WORD = "{{191*7}}"
_NAMES = {"login.hospital.example": "10.31.0.10"}


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every text and number."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from _places(value, (*path, key))
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from _places(value, (*path, i))
    else:
        yield path


def _data() -> dict[str, Any]:
    data = copy.deepcopy(cluster_data(3, "calico"))
    data |= {"timeServers": ["10.20.0.7"], "names": dict(_NAMES), "secrets": "secrets.sops.yaml"}
    oidc = data["kubernetes"]["oidc"]
    oidc |= {"usernameClaim": "sub", "groupsClaim": "groups"}
    return data


PLACES = sorted(_places(_data()), key=str)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_template_in_any_field_is_refused_or_stays_text(place: tuple[Any, ...]) -> None:
    for hostile in (_WORD, f"a{_WORD}", f"10.20.0.5{_WORD}", '"\n  x: {{1}}', "{% raw %}{#"):
        data = _data()
        inner: Any = data
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = hostile if isinstance(inner[place[-1]], str) else f"{hostile}"
        # What is accepted is looked at there: every text that could be evaluated is marked.
        check(TARGETS["site"], yaml.safe_dump(data).encode())


@pytest.mark.parametrize("field", ["names", "labels"])
def test_a_template_in_a_key_is_refused(field: str) -> None:
    data = _data()
    target = data if field == "names" else data["zones"][1]
    target[field] = {_WORD: "10.0.0.1"}
    with pytest.raises(DefinitionError, match=field):
        made_of(yaml.safe_dump(data).encode())


def test_ansible_shows_hostile_texts_as_they_were_written(tmp_path: Path) -> None:
    marker = tmp_path / "evaluated"
    issuer = f"https://login.example/{{{{lookup('pipe','touch${{IFS}}{marker}')}}}}/{_WORD}"
    site = site_of(_data())
    assert site.kubernetes is not None
    assert site.kubernetes.oidc is not None
    # No site file may say so; what is made of one leaves it as it is all the same.
    oidc = replace(site.kubernetes.oidc, issuer=issuer)
    site = replace(site, kubernetes=replace(site.kubernetes, oidc=oidc))
    key = tmp_path / "key {{ 191 * 7 }}' -o ProxyCommand=x"
    what = KubesprayInput(site, kubespray_manifest("calico"), key)
    write_inventory(tmp_path / "made", render_kubespray(what), {}, {})
    programs, environment = Path(sys.executable).parent, {**os.environ, "LC_ALL": "C.UTF-8"}
    hosts = tmp_path / "made" / HOSTS_NAME
    shown = subprocess.run(
        [programs / "ansible", "-i", hosts, "node1", "-o", "-c", "local", "-m", "debug",
         "-a", "msg={{ [kube_oidc_url, ansible_ssh_private_key_file] }}"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert json.loads(shown.stdout.partition("=> ")[2])["msg"] == [issuer, str(key)]
    listed = subprocess.run(
        [programs / "ansible-inventory", "-i", hosts, "--host", "node1"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert issuer in listed.stdout
    assert not marker.exists()
