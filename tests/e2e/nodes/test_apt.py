"""Kubespray's node packages for Debian, from Debian to a node that has no way out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.base.errors import SignatureError
from tests.lab.debian import KUBESPRAY_12, KUBESPRAY_13, host_mirror, vendor_home
from tests.lab.node import Lab, LabNode, lab
from tests.lab.rootfs import debian_codename
from tests.support.documents.right import DEFINITION
from tests.support.packages.apt_repository import SigningKey
from tests.support.packages.apt_site import KEYRING, write_site_files
from tests.support.programs.needs import requires_root, requires_tool
from tests.support.programs.processes import running
from tests.support.registries.journey import Journey, Machine, build, carry

pytestmark = [pytest.mark.e2e, pytest.mark.lab]

HEAD = DEFINITION.partition("images:")[0] + "osPackages:\n"
FOLDER = "/os/debian-12/debian/"


@dataclass(frozen=True)
class World:
    """A node, and the depot that is being served to it."""

    lab: Lab
    journey: Journey
    url: str

    @property
    def node(self) -> LabNode:
        return self.lab.nodes[0]

    def packages(self) -> dict[str, str]:
        """Return the versions that the bundle has, by package."""
        (entry,) = self.journey.manifest()["osPackages"]
        return {package["name"]: package["version"] for package in entry["packages"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_root()
    requires_tool("apt-get", "mmdebstrap", "systemd-nspawn")
    if debian_codename() != "bookworm":
        pytest.skip("the lab's nodes are of this machine's release, and this is not Debian 12")
    home = tmp_path_factory.mktemp("vendor")
    mirror = host_mirror("bookworm")
    vendor_home(home, mirror)
    asked = mirror.entry("debian-12", "debian-12", "bookworm", KUBESPRAY_12)
    journey = carry(home, HEAD + asked)
    ready = home / "ready.json"
    with lab() as site:
        argv: list[str | Path] = [sys.executable, "-m", "bundle.cli.main", "serve"]
        argv += ["--depot", journey.depot, "--address", site.host_address]
        argv += ["--port", "0", "--ready-file", ready]
        with running("isoward serve", argv, home / "serve.log", ready=ready.exists):
            said = json.loads(ready.read_text())
            write_site_files(
                site.nodes[0].rootfs, Path("/"), said["url"], FOLDER, "bookworm",
                authority=Path(said["ca"]).read_bytes(),
                keyring=(home / "debian.gpg").read_bytes(),
            )  # fmt: skip
            yield World(site, journey, said["url"])


def installed(node: LabNode) -> dict[str, str]:
    shown = "${db:Status-Status} ${Package} ${Version}\n"
    lines = node.run("dpkg-query", "--show", f"--showformat={shown}").stdout.decode().splitlines()
    found = (line.split(" ") for line in lines)
    return {name: version for status, name, version in found if status == "installed"}


def apt(node: LabNode, *arguments: str, check: bool = True) -> str:
    done = node.run(
        "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes", *arguments,
        timeout=600, check=check,
    )  # fmt: skip
    assert check or done.returncode != 0, done.stdout.decode()
    return done.stdout.decode() + done.stderr.decode()


def test_1_the_distribution_s_keyring_is_what_counts(world: World, tmp_path: Path) -> None:
    target = world.node.rootfs / KEYRING
    good, stranger = target.read_bytes(), SigningKey(tmp_path / "stranger")
    target.write_bytes(stranger.public())
    stranger.close()
    try:
        assert "NO_PUBKEY" in apt(world.node, "update", check=False)
    finally:
        target.write_bytes(good)


def test_2_a_node_without_a_way_out_gets_what_kubespray_installs(world: World) -> None:
    before = installed(world.node)
    assert "ipvsadm" not in before
    said = apt(world.node, "update")
    assert "NO_PUBKEY" not in said
    assert world.url in said
    apt(world.node, "install", *KUBESPRAY_12)
    after = installed(world.node)
    carried = world.packages()
    new = {name: version for name, version in after.items() if before.get(name) != version}
    assert set(KUBESPRAY_12) <= after.keys()
    assert len(new) > 50
    # Each package that came has the version of the bundle, which is to say it came from there.
    assert new.items() <= carried.items()
    assert world.node.run("conntrack", "--version").stdout.startswith(b"conntrack v")


def test_3_what_every_system_has_is_carried_as_well(world: World) -> None:
    shown = world.node.run(
        "dpkg-query", "--show", "--showformat=${Essential} ${Package}\n"
    ).stdout.decode()
    lines = [line.partition(" ") for line in shown.splitlines()]
    essential = {name for said, _, name in lines if said == "yes"}
    assert len(essential) > 20
    assert essential <= world.packages().keys()


def test_a_warm_build_fetches_nothing_and_a_second_lock_changes_nothing(
    world: World, tmp_path: Path
) -> None:
    journey = world.journey
    said = build(journey.machine, journey.lock, tmp_path / "b", journey.release, journey.keys)
    assert said["fetched"] == 0
    assert (tmp_path / "b" / "bundle.json").read_bytes() == (
        journey.bundle / "bundle.json"
    ).read_bytes()
    assert journey.machine.result("lock", journey.definition, "-o", journey.lock)["changes"] == []


def test_debian_13_is_locked_by_the_same_apt(tmp_path: Path) -> None:
    requires_tool("apt-get", "gpgv")
    mirror = host_mirror(debian_codename())
    vendor_home(tmp_path, mirror)
    entry = mirror.entry("debian-13", "debian-13", "trixie", KUBESPRAY_13)
    (tmp_path / "platform.yaml").write_text(HEAD + entry)
    said = Machine(tmp_path).result("lock", tmp_path / "platform.yaml")
    assert said["osPackages"] > 150


def test_debian_s_list_is_refused_with_another_keyring(tmp_path: Path) -> None:
    key = SigningKey(tmp_path / "gnupg")
    mirror = host_mirror(debian_codename())
    vendor_home(tmp_path, mirror)
    (tmp_path / "debian.gpg").write_bytes(key.public())
    key.close()
    entry = mirror.entry("x", "debian-12", debian_codename(), ("socat",))
    (tmp_path / "platform.yaml").write_text(HEAD + entry)
    refused = Machine(tmp_path).attempt("lock", tmp_path / "platform.yaml")
    assert refused.returncode == SignatureError.exit_code
    assert "NO_PUBKEY" in refused.stderr
    assert not (tmp_path / "platform.lock.yaml").exists()
