"""The preflight on real nodes: no alarm on good ones, and every planted fault by its own answer."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from bundle.base.progress import NO_PROGRESS
from installer.core.step import Context
from installer.depot.directory import open_depot
from installer.installation.context import InstallRequest, make_context
from installer.preflight.answers import Report
from installer.preflight.ask import over_ssh
from installer.preflight.ask_site import ask_site
from installer.preflight.question import Wanted
from installer.preflight.sudo import SUDO
from installer.serving.tls.certificate import made_identity
from installer.site.document import Site
from installer.site.load import load_site
from installer.steps.check_machines import wanted_of
from tests.lab.faults import LOCAL, SHARED, Fault, planted, slow_disk
from tests.lab.node import Lab, LabNode, lab
from tests.lab.site import lab_site, write_site
from tests.support.depot.imported import import_now
from tests.support.programs.needs import requires_tool
from tests.support.programs.processes import free_port, running
from tests.support.sites.clusters import kubespray_manifest, with_os_packages
from tests.support.sites.with_cluster import cluster_bundle

pytestmark = [pytest.mark.e2e, pytest.mark.lab]

_ISOWARD = (sys.executable, "-m", "bundle.cli.main")
_OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMKGdPYkCxNSsfxsGmgPhp0M8DTtpIB7yyM2kVb7Z8J0"
_OVERRIDES: Final = {
    # This machine may start its containers with old control groups, and its kernel has no IPVS.
    "group_vars/all/lab.yml": b"kubelet_fail_cgroup_v1: false\nkube_proxy_mode: iptables\n"
}
_OLD_CGROUPS: Final = not Path("/sys/fs/cgroup/cgroup.controllers").exists()
_TRUE_OF_THE_LAB: Final = {"cgroups=warn"} if _OLD_CGROUPS else set()
"""What is said of every node here, because it is so: the kernel was started with control groups of
version 1."""
_DISKS: Final = {
    "/var/lib/etcd": "9g",
    "/var/lib/containerd": "21g",
    "/var/lib/kubelet": "6g",
    "/tmp/releases": "3g",
}
"""Where space is judged: comfortable sizes, of which nothing is used. The rest of a node lies on
this machine's own disk, of which no test may judge."""
_PAIRS: Final = list(zip(LOCAL[::2], LOCAL[1::2], strict=True))


@dataclass(frozen=True)
class World:
    """Two nodes, the depot that is served to them, and what is asked of them."""

    lab: Lab
    depot: Path
    site: dict[str, Any]
    context: Context
    wanted: Wanted

    def ask(
        self, wanted: Wanted | None = None, sudo_password: str = "", **changes: Any
    ) -> list[set[str]]:
        """Return what is said of each node beyond what is true of the lab."""
        asked = self.changed(**changes)
        connect = over_ssh(asked, self.context.ssh_key, sudo_password)
        return _said(ask_site(asked, connect, wanted or self.wanted))

    def changed(self, **changes: Any) -> Site:
        """Return the site with other top-level fields."""
        return load_site(write_site(self.context.run / "asked.yaml", {**self.site, **changes})).site

    def run(self, *options: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [*_ISOWARD, "preflight", self.context.site_path, "--depot", self.depot, *options],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def names(self, node: int) -> dict[str, str]:
        """Return what the scripts of faults may use."""
        mine, other = self.lab.nodes[node], self.lab.nodes[1 - node]
        return {
            "ME": mine.address, "OTHER": other.address, "HOST": self.lab.host_address,
            "OTHER_ID": other.run("cat", "/etc/machine-id").stdout.decode().strip(),
        }  # fmt: skip


def _said(report: Report) -> list[set[str]]:
    said = [
        {
            answer.id if answer.verdict.value == "fail" else f"{answer.id}={answer.verdict.value}"
            for answer in node.answers
            if answer.verdict.value != "ok"
        }
        for node in report.nodes
    ]
    return [answers - _TRUE_OF_THE_LAB for answers in said]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_tool("ssh")
    work = tmp_path_factory.mktemp("preflight")
    depot, ready = work / "depot", work / "ready.json"
    release = f"debian-{platform.freedesktop_os_release()['VERSION_ID']}"
    manifest = with_os_packages(kubespray_manifest("calico"), release)
    import_now(cluster_bundle(work / "bundle", depot, manifest), depot)
    with lab(nodes=2) as site:
        for node in site.nodes:
            _give_disks(node)
        argv: list[str | Path] = [*_ISOWARD, "serve", "--depot", depot]
        argv += ["--address", site.host_address, "--port", "0", "--ready-file", ready]
        with running("isoward serve", argv, work / "serve.log", ready=ready.exists):
            port = int(json.loads(ready.read_text())["url"].rsplit(":", 1)[1])
            data = _cluster(site, port)
            path = write_site(work / "site.yaml", data)
            request = InstallRequest(load_site(path), depot, overrides=_OVERRIDES)
            context = make_context(
                request, open_depot(depot), lambda: datetime.now(UTC), NO_PROGRESS
            )
            context = replace(context, run=work)
            yield World(site, depot, data, context, wanted_of(context))


def _give_disks(node: LabNode) -> None:
    """Give a node disks that do not depend on what else this machine does, or has."""
    for folder, size in _DISKS.items():
        node.run("mkdir", "-p", folder)
        node.run("mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes=1m", "none", folder)


def _cluster(site: Lab, port: int) -> dict[str, Any]:
    data = lab_site(
        site, "registry.example.org/x:1", port,
        kubernetes={"version": "v1.35.4", "networkPlugin": "calico"},
    )  # fmt: skip
    network = site.nodes[0].address.rpartition(".")[0]
    data["zones"] = [{"name": "clinical", "networks": [f"{network}.0/24"]}]
    for node, roles in zip(data["nodes"], (["control-plane", "etcd", "worker"], ["worker"]),
                           strict=True):  # fmt: skip
        node["roles"] = roles
    return data


def _files(node: LabNode) -> bytes:
    """What is there, and of which size; who has logged in is written down elsewhere."""
    return node.run(
        "sh", "-c", "find /etc /opt /root /tmp /usr /var/lib -printf '%p %s\\n' | sort"
    ).stdout


def test_good_nodes_raise_no_alarm(world: World, tmp_path: Path) -> None:
    (tmp_path / "group_vars/all").mkdir(parents=True)
    for name, text in _OVERRIDES.items():
        (tmp_path / name).write_bytes(text)
    page = world.context.run / "page.html"
    before = [_files(node) for node in world.lab.nodes]
    done = world.run("--json", "--overrides", tmp_path, "--page", page)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["ready"] is True
    for node in said["nodes"]:
        assert len(node["answers"]) > 40
        found = {f"{a['id']}={a['verdict']}" for a in node["answers"] if a["verdict"] != "ok"}
        assert found == _TRUE_OF_THE_LAB
    assert "Every node is ready." in page.read_text()
    assert [_files(node) for node in world.lab.nodes] == before


@pytest.mark.parametrize(("first", "second"), _PAIRS, ids=str)
def test_faults_of_one_node_are_found_by_their_own_answer(
    world: World, first: Fault, second: Fault
) -> None:
    one, two = world.lab.nodes
    with planted(first, one, **world.names(0)), planted(second, two, **world.names(1)):
        assert world.ask() == [set(first.here), set(second.here)]


@pytest.mark.parametrize("fault", SHARED, ids=str)
def test_faults_between_nodes_are_said_of_whom_they_concern(world: World, fault: Fault) -> None:
    route = [f"ip route {verb} 9.9.9.9 via {world.lab.nodes[1].address}" for verb in ("add", "del")]
    plain = Fault("", "true", "true")
    way = Fault("", route[0], route[1]) if "egress" in fault.there else plain
    with (
        planted(fault, world.lab.nodes[1], **world.names(1)),
        planted(way, world.lab.nodes[0]),
    ):
        assert world.ask() == [set(fault.there), set(fault.here)]


def _wrong_key(world: World) -> dict[str, Any]:
    nodes = [dict(node) for node in world.site["nodes"]]
    nodes[1]["hostKey"] = _OTHER_KEY
    return {"nodes": nodes}


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_wrong_key, [set(), {"ssh"}]),
        (lambda w: {"depot": {**w.site["depot"], "port": free_port()}}, [{"depot"}] * 2),
        (lambda w: {"secondDepot": {**w.site["depot"], "port": free_port()}},
         [{"second-depot"}] * 2),
        (lambda w: {"dnsServers": [f"{w.lab.host_address.rpartition('.')[0]}.250"]}, [set()] * 2),
    ],
    ids=["another host key", "a depot that is down", "a second depot that is down",
         "a name server of the site that is down, which is none"],
)  # fmt: skip
def test_faults_beyond_the_nodes(
    world: World, spoil: Callable[[World], dict[str, Any]], expected: list[set[str]]
) -> None:
    assert world.ask(**spoil(world)) == expected


def test_what_is_wanted_may_not_fit_the_nodes(world: World) -> None:
    made_identity(world.context.run / "other", ["127.0.0.1"], lambda: datetime.now(UTC))
    other_ca = (world.context.run / "other/ca.pem").read_bytes()
    wanted = replace(world.wanted, ca=other_ca, platforms=("linux/arm64",))
    assert world.ask(wanted) == [{"depot", "architecture"}] * 2
    lacking = replace(world.wanted.image, digest="sha256:" + "0" * 64)
    wanted = replace(world.wanted, image=lacking, settings={"kube_proxy_mode": "iptables"})
    refused = {"cgroups"} if _OLD_CGROUPS else set()
    assert world.ask(wanted) == [{"image", *refused}] * 2


def test_sudo_is_used_where_it_is_let_and_missed_where_not(world: World) -> None:
    for node in world.lab.nodes:
        node.run("useradd", "--create-home", "--shell", "/bin/bash", "steward")
        node.run("cp", "-r", "/root/.ssh", "/home/steward/.ssh")
        node.run("chown", "-R", "steward:", "/home/steward/.ssh")
    rule = b"steward ALL=(ALL) NOPASSWD: ALL\n"
    world.lab.nodes[0].run("tee", "/etc/sudoers.d/steward", stdin=rule)
    asked = b"steward ALL=(ALL) ALL\n"
    ssh = {**world.site["ssh"], "user": "steward"}
    node = world.lab.nodes[1]
    try:
        assert world.ask(ssh=ssh) == [set(), {"root"}]
        node.run("chpasswd", stdin=b"steward:open sesame\n")
        node.run("tee", "/etc/sudoers.d/steward", stdin=asked)
        assert world.ask(ssh=ssh) == [set(), {"root"}]
        assert world.ask(ssh=ssh, sudo_password="open sesame") == [set(), set()]
        assert world.ask(ssh=ssh, sudo_password="open the door") == [set(), {"root"}]
        # Where sudo does not ask after all, the password must not reach the program.
        node.run("tee", "/etc/sudoers.d/steward", stdin=b"steward ALL=(ALL) NOPASSWD: /bin/sh\n")
        site = world.changed(ssh=ssh)
        with over_ssh(site, world.context.ssh_key, "open sesame")(site.nodes[1]) as shell:
            done = shell.run(*SUDO, "cat", stdin=b"text")
        assert done.code == 1
        assert done.out == ""
        assert "sesame" not in done.err
    finally:
        for node in world.lab.nodes:
            node.run("userdel", "--remove", "steward", check=False)


def test_a_slow_disk_of_etcd_and_too_few_processors(world: World) -> None:
    node = world.lab.nodes[0]
    server = node.run("systemctl", "show", "--property=MainPID", "--value", "ssh").stdout.decode()
    node.run("umount", "/var/lib/etcd")
    try:
        # Every session has what its server has.
        node.run("taskset", "-pc", "0", server.strip())
        with slow_disk(node):
            # Only a real disk can be slow: how full this machine's is, is taken as it is found.
            slow, other = world.ask()
            assert (slow - {"disk", "disk=warn"}, other) == ({"cpu", "disk-speed"}, set())
    finally:
        node.run("taskset", "-pc", "0-63", server.strip())
        size = f"size={_DISKS['/var/lib/etcd']}"
        node.run("mount", "-t", "tmpfs", "-o", size, "none", "/var/lib/etcd")


def test_z_the_command_ends_as_the_nodes_are(world: World) -> None:
    page = world.context.run / "bad.html"
    full = next(fault for fault in LOCAL if fault.name == "a full disk")
    with planted(full, world.lab.nodes[0], **world.names(0)):
        done = world.run("--page", page)
    assert done.returncode == 51, done.stdout + done.stderr
    assert "fail  disk" in done.stdout
    assert "node1: disk: expected" in done.stderr
    assert "What is to be done" in page.read_text()
    world.lab.nodes[1].stop()
    said = json.loads((done := world.run("--json")).stdout)
    assert (done.returncode, said["error"], said["exitCode"]) == (53, "unreachable", 53)
    # The other one is not blamed for it.
    others = {a["id"] for a in said["nodes"][0]["answers"] if a["verdict"] == "fail"}
    assert "reach-nodes" not in others
