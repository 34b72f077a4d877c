"""The step `hosts` on real nodes: the depot is their only source of packages, and one of two is
enough."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.base.errors import InstallError, IsowardError, StepError, UnreachableError
from installer.core.step import Context
from installer.records.receipt import make_run_directory
from installer.site.load import parse_site
from installer.steps.prepare_hosts import MARKER, HostsStep
from installer.steps.start_depot import DepotStep
from tests.lab.content import IMAGE
from tests.lab.debian import host_mirror, vendor_home
from tests.lab.node import Lab, LabNode, lab
from tests.lab.rootfs import debian_codename, run_tool
from tests.lab.site import lab_site
from tests.support.documents.right import DEFINITION
from tests.support.packages.rpm_world import APPSTREAM, end_signer, make_world
from tests.support.programs.needs import requires_root, requires_tool
from tests.support.programs.processes import Child, running
from tests.support.registries.journey import Journey, carry
from tests.support.registries.static_site import static_site
from tests.support.sites.step_context import step_context

pytestmark = [pytest.mark.e2e, pytest.mark.lab]

_HEAD = DEFINITION.partition("images:")[0] + "osPackages:\n"
_PACKAGES = ("jq", "ipset", "dnf", "rpm", "gpg")
_ROCKY = """\
  - name: rocky-9
    release: rocky-9
    repositories: [{{url: "{url}", name: appstream}}]
    keyring: rocky.asc
    packages: [toolkit]
"""
_SYSTEM = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\n'
_APPSTREAM = """\
Acquire::IndexTargets::deb::DEP-11 {
  MetaKey "$(COMPONENT)/dep11/Components-$(NATIVE_ARCHITECTURE).yml";
  ShortDescription "Components-$(NATIVE_ARCHITECTURE)";
  Description "$(RELEASE)/$(COMPONENT) $(NATIVE_ARCHITECTURE) DEP-11 Metadata";
};
"""
"""What a desktop adds to apt's lists, which a bundle does not carry."""
_OURS = "/etc/apt/sources.list.d/isoward.sources"
_STRANGER = "deb http://192.0.2.1/debian bookworm main\n"
_SECONDS = 120
_LOST_SECONDS = 300
"""ssh gives a machine up after half a minute; on a busy one Ansible needs longer to say so."""


@dataclass
class World:
    """Two nodes and two depots with the same content.

    Attributes:
        site: The nodes.
        depots: By address; both are of the same files.
        ports: Of the depots.
    """

    site: Lab
    journey: Journey
    folder: Path
    depots: dict[str, Child] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    runs: int = 0

    def context(self, *names: str) -> Context:
        """Return what a new run is given, for all nodes or some."""
        self.runs += 1
        first, second = ({"address": a, "port": p} for a, p in self.ports.items())
        data = lab_site(self.site, IMAGE, 0, depot=first, secondDepot=second)
        data["nodes"] = [node for node in data["nodes"] if not names or node["name"] in names]
        return step_context(
            self.journey.depot,
            parse_site(yaml.safe_dump(data).encode(), "site.yaml"),
            self.folder / f"run{self.runs}",
            ca=(self.journey.depot / "tls/ca.pem").read_bytes(),
            ssh_key=self.site.ssh_key,
            run=make_run_directory(self.folder / "runs", "lab", datetime.now(UTC)),
        )


@contextmanager
def _depot(world: World, address: str, others: list[str]) -> Iterator[None]:
    """Serve at an address, with a certificate for all of them."""
    ready = world.folder / f"ready-{address}.json"
    argv: list[str | Path] = [sys.executable, "-m", "bundle.cli.main", "serve", "--port", "0"]
    argv += ["--depot", world.journey.depot, "--address", address, "--ready-file", ready]
    for other in others:
        argv += ["--name", other]
    with running("isoward serve", argv, world.folder / "serve.log", ready=ready.exists) as child:
        world.depots[address] = child
        world.ports[address] = int(json.loads(ready.read_text())["url"].rpartition(":")[2])
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_root()
    requires_tool("apt-get", "mmdebstrap", "systemd-nspawn", "ssh", "rpmbuild", "createrepo_c")
    if debian_codename() != "bookworm":
        pytest.skip("the lab's nodes are of this machine's release, and this is not Debian 12")
    home = tmp_path_factory.mktemp("vendor")
    mirror = host_mirror("bookworm")
    vendor_home(home, mirror)
    asked = mirror.entry("debian-12", "debian-12", "bookworm", _PACKAGES)
    with _rocky(home) as url:
        journey = carry(home, _HEAD + asked + _ROCKY.format(url=url))
    with lab(nodes=2) as site:
        made = World(site, journey, home / "runs")
        made.folder.mkdir()
        addresses = [site.host_address, _another_address(site)]
        with _depot(made, addresses[0], addresses), _depot(made, addresses[1], addresses):
            yield made


@contextmanager
def _rocky(home: Path) -> Iterator[str]:
    """Serve a repository of a small rpm distribution to the vendor's machine."""
    (home / "rpm").mkdir()
    made = make_world(home / "rpm")
    shutil.copy(made.key.keyring, home / "rocky.asc")
    try:
        with static_site(home / "rpm-site") as site:
            toolkits = [rpm for rpm in APPSTREAM if rpm.name == "toolkit"]
            made.repository(site.root / "appstream", toolkits)
            yield f"{site.url}/appstream"
    finally:
        end_signer(made.key)
        end_signer(made.stranger)


def _another_address(site: Lab) -> str:
    """Give this machine another address on the lab's bridge; it goes away with that."""
    links = json.loads(run_tool("ip", "-json", "address", "show"))
    (bridge,) = (
        link["ifname"]
        for link in links
        if any(info.get("local") == site.host_address for info in link["addr_info"])
    )
    other = site.host_address.rpartition(".")[0] + ".2"
    run_tool("ip", "address", "add", f"{other}/24", "dev", bridge)
    return other


def _state(node: LabNode) -> bytes:
    """What the step may change on a node."""
    script = "find /etc /usr/local -type f ! -name '*-' -exec sha256sum {} + | sort; hostname"
    return node.run("sh", "-c", script).stdout


def _apt(node: LabNode, *arguments: str) -> str:
    done = node.run(
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "--yes",
        *arguments,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return (done.stdout + done.stderr).decode()


def test_1_a_release_that_the_bundle_lacks_is_refused_before_any_change(world: World) -> None:
    first, second = world.site.nodes
    release = second.rootfs / "etc/os-release"
    kept = release.readlink()
    release.unlink()
    release.write_text('ID=ubuntu\nVERSION_ID="24.04"\n')
    before = [_state(node) for node in world.site.nodes]
    with pytest.raises(StepError, match=r"none for node2 \(ubuntu-24.04, x86_64\)") as caught:
        HostsStep().run(world.context())
    assert "packages of debian-12" in caught.value.message
    assert "nothing was changed" in caught.value.message
    assert [_state(node) for node in world.site.nodes] == before
    assert not (first.rootfs / "etc/isoward").exists()
    release.unlink()
    release.symlink_to(kept)


def test_2_the_depot_becomes_the_only_source_of_packages(world: World) -> None:
    second = world.site.nodes[1]
    for node in world.site.nodes:
        (node.rootfs / "etc/apt/sources.list.d").mkdir()
        (node.rootfs / "etc/apt/sources.list").write_text(_STRANGER)
        (node.rootfs / "etc/apt/sources.list.d/extra.list").write_text(_STRANGER)
        proxy = 'Acquire::https::Proxy "http://192.0.2.9:3128";\n'
        (node.rootfs / "etc/apt/apt.conf.d/95proxy").write_text(proxy)
        (node.rootfs / "etc/apt/apt.conf.d/50appstream").write_text(_APPSTREAM)
    second.run("hostname", "unnamed")
    (second.rootfs / "etc/hostname").write_text("unnamed\n")
    second.run("rm", "-f", "/etc/resolv.conf")
    world.site.nodes[0].run("sh", "-c", "echo 'search lab' > /etc/resolv.conf")
    context = world.context()
    assert DepotStep().run(context)["service"] == "answers"
    said = HostsStep().run(context)
    assert [node["packages"] for node in said["nodes"].values()] == [["debian-12"]] * 2
    assert "name the machine as the site does" in said["nodes"]["node2"]["changed"]
    assert "name the machine as the site does" not in said["nodes"]["node1"]["changed"]
    assert said["clocksSet"] == {}
    assert "refresh the lists of packages" in said["nodes"]["node1"]["changed"]
    for node in world.site.nodes:
        listed = node.run("ls", "/etc/apt/sources.list.d").stdout.decode().split()
        assert listed == ["extra.list.isoward.disabled", "isoward.sources"]
        assert (node.rootfs / "etc/apt/sources.list.isoward.disabled").read_text() == _STRANGER
        output = _apt(node, "install", "jq")
        assert world.site.host_address in output
        assert "192.0.2" not in output
        assert node.run("jq", "-n", "1+1").stdout == b"2\n"
        assert node.run("hostname").stdout.decode().strip() == node.name
        known = node.run("getent", "hosts", "node1", "node2").stdout.decode()
        assert [line.split()[0] for line in known.splitlines()][-1] == second.address
        marker = json.loads((node.rootfs / MARKER.lstrip("/")).read_bytes())
        assert marker == {"site": "lab", "bundle": context.bundle.record.digest}
        for path in ("etc/ssl/certs/isoward-lab.pem", "etc/containerd/isoward/ca.pem"):
            assert node.run("cat", f"/{path}").stdout == context.ca
    resolvers = [node.run("cat", "/etc/resolv.conf").stdout for node in world.site.nodes]
    assert resolvers == [b"search lab\n", b""]
    changes = HostsStep().changes(context)
    assert {change.where for change in changes} == {"node1", "node2"}
    assert any(_OURS in change.what for change in changes)


def test_3_the_second_run_changes_nothing(world: World) -> None:
    before = [_state(node) for node in world.site.nodes]
    said = HostsStep().run(world.context())
    assert [node["changed"] for node in said["nodes"].values()] == [[], []]
    assert [_state(node) for node in world.site.nodes] == before


@pytest.mark.parametrize("cut", [False, True], ids=["kill -9", "power cut"])
def test_4_killed_in_the_middle_and_run_again_it_ends_well(world: World, *, cut: bool) -> None:
    whole = [_state(node) for node in world.site.nodes]
    node = world.site.nodes[0]
    for each in world.site.nodes:
        each.run("rm", "-r", "/etc/isoward", "/etc/apt/isoward", _OURS, "/etc/containerd/isoward")
        (each.rootfs / "etc/apt/sources.list.d/extra.list").write_text(_STRANGER)
    source = node.rootfs / _OURS.lstrip("/")
    if cut:
        # It hears nothing from the depots, so it is still at its lists when its power is cut; after
        # that the rule is gone.
        for port in world.ports.values():
            node.run("iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
    process = multiprocessing.get_context("fork").Process(target=_step, args=(world.context(),))
    process.start()
    _wait_for(source.exists)
    if cut:
        node.cut_power()
        node.boot()
    else:
        # The installer alone: what it has started goes on, until the next run ends that.
        process.kill()
    process.join(_LOST_SECONDS)
    # Ansible says of a lost node that a task failed, or that it cannot be reached.
    lost = {StepError.exit_code, UnreachableError.exit_code}
    assert process.exitcode in (lost if cut else {-signal.SIGKILL})
    assert not (node.rootfs / MARKER.lstrip("/")).exists()
    HostsStep().run(world.context())
    again = (node.rootfs / "etc/apt/sources.list.d/extra.list.isoward.disabled.~1~").exists()
    assert again
    for each in world.site.nodes:
        each.run("sh", "-c", "rm /etc/apt/sources.list.d/*.~*~")
    assert [_state(node) for node in world.site.nodes] == whole


def test_5_one_of_two_depots_is_enough_for_the_nodes(world: World) -> None:
    context = world.context()
    first, second = world.ports
    world.depots[first].kill()
    node = world.site.nodes[0]
    assert second in _apt(node, "update")
    said = _apt(node, "install", "ipset")
    assert second in said
    assert node.run("ipset", "--version").stdout.startswith(b"ipset v")
    # An installation wants both: high availability is what the second one is for.
    with pytest.raises(InstallError, match=f"{first}.*nothing answers"):
        DepotStep().run(context)


def test_6_a_machine_of_rocky_gets_dnf_s_own_and_nothing_else(world: World) -> None:
    """The lab has no Rocky, so a node of Debian with dnf says that it is one."""
    node = world.site.nodes[1]
    # The lab's nodes have security updates, which the bundle of this test does not carry.
    pin = "Package: *\nPin: release n=bookworm\nPin-Priority: 1001\n"
    (node.rootfs / "etc/apt/preferences.d/older").write_text(pin)
    _apt(node, "install", "--allow-downgrades", "dnf", "rpm", "gpg")
    (node.rootfs / "etc/os-release").unlink()
    (node.rootfs / "etc/os-release").write_text(_SYSTEM)
    (node.rootfs / "etc/redhat-release").write_text("Rocky Linux release 9.6 (Blue Onyx)\n")
    (node.rootfs / "usr/bin/update-ca-trust").symlink_to("true")
    (node.rootfs / "etc/pki/ca-trust/source/anchors").mkdir(parents=True)
    (node.rootfs / "etc/yum.repos.d").mkdir(exist_ok=True)
    stranger = node.rootfs / "etc/yum.repos.d/rocky.repo"
    stranger.write_text("[baseos]\nname=x\nbaseurl=http://192.0.2.1/\nenabled=1\n")
    said = HostsStep().run(world.context())
    assert [found["packages"] for found in said["nodes"].values()] == [["debian-12"], ["rocky-9"]]
    assert said["nodes"]["node1"]["changed"] == []
    repositories = node.run("dnf", "--quiet", "repolist", "--enabled").stdout.decode()
    assert [line.split()[0] for line in repositories.splitlines()[1:]] == [
        "isoward-rocky-9-appstream"
    ]
    node.run("dnf", "--quiet", "--assumeyes", "install", "toolkit", timeout=300)
    assert (node.rootfs / "usr/bin/toolkit").read_text() == "toolkit\n"
    assert not stranger.exists()
    assert HostsStep().run(world.context())["nodes"]["node2"]["changed"] == []
    setting = node.rootfs / "etc/dnf/dnf.conf"
    assert "\noptional_metadata_types=comps,filelists,updateinfo\n" in setting.read_text()
    setting.write_text(setting.read_text() + "[other]\nname=x\nbaseurl=file:///srv\n")
    with pytest.raises(StepError, match=r"node2: .*(from the depot alone|for repo 'other')"):
        HostsStep().run(world.context("node2"))


def test_7_a_source_that_apt_reads_from_elsewhere_is_found(world: World) -> None:
    node = world.site.nodes[0]
    (node.rootfs / "srv/other.list").write_text("deb [trusted=yes] file:/srv/none x main\n")
    setting = node.rootfs / "etc/apt/apt.conf.d/50elsewhere"
    setting.write_text('Dir::Etc::SourceList "/srv/other.list";\nAPT::Update::Error-Mode "none";\n')
    try:
        with pytest.raises(StepError, match=r"node1: .*(from the depot alone|/srv/none)"):
            HostsStep().run(world.context("node1"))
    finally:
        setting.unlink()


def _step(context: Context) -> None:
    """Run the step in a process of its own, which a test may kill."""
    code = 0
    try:
        HostsStep().run(context)
    except IsowardError as error:
        print(error)
        code = error.exit_code
    except Exception:  # noqa: BLE001 - a child says it by its exit code
        traceback.print_exc()
        code = IsowardError.exit_code
    sys.stdout.flush()
    os._exit(code)


def _wait_for(happened: Any) -> None:
    deadline = time.monotonic() + _SECONDS
    while not happened():
        assert time.monotonic() < deadline
        with suppress(InterruptedError):
            time.sleep(0.02)
