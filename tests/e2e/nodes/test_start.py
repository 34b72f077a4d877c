"""install.sh on a bare Debian node: no Python, no openssl, no way out, the medium read-only."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from bundle.base.digest import digest_of, hex_of
from bundle.store.programs import run_program
from bundler.sources.python.simple_index import pip_index
from installer.depot.client.ask_depot import answers
from installer.depot.client.unit import UNIT
from installer.site.document import DepotAddress
from tests.lab.debian import host_mirror, vendor_home
from tests.lab.node import MEDIUM, LabNode, lab, prove_no_way_out
from tests.lab.rootfs import BARE_PACKAGES, debian_codename
from tests.support.documents.right import DEFINITION
from tests.support.documents.verify_text import TOLD, steps_of_text, type_steps
from tests.support.programs.needs import requires_index, requires_root, requires_tool
from tests.support.registries.journey import (
    APPROVERS,
    REPOSITORY_ROOT,
    Machine,
    approve,
    build,
    make_keys,
    make_root,
)
from tests.support.sites.plain import node_data, site_data

pytestmark = [pytest.mark.e2e, pytest.mark.lab]

_OTHER_KEYRING = "usr/share/keyrings/debian-archive-removed-keys.gpg"
_START = """\
pythonPackages:
  - {name: installer, requirements: [start.txt], pythons: ["3.11"], glibc: "2.34"}
start: {pythonPackages: installer, osPackages: [debian-12]}
osPackages:
"""
_ENSURE = """\
import sys
from pathlib import Path
from installer.depot.directory import open_depot
from installer.site.load import parse_site
from installer.depot.client.service import ensure_depot_served
site = parse_site(sys.stdin.buffer.read(), "site.yaml")
print(ensure_depot_served(open_depot(Path(sys.argv[1])), site))
"""


@dataclass(frozen=True)
class World:
    """A bare node with a medium in it.

    Attributes:
        node: Of Debian, without Python.
        bundle: The medium, seen from here.
        fingerprint: Of the vendor's root, in hexadecimal.
    """

    node: LabNode
    bundle: Path
    fingerprint: str

    def sh(self, command: str) -> str:
        """Type a command in the medium's folder."""
        done = self.node.run("bash", "-c", f"cd {MEDIUM} && {command}", timeout=240)
        return done.stdout.decode()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_root()
    requires_tool("apt-get", "mmdebstrap", "systemd-nspawn")
    requires_index(pip_index(run_program))
    if debian_codename() != "bookworm":
        pytest.skip("the lab's nodes are of this machine's release, and this is not Debian 12")
    home = tmp_path_factory.mktemp("vendor")
    mirror = host_mirror("bookworm")
    vendor_home(home, mirror)
    (home / "start.txt").write_bytes((REPOSITORY_ROOT / "requirements/start.txt").read_bytes())
    asked = mirror.entry("debian-12", "debian-12", "bookworm", ("python3",))
    (home / "start.yaml").write_text(DEFINITION.partition("images:")[0] + _START + asked)
    machine, keys = Machine(home), home / "keys"
    make_keys(keys)
    make_root(machine, keys, home / "release")
    machine.run("lock", "start.yaml")
    build(machine, home / "start.lock.yaml", home / "bundle", home / "release", keys)
    for name in APPROVERS[:2]:
        approve(machine, home / "bundle", keys, name)
    root = machine.result("root", "show", home / "release")["fingerprint"]
    with lab(packages=BARE_PACKAGES, medium=home / "bundle") as site:
        yield World(site.nodes[0], home / "bundle", root.removeprefix("sha256:"))


def test_1_the_node_is_bare_and_alone(world: World) -> None:
    assert "Network is unreachable" in prove_no_way_out(world.node)
    for program in ("python3", "openssl", "pip", "isoward"):
        found = world.node.run("sh", "-c", f"command -v {program}", check=False)
        assert found.returncode != 0, program
    touched = world.node.run("touch", f"{MEDIUM}/x", check=False)
    assert "Read-only file system" in touched.stderr.decode()


def test_2_the_medium_is_verified_by_the_documented_commands(world: World) -> None:
    steps = steps_of_text((world.bundle / "VERIFY.txt").read_text())
    typed = world.sh("".join(steps[n] for n in (1, 2, 8)).replace(TOLD, world.fingerprint))
    assert typed.splitlines() == ["trust/1.root.json", "install.sh"]
    # The node has no openssl, so this step is done on another machine, as VERIFY.txt says.
    signed = type_steps([steps[5]], world.bundle, "")
    assert signed.stdout.count("Signature Verified Successfully") == 3
    assert "NOT" not in signed.stdout


def test_3_packages_that_the_distribution_did_not_sign_are_refused(world: World) -> None:
    # Another keyring, and every digest that says so: by somebody who made the whole medium.
    world.node.run("cp", "-r", f"{MEDIUM}/", "/root/forged")
    forged = world.node.rootfs / "root/forged"
    script, sums = (forged / "install.sh").read_text(), (forged / "SHA256SUMS").read_text()
    (digest,) = re.findall(r"^([0-9a-f]{64}) keyring\.gpg$", script, re.MULTILINE)
    other = (world.node.rootfs / _OTHER_KEYRING).read_bytes()
    (forged / "blobs/sha256" / _hex(other)).write_bytes(other)
    changed = script.replace(digest, _hex(other))
    (forged / "install.sh").write_text(changed)
    sums = sums.replace(digest, _hex(other)).replace(_hex(script.encode()), _hex(changed.encode()))
    (forged / "SHA256SUMS").write_text(sums)
    refused = world.node.run("sh", "/root/forged/install.sh", check=False, timeout=240)
    world.node.run("rm", "-rf", "/root/forged")
    assert refused.returncode == 15, refused.stderr
    assert b"could not install Python from the medium" in refused.stderr
    assert b"is not signed" in refused.stderr
    assert world.node.run("sh", "-c", "command -v python3", check=False).returncode != 0
    assert world.node.run("ls", "-A", "/opt").stdout == b""


def test_4_install_sh_gives_a_working_isoward(world: World) -> None:
    said = world.sh("sh install.sh")
    assert "installing Python for debian-12 from the medium" in said
    assert re.search(r"^isoward [0-9.]+$", said, re.MULTILINE)
    assert world.node.run("readlink", "/usr/local/bin/isoward").stdout.startswith(b"/opt/isoward/")
    assert b"isoward" not in world.node.run("ls", "-A", "/tmp").stdout
    assert "is in /opt/isoward already" in world.sh("sh install.sh")


def test_5_it_verifies_enrols_imports_and_serves(world: World) -> None:
    told = f"--fingerprint {world.fingerprint}"
    assert "verified:" in world.sh(f"isoward verify . {told}")
    world.sh(f"isoward enroll . --depot /var/lib/isoward {told}")
    world.sh("isoward import . --depot /var/lib/isoward")
    assert "Usage:" in world.sh("isoward serve --help")
    script = (
        "isoward serve --depot /var/lib/isoward --address 127.0.0.1 --port 0 "
        "--ready-file /run/ready.json >/run/serve.log 2>&1 & serve=$!; "
        "for i in $(seq 600); do [ -e /run/ready.json ] && break; sleep 0.1; done; "
        "kill $serve; wait $serve; cat /run/ready.json"
    )
    served = world.node.run("bash", "-c", script, timeout=150).stdout.decode()
    assert '"url"' in served


def test_6_the_depot_becomes_a_service_that_comes_back(world: World) -> None:
    node, folder = world.node, "/srv/depot of 50% $HOME"
    node.run("mv", "/var/lib/isoward", folder)
    site = {
        **site_data(nodes=[{**node_data(node.host_key, 22), "address": node.address}]),
        "depot": {"address": node.address, "port": 5443},
    }

    def ensure() -> str:
        argv = ["/opt/isoward/current/bin/python", "-I", "-c", _ENSURE, folder]
        return node.run(*argv, stdin=json.dumps(site).encode()).stdout.decode().strip()

    depot = DepotAddress(address=node.address, port=5443)
    assert ensure() == "started"
    ca = (node.rootfs / folder.lstrip("/") / "tls/ca.pem").read_bytes()
    assert answers(depot, ca)
    assert ensure() == "answers"
    unit = node.run("systemctl", "cat", UNIT).stdout.decode()
    assert 'ExecStart="/opt/isoward/current/bin/python" "-I"' in unit
    for harm in (
        ["systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT],
        ["systemctl", "restart", UNIT],
    ):
        before = _main_process(node)
        node.run(*harm)
        _wait_for(partial(_has_another_process, node, before))
        _wait_for(lambda: answers(depot, ca))
    node.cut_power()
    assert not answers(depot, ca)
    node.boot()
    _wait_for(lambda: answers(depot, ca))
    # It can write nothing but its depot, and gain nothing.
    shown = node.run("systemd-analyze", "security", "--no-pager", UNIT).stdout.decode()
    assert re.search(r"exposure level for isoward-depot.service: [0-3]\.[0-9]", shown)


def test_7_a_command_of_somebody_elses_is_not_replaced(world: World) -> None:
    world.node.run("rm", "/usr/local/bin/isoward")
    world.node.run("cp", "/bin/true", "/usr/local/bin/isoward")
    refused = world.node.run("sh", f"{MEDIUM}/install.sh", check=False)
    assert refused.returncode == 2
    assert b"/usr/local/bin/isoward exists, and is not of /opt/isoward" in refused.stderr


def test_8_a_person_without_root_installs_for_themselves(world: World) -> None:
    world.node.run("useradd", "--create-home", "olga")
    refused = world.node.run("runuser", "-u", "olga", "sh", f"{MEDIUM}/install.sh", check=False)
    assert refused.returncode != 0
    own = world.node.run(
        "runuser", "-u", "olga", "--", "sh", f"{MEDIUM}/install.sh", "--prefix", "/home/olga/i",
        timeout=240,
    ).stdout.decode()  # fmt: skip
    assert "/home/olga/i/current/bin/isoward enroll" in own


def _main_process(node: LabNode) -> str:
    shown = node.run("systemctl", "show", "--value", "--property=MainPID", UNIT)
    return shown.stdout.decode().strip()


def _has_another_process(node: LabNode, before: str) -> bool:
    return _main_process(node) not in {before, "0"}


def _wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _hex(data: bytes) -> str:
    return hex_of(digest_of(data))
