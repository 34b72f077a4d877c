"""Every text of a site file is refused, or arrives at Ansible as it was written.

The places are not listed: they are all that the schema has, so that a new field is tried too.
"""

from __future__ import annotations

import copy
import json
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
import yaml

from bundle.base.reference import parse_reference
from bundle.base.yaml.problems import structural_problems
from installer.ansible_run.text import ansible_variables, render_ansible
from installer.base.ssh_path import ssh_path
from installer.hosts.names import names_of
from installer.kube.zone_manifests import zone_documents
from installer.kubespray.inventory import InventoryInput, render_inventory
from installer.kubespray.inventory_folder import write_inventory
from installer.kubespray.settings import (
    HOSTS_NAME,
    KubesprayInput,
    cluster_options,
    render_kubespray,
)
from installer.site.checks import site_problems
from installer.site.document import Site
from installer.site.host_key import known_hosts
from installer.site.load import examine_site_bytes, load_site
from tests.support.cluster.ansible_reads import as_ansible_reads
from tests.support.sites.clusters import cluster_data, kubespray_manifest
from tests.support.sites.plain import new_key

Path_ = tuple[Any, ...]
KEY = "<key>"
HOSTILE = [
    "{{ 191*7 }}", "{{ lookup('pipe','touch evaluated') }}", "{% raw %}", "{# x", "a\nb: c", "a'b",
    'a"b', "%h", "a # b", "${HOME}", "!unsafe x", "- x", "&a *b", "a\tb", "`id`", "$(id)", "a\\b",
    "\u2028", "ü", "a: b", "@x", "%{{ 1 }}", "x,y",
    "fe80::1%{{ 191*7 }}", "fd00::1%a\nb",
]  # fmt: skip
TOKEN = "qzneutralqz"


def _members(type_: Any) -> list[Any]:
    if get_origin(type_) is Annotated:
        return _members(get_args(type_)[0])
    if get_origin(type_) in {Union, types.UnionType}:
        return [inner for choice in get_args(type_) for inner in _members(choice)]
    return [type_]


def places(type_: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield every place of a text in a type; of keys as well."""
    for inner in _members(type_):
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            for field in msgspec.structs.fields(inner):
                yield from places(field.type, (*path, field.encode_name))
        elif get_origin(inner) is tuple:
            yield from places(get_args(inner)[0], (*path, 0))
        elif get_origin(inner) is dict:
            yield (*path, KEY)
            yield from places(get_args(inner)[1], (*path, "*"))
        elif inner is str or get_origin(inner) is Literal:
            yield path
        else:
            assert inner in {int, bool, float, type(None)}, f"{path}: what is a {inner}?"


PLACES = list(dict.fromkeys(places(Site)))


def full() -> dict[str, Any]:
    """Return a site in which every optional part stands."""
    data = copy.deepcopy(cluster_data(3, "calico"))
    data |= {"timeServers": ["10.20.0.7"], "names": {"login.hospital.example": "10.31.0.10"}}
    data["kubernetes"]["oidc"] |= {"usernameClaim": "sub", "groupsClaim": "groups"}
    data["zones"][0] |= {
        "egress": [{"to": "10.30.0.0/24", "ports": [2575], "protocol": "TCP"}],
        "labels": {"ward": "east"},
        "taints": [{"key": "zone", "value": "administrative", "effect": "PreferNoSchedule"}],
    }
    return data


def put(data: dict[str, Any], place: Path_, text: str, *, append: bool) -> None:
    """Put a text at a place, or behind what is there; what is not there yet comes into being."""
    inner: Any = data
    for step, after in zip(place, (*place[1:], None), strict=True):
        if step == "*":
            step = next(iter(inner), "x")  # noqa: PLW2901
        if after is None:
            break
        made: Any = [] if after == 0 else {}
        if isinstance(inner, list):
            if not inner:
                inner.append(made)
            if not isinstance(inner[step], dict | list):
                inner[step] = made
        elif not isinstance(inner.get(step), dict | list):
            inner[step] = made
        inner = inner[step]
    if step == KEY:
        old = next(iter(inner), "x")
        inner[old + text if append else text] = inner.pop(old, "10.0.0.1")
        return
    if isinstance(inner, list) and not inner:
        inner.append("x")
    old = inner[step] if isinstance(inner, list) else inner.get(step)
    inner[step] = f"{old}{text}" if append and isinstance(old, str) else text


def problems(data: dict[str, Any], folder: Path) -> list[str]:
    found = list(structural_problems(data, Site))
    if not found:
        found = list(site_problems(msgspec.convert(data, Site)))
    if not found:
        found = examine_site_bytes(json.dumps(data).encode(), folder / "site.yaml")[1]
    assert all(one.message and one.hint for one in found)
    return [one.path for one in found]


def prepared(data: dict[str, Any], folder: Path) -> None:
    """Make the key that the site names, if it can be a file."""
    key = folder / str(data["ssh"]["key"])
    if "\x00" not in str(key) and len(key.name) < 200 and not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        new_key(key)


def accepted(text: str, folder: Path, *, append: bool) -> list[Path_]:
    """Return the places where a text is not refused."""
    found = []
    for place in PLACES:
        data = full()
        put(data, place, text, append=append)
        prepared(data, folder)
        if not problems(data, folder):
            found.append(place)
    return found


def site_with(
    text: str, taken: Sequence[Path_], folder: Path, *, append: bool
) -> tuple[Site, Path]:
    """Return a site with a text in all places that take it, and its key."""
    data = full()
    for place in taken:
        put(data, place, text, append=append)
    prepared(data, folder)
    path = folder / "site.yaml"
    path.write_text(json.dumps(data))
    loaded = load_site(path)
    return loaded.site, loaded.ssh_key


@dataclass(frozen=True)
class Made:
    """What is made of a site: the inventories that Ansible is told of, and other texts."""

    folder: str
    files: list[Path]
    objects: list[dict[str, Any]]
    pinned: str


def made_of(site: Site, key: Path, folder: Path) -> Made:
    """Make everything of a site."""
    folder.mkdir()
    image = parse_reference("registry.example.org/app/web:2.1")
    first, hosts = folder / "first.yml", folder / "hosts.yml"
    first.write_text(
        render_inventory(
            InventoryInput(site, key, image, ("r.example",), folder / "ca.pem", "run", "ssh",
                           become=True)
        )
    )  # fmt: skip
    hosts.write_text(
        render_ansible(
            "hosts.yml.j2", site=site, ssh_key=ssh_path(key), become=True,
            names=names_of(site, lambda _: ["10.9.9.9"]), ca_file=folder / "ca.pem",
            marker={"source": "s", "path": "p"}, weak={node.name: True for node in site.nodes},
            files={node.name: [{"source": "s", "path": "p"}] for node in site.nodes},
        )
    )  # fmt: skip
    what = KubesprayInput(site, kubespray_manifest("calico"), key, b"PEM")
    write_inventory(folder / "kubespray", render_kubespray(what), {}, {})
    return Made(
        str(folder),
        [first, hosts, folder / "kubespray" / HOSTS_NAME],
        zone_documents(site, cluster_options(site)),
        known_hosts(site),
    )


def replaced(tree: Any, change: Callable[[str], str]) -> Any:
    if isinstance(tree, str):
        return change(tree)
    if isinstance(tree, dict):
        return {change(key): replaced(value, change) for key, value in tree.items()}
    return [replaced(item, change) for item in tree] if isinstance(tree, list) else tree


def test_the_schema_is_walked_whole_and_the_site_that_is_spoilt_is_right(tmp_path: Path) -> None:
    data = full()
    prepared(data, tmp_path)
    assert not problems(data, tmp_path)
    for known in (("depot", "address"), ("names", KEY), ("names", "*"), ("zones", 0),
                  ("zones", 0, "taints", 0, "effect"), ("firstImage", "command", 0),
                  ("kubernetes", "oidc", "clientId"), ("ssh", "key"), ("secrets",)):  # fmt: skip
        assert known in PLACES
    # A field that comes later is tried as well, whatever it is called.
    probe = msgspec.defstruct("Probe", [("later", dict[str, tuple[Annotated[str, 1], ...]])])
    assert list(places(probe)) == [("later", KEY), ("later", "*", 0)]


@pytest.mark.parametrize("append", [False, True], ids=["alone", "behind"])
def test_every_text_is_refused_or_arrives_as_it_is(tmp_path: Path, append: bool) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    cases: list[tuple[str, Made, Made]] = []
    neutral_of: dict[tuple[Path_, ...], Made] = {}
    for i, text in enumerate(HOSTILE):
        taken = accepted(text, keys, append=append)
        assert ("depot", "address") not in taken
        hostile = made_of(*site_with(text, taken, keys, append=append), tmp_path / str(i))
        if tuple(taken) not in neutral_of:
            site = site_with(TOKEN, taken, keys, append=append)
            neutral_of[tuple(taken)] = made_of(*site, tmp_path / f"neutral-{i}")
        neutral = neutral_of[tuple(taken)]
        cases.append((text, hostile, neutral))
        # What is no business of Ansible's: the zones' objects, and the pinned keys.
        assert _with(neutral.objects, text) == hostile.objects
        assert neutral.pinned == hostile.pinned
    every = [*(hostile for _, hostile, _ in cases), *neutral_of.values()]
    paths = [path for made in every for path in made.files]
    read = dict(zip(paths, as_ansible_reads(paths, tmp_path), strict=True))
    arrived = 0
    for text, hostile, neutral in cases:
        first, second = [[read[path] for path in made.files] for made in (hostile, neutral)]
        second = _with(second, hostile.folder, token=neutral.folder)
        assert _with(second, text, str(keys)) == first, text
        arrived += json.dumps(first).count(json.dumps(text)[1:-1])
        assert "1337" not in json.dumps(first)
    assert arrived > len(HOSTILE)
    assert not list(tmp_path.rglob("evaluated"))


def _with(tree: Any, text: str, keys: str = "no path", token: str = TOKEN) -> Any:
    def change(one: str) -> str:
        # ssh takes a percent sign for a token, so a path has two for one.
        return one.replace(token, text.replace("%", "%%") if keys in one else text)

    return replaced(tree, change)


def test_a_file_without_variables_is_one_that_ansible_takes() -> None:
    """Ansible refuses a file that is no mapping, and then finds no inventory."""
    assert yaml.safe_load(ansible_variables({})) == {}


def test_secrets_and_other_variables_arrive_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.vars.yml"
    variables = {
        "ansible_become_password": "".join(HOSTILE),
        "each": [*HOSTILE, 7, True, None, {"{{ key }}": tmp_path / "{{ x }}"}],
    }
    path.write_text(ansible_variables(variables))
    (read,) = as_ansible_reads([path], tmp_path)
    inner = {"{{ key }}": str(tmp_path / "{{ x }}")}
    assert read["each"] == [*HOSTILE, 7, True, None, inner]
    assert read["ansible_become_password"] == "".join(HOSTILE)
