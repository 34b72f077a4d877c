"""What other tools made becomes a definition, is locked, built and carried into a depot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bundle.base.digest import digest_of
from bundler.formats.kubespray_lists import read_kubespray_lists
from tests.support.charts.shapes import image
from tests.support.documents.content import chart_archive
from tests.support.programs.helm import helm_on_path
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry
from tests.support.registries.journey import Journey, Machine, carry
from tests.support.registries.static_site import StaticSite, static_site

PEERS = Path(__file__).resolve().parents[2] / "vectors" / "peers"
PACKAGE = PEERS / "zarf-package-tiny-amd64-1.2.3.tar.zst"
HAULER_REGISTRY, HAULER_SITE = "127.0.0.1:5055", "http://127.0.0.1:5056"
"""Where the Hauler that made the manifest found things."""
WAIVER = (
    *("--waiver-reason", "a test", "--waiver-approved-by", "Ada"),
    *("--waiver-ticket", "CHG-1", "--waiver-expires", "2099-12-31"),
)
HELLO = b"hello from a package\n"


@pytest.fixture(scope="module", autouse=True)
def _helm() -> None:
    helm_on_path()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry(RegistryContent()) as running:
        running.content.put("app/tiny", image("tiny"), "1.0")
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[StaticSite]:
    with static_site(tmp_path / "site") as running:
        archive = chart_archive("tiny", "0.1.0")
        running.put("tiny-0.1.0.tgz", archive)
        index = {
            "entries": {
                "tiny": [
                    {
                        "version": "0.1.0",
                        "urls": ["tiny-0.1.0.tgz"],
                        "digest": digest_of(archive).removeprefix("sha256:"),
                    }
                ]
            }
        }
        running.put("index.yaml", yaml.safe_dump(index).encode())
        running.put("hello.txt", HELLO)
        yield running


def carried(machine: Machine, definition: Path) -> Journey:
    """Take a definition that was converted all the way."""
    return carry(machine.home, definition.read_text())


def test_a_package_of_real_zarf_is_carried(machine: Machine) -> None:
    definition = machine.home / "tiny.yaml"
    said = machine.result(
        *("convert", PACKAGE, "-o", definition, "--key", PEERS / "zarf.pub", *WAIVER)
    )
    assert (said["images"], said["charts"], said["files"], said["withoutRule"]) == (1, 1, 2, 0)
    manifest = carried(machine, definition).manifest()
    (chart,), (one,) = manifest["charts"], manifest["images"]
    assert one["wantedBy"] == ["chart tiny 0.1.0"]
    assert chart["rendering"]["release"] == {"name": "tiny", "namespace": "tiny"}
    assert len(chart["rendering"]["values"]) == 1


def test_a_manifest_of_real_hauler_is_carried_and_exported(
    machine: Machine, registry: FaultyRegistry, site: StaticSite
) -> None:
    made = (PEERS / "hauler-manifest.yaml").read_text()
    manifest = machine.home / "hauler.yaml"
    manifest.write_text(made.replace(HAULER_REGISTRY, registry.host).replace(HAULER_SITE, site.url))
    definition = machine.home / "converted.yaml"
    machine.run("convert", manifest, "-o", definition, *WAIVER)
    journey = carried(machine, definition)
    (file,) = journey.manifest()["files"]
    assert file["digest"] == digest_of(HELLO)
    out = machine.home / "out"
    machine.run("export", journey.lock, "--to", "hauler", "-o", out)
    machine.run("export", journey.lock, "--to", "images", "-o", machine.home / "images.txt")
    again = machine.home / "again.yaml"
    machine.run("convert", out, "--from", "hauler", "-o", again, *WAIVER)
    (one,) = yaml.safe_load(again.read_text())["images"]
    assert one["reference"] == (machine.home / "images.txt").read_text().strip()
    assert one["reference"].startswith(f"{registry.host}/app/tiny:1.0@sha256:")


def test_lists_in_kubesprays_form_are_carried(
    machine: Machine, registry: FaultyRegistry, site: StaticSite
) -> None:
    lists = machine.home / "lists"
    lists.mkdir()
    tool, shim = b"a tool\n" * 99, b"a shim\n" * 99
    urls = [
        site.put("tool/releases/v1.2.3/tool.amd64", tool),
        site.put("shim/release/2.0.0/x86_64/shim", shim),
    ]
    (lists / "files.list").write_text("\n".join(urls))
    (lists / "images.list").write_text(f"{registry.host}/app/tiny:1.0\n")
    checksums = machine.home / "checksums.yml"
    sha512 = subprocess.run(
        ["sha512sum"], input=shim, capture_output=True, check=True
    ).stdout.split()[0]
    checksums.write_text(
        f"tool_checksums: {{amd64: {{1.2.3: '{digest_of(tool)}'}}}}\n"
        f"shim_binary_checksums: {{amd64: {{2.0.0: 'sha512:{sha512.decode()}'}}}}\n"
    )
    definition = machine.home / "kubespray.yaml"
    wanted = ("convert", lists, "-o", definition, "--checksums", checksums, *WAIVER)
    (site.root / "shim/release/2.0.0/x86_64/shim").write_bytes(b"other")
    refused = machine.attempt(*wanted)
    assert refused.returncode == 21, refused.stderr
    assert "files.list: line 2" in refused.stderr
    assert not definition.exists()
    (site.root / "shim/release/2.0.0/x86_64/shim").write_bytes(shim)
    machine.run(*wanted)
    files = carried(machine, definition).manifest()["files"]
    assert {file["digest"] for file in files} == {digest_of(tool), digest_of(shim)}


def test_nothing_is_left_of_a_refused_conversion(
    machine: Machine, registry: FaultyRegistry
) -> None:
    listed = machine.home / "images.txt"
    listed.write_text(f"{registry.host}/app/tiny\n")
    target = machine.home / "a.yaml"
    for arguments, code, why in (
        ((listed, "-o", target), 10, "line 1"),
        ((machine.home / "none.txt", "-o", target), 10, "expected a file"),
        ((PACKAGE, "-o", target, "--key", listed), 31, "expected one public key"),
        ((PACKAGE, "-o", target, "--waiver-reason", "x"), 2, "a waiver needs all of its four"),
        ((PACKAGE, "-o", listed), 2, "is not overwritten"),
        ((PACKAGE, "-o", target, "--name", "Not A Name"), 10, "name"),
    ):
        done = machine.attempt("convert", *arguments)
        assert (done.returncode, why in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in machine.home.iterdir() if not path.is_dir()) == [
        "images.txt"
    ]
    assert not (machine.home / "a.content").exists()


def test_images_without_a_rule_are_named(machine: Machine, registry: FaultyRegistry) -> None:
    listed = machine.home / "images.txt"
    listed.write_text(f"{registry.host}/app/tiny:1.0\n")
    target = machine.home / "a.yaml"
    said = machine.result("convert", listed, "-o", target)
    assert said["withoutRule"] == 1
    refused = machine.attempt("lock", target)
    assert refused.returncode == 39, refused.stderr


@pytest.mark.skipif("ISOWARD_KUBESPRAY" not in os.environ, reason="ISOWARD_KUBESPRAY is not set")
def test_lists_of_a_real_kubespray(tmp_path: Path) -> None:
    """Its own script makes the lists; each file gets its one checksum."""
    given = Path(os.environ["ISOWARD_KUBESPRAY"])
    tree = tmp_path / "tree"
    if (given / "contrib").is_dir():
        shutil.copytree(given, tree)
    else:
        tree.mkdir()
        archive = ["git", f"--git-dir={given}", "archive", "v2.31.0"]
        data = subprocess.run(archive, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=data, check=True)
    subprocess.run(
        ["bash", "contrib/offline/generate_list.sh"],
        cwd=tree,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(tree / "ansible.cfg"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        check=True,
    )
    lists = tree / "contrib/offline/temp"
    names = ("files.list", "images.list", "checksums.yml")
    found = read_kubespray_lists(
        (lists / "files.list").read_bytes(),
        (lists / "images.list").read_bytes(),
        (tree / "roles/kubespray_defaults/vars/main/checksums.yml").read_bytes(),
        names,
    )
    count = len((lists / "files.list").read_text().split())
    assert len(found.files) + len(found.unpinned) == count
    assert len(found.unpinned) < count / 4
    assert len(found.images) > 30
