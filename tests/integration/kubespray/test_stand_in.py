"""Kubespray's stand-in on its way: locked, built, built again, imported, served, unpacked, run."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3
import yaml

from bundle.base.errors import ClosureError, DefinitionError
from bundle.store.unpack import unpack_tar
from tests.support.charts.git_repositories import commit_files, new_repository
from tests.support.cluster import kubespray as standin
from tests.support.cluster.kubespray import inventory, put_images, stand_in
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry
from tests.support.registries.journey import (
    APPROVERS,
    Machine,
    ServedDepot,
    approve,
    build,
    make_keys,
    make_root,
    served,
)
from tests.support.registries.static_site import StaticSite, static_site
from tests.support.trust.signature_rules import WAIVE_ALL_YAML


@dataclass(frozen=True)
class World:
    """A bundle with Kubespray in a served depot, and what it came from."""

    home: Path
    machine: Machine
    registry: FaultyRegistry
    site: StaticSite
    depot: ServedDepot


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("kubespray")
    content = RegistryContent()
    machine = Machine(home)
    with faulty_registry(content) as registry, static_site(home / "site") as site:
        images = (*standin.IMAGES, "net/node:v1")
        put_images(content, [f"{registry.host}/{name}" for name in images], home / "images")
        for path, data in standin.site_files().items():
            site.put(path, data)
        repository = new_repository(home / "repository")
        stand_in().write(repository)
        variables = {
            "kube_network_plugin": "rich",
            "site_url": site.url,
            "kube_image_repo": registry.host,
            "shim_enabled": True,
        }
        (home / "inventory.yaml").write_text(inventory(**variables))
        definition = {
            "apiVersion": "isoward/v1",
            "kind": "BundleDefinition",
            "metadata": {"name": "platform", "version": "1.0.0"},
            "platforms": list(standin.PLATFORMS),
            "kubespray": {
                "version": standin.VERSION,
                "git": {"repository": "repository", "commit": commit_files(repository, {})},
                "inventory": "inventory.yaml",
                "leaveOut": [{"item": "kube-proxy", "reason": "the network plugin does its work"}],
            },
        }
        (home / "definition.yaml").write_text(yaml.safe_dump(definition) + WAIVE_ALL_YAML)
        hosts = f"[{registry.host!r}, {site.url.removeprefix('http://')!r}]"
        (home / "sources.yaml").write_text(
            f"apiVersion: isoward/v1\nkind: SourceConfig\nallowedHosts: {hosts}\n"
        )
        _travel(machine, home)
        with served(machine, home / "depot", home) as depot:
            yield World(home, machine, registry, site, depot)


def _travel(machine: Machine, home: Path) -> None:
    make_keys(home / "keys")
    fingerprint = make_root(machine, home / "keys", home / "release")
    sources = ("--sources", home / "sources.yaml")
    machine.run("lock", home / "definition.yaml", *sources)
    lock, bundle = home / "definition.lock.yaml", home / "bundle"
    build(machine, lock, bundle, home / "release", home / "keys")
    for name in APPROVERS[:2]:
        approve(machine, bundle, home / "keys", name)
    machine.run("enroll", bundle, "--depot", home / "depot", "--fingerprint", fingerprint)
    machine.run("import", bundle, "--depot", home / "depot")


def _manifest(bundle: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((bundle / "bundle.json").read_bytes())
    return found


def _get(world: World, path: str) -> bytes:
    with urllib3.PoolManager(ca_certs=str(world.depot.ca)) as pool:
        answer = pool.request("GET", f"{world.depot.url}{path}")
    assert answer.status == 200, path
    return bytes(answer.data)


def test_every_file_and_image_is_in_the_bundle_and_says_who_wants_it(world: World) -> None:
    said = world.machine.result("inspect", world.home / "bundle")
    assert {tuple(file["wantedBy"]) for file in said["files"]} == {
        (f"kubespray {name}",) for name in standin.FILES
    }
    names = {image["reference"].partition("/")[2] for image in said["images"]}
    assert names == {*standin.IMAGES, "net/node:v1"} - {"kube-proxy:v1.99.0"}
    assert said["kubespray"]["leaveOut"] == [
        {"item": "kube-proxy", "reason": "the network plugin does its work"}
    ]
    text = world.machine.run("inspect", world.home / "bundle")
    assert "leaves out kube-proxy: the network plugin does its work" in text


def test_the_depot_serves_each_file_below_its_host_with_kubesprays_checksum(world: World) -> None:
    host = world.site.url.removeprefix("http://").replace(":", "_")
    for path, data in standin.site_files().items():
        assert _get(world, f"/files/{host}/{path}") == data
    kubespray = _manifest(world.home / "bundle")["kubespray"]
    assert isinstance(kubespray, dict)
    assert len(kubespray["files"]) == len(standin.site_files())
    expected = {
        found
        for table in standin.checksums().values()
        for arch in table.values()
        for found in arch.values()
    }
    assert {file["checksum"] for file in kubespray["files"]} == expected


def test_the_tree_comes_out_of_the_depot_and_runs(world: World, tmp_path: Path) -> None:
    data = _get(world, f"/files/kubespray/{standin.VERSION}.tar")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        unpack_tar(tar, tmp_path / "tree")
    playbook = ("--syntax-check", "-i", "inventory/sample/inventory.ini", "cluster.yml")
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", *playbook],
        cwd=tmp_path / "tree",
        env={**world.machine.environment, "HOME": str(tmp_path), "ANSIBLE_CALLBACKS_ENABLED": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    link = tmp_path / "tree" / "inventory" / "local" / "group_vars"
    assert (link / "all.yml").is_file()


def test_a_second_lock_changes_nothing_and_a_second_build_asks_for_nothing(world: World) -> None:
    lock = world.home / "definition.lock.yaml"
    before = lock.read_bytes()
    said = world.machine.result(
        "lock", world.home / "definition.yaml", "--sources", world.home / "sources.yaml"
    )
    assert said["changes"] == []
    assert lock.read_bytes() == before
    world.registry.log.clear()
    world.site.log.clear()
    again = world.home / "again"
    result = build(world.machine, lock, again, world.home / "release", world.home / "keys")
    assert result["fetched"] == 0
    assert world.registry.log.entries == world.site.log.entries == []
    assert _bytes(again) == _bytes(world.home / "bundle")


def test_a_build_elsewhere_makes_the_same_tar_from_the_commit(world: World) -> None:
    # The lock goes with its repository to another machine; the inventory is not needed there.
    elsewhere = world.home.parent / f"{world.home.name}-elsewhere"
    elsewhere.mkdir()
    (elsewhere / "repository").symlink_to(world.home / "repository")
    lock = elsewhere / "lock.yaml"
    lock.write_bytes((world.home / "definition.lock.yaml").read_bytes())
    build(
        Machine(elsewhere), lock, elsewhere / "bundle", world.home / "release", world.home / "keys"
    )
    assert _bytes(elsewhere / "bundle") == _bytes(world.home / "bundle")


def test_another_inventory_is_said_and_what_it_wants_more_is_asked_for(
    world: World, tmp_path: Path
) -> None:
    text = (world.home / "definition.yaml").read_text()
    changed = (world.home / "inventory.yaml").read_text() + "\n# a comment\n"
    (world.home / "other.yaml").write_text(changed)
    (world.home / "changed.yaml").write_text(text.replace("inventory.yaml", "other.yaml"))
    lock = tmp_path / "lock.yaml"
    lock.write_bytes((world.home / "definition.lock.yaml").read_bytes())
    sources = ("--sources", world.home / "sources.yaml")
    said = world.machine.result("lock", world.home / "changed.yaml", "-o", lock, *sources)
    assert {change["thing"] for change in said["changes"]} == {"kubespray inventory"}
    (world.home / "other.yaml").write_text(
        changed.replace("shim_enabled: true", "shim_enabled: true\n    argocd_enabled: true")
    )
    before = lock.read_bytes()
    refused = world.machine.attempt("lock", world.home / "changed.yaml", "-o", lock, *sources)
    assert refused.returncode == DefinitionError.exit_code
    assert "argocd-images" in refused.stderr
    assert lock.read_bytes() == before


def test_an_image_by_a_moving_tag_is_refused_with_who_wants_it(world: World) -> None:
    text = (world.home / "definition.yaml").read_text()
    moving = "node_feature_discovery_enabled: true\n    feature_tag: latest"
    hosts = (world.home / "inventory.yaml").read_text()
    (world.home / "moving-inventory.yaml").write_text(
        hosts.replace("shim_enabled: true", f"shim_enabled: true\n    {moving}")
    )
    definition = world.home / "moving.yaml"
    definition.write_text(text.replace("inventory.yaml", "moving-inventory.yaml"))
    refused = world.machine.attempt("lock", definition, "--sources", world.home / "sources.yaml")
    assert refused.returncode == ClosureError.exit_code
    assert "kubespray node-feature-discovery" in refused.stderr
    assert not (world.home / "moving.lock.yaml").exists()


def _bytes(bundle: Path) -> dict[str, bytes]:
    blobs = {path.name: path.read_bytes() for path in (bundle / "blobs" / "sha256").iterdir()}
    return {**blobs, "bundle.json": (bundle / "bundle.json").read_bytes()}
