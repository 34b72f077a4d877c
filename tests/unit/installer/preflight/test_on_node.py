"""The programs that run on nodes, put to this machine, and to files that a test made."""

from __future__ import annotations

import ast
import fcntl
import gzip
import json
import os
import socket
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from installer.preflight import facts as facts_module
from installer.preflight.ask_site import wants
from installer.preflight.facts import Facts, ask_facts
from installer.preflight.on_node import identity, leftovers, machine, network, outside, reading
from installer.preflight.question import Machine
from installer.preflight.shell import LocalShell, Result
from installer.serving.tls.certificate import made_identity
from tests.support.programs.processes import free_port
from tests.support.sites.node_facts import cluster_site, wanted

_FOLDER = Path(reading.__file__).parent


def _asked() -> Facts:
    site = cluster_site()
    want = wants(site.nodes[0], site, wanted())
    # Nobody is there, and a test connects to nothing beyond this machine.
    want |= {"peers": [], "depots": [], "outside": []}
    return ask_facts(Machine(LocalShell()), want)


def test_all_facts_can_be_asked_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    # But for what this machine's own name servers would be asked.
    parts = {name: kind for name, kind in facts_module._PARTS.items() if name != "outside"}
    monkeypatch.setattr(facts_module, "_PARTS", parts)
    facts = _asked()
    assert facts.troubles == {}
    assert facts.machine is not None
    assert facts.machine.cpus == len(os.sched_getaffinity(0))
    assert facts.machine.memory_kib > 0
    assert facts.identity is not None
    assert facts.identity.hostname == socket.gethostname()
    assert facts.disks is not None
    assert facts.disks.sync is not None
    assert facts.disks.sync.writes > 0
    assert facts.network is not None
    assert any("127.0.0.1" in link.addresses for link in facts.network.interfaces)


@pytest.mark.parametrize("path", sorted(_FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_old_pythons_can_read_what_runs_on_a_node(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    # Only what stands in the standard library, or is sent along.
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            name = node.module or ""
            assert name.split(".")[0] in sys.stdlib_module_names or "on_node" in name
    future = any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body)
    assert future or path.name == "__init__.py"


def test_a_part_that_fails_or_is_missing_takes_no_other_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(LocalShell):
        def run(self, *argv: str, stdin: bytes = b"") -> Result:
            work = json.loads(stdin)
            for pair in work["sources"]:
                if pair[0].endswith(".disks"):
                    pair[1] = "def facts(want): raise ValueError('x' * 9000)"
            return super().run(*argv, stdin=json.dumps(work).encode())

    monkeypatch.setattr(facts_module, "_PARTS", {
        name: kind for name, kind in facts_module._PARTS.items() if name in {"disks", "machine"}
    })  # fmt: skip
    site = cluster_site()
    found = ask_facts(Machine(Broken()), wants(site.nodes[0], site, wanted()))
    assert found.machine is not None
    assert found.troubles["disks"].startswith("ValueError: xxx")
    assert len(found.troubles["disks"]) <= 200


def test_a_part_that_hangs_is_waited_for_no_longer_than_the_others_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hanging(LocalShell):
        def run(self, *argv: str, stdin: bytes = b"") -> Result:
            work = json.loads(stdin)
            for pair in work["sources"]:
                if pair[0].endswith(".disks"):
                    pair[1] = "import time\ndef facts(want): time.sleep(600)"
            return super().run(*argv, stdin=json.dumps(work).encode())

    short = facts_module._LOADER.replace("monotonic() + 15", "monotonic() + 1")
    assert short != facts_module._LOADER
    monkeypatch.setattr(facts_module, "_LOADER", short)
    monkeypatch.setattr(facts_module, "_PARTS", {
        name: kind for name, kind in facts_module._PARTS.items() if name in {"disks", "machine"}
    })  # fmt: skip
    site = cluster_site()
    found = ask_facts(Machine(Hanging()), wants(site.nodes[0], site, wanted()))
    assert found.machine is not None
    assert found.troubles == {"disks": "no answer in time"}


def test_features_are_read_of_settings_or_of_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted_features = {
        "vxlan": ["CONFIG_VXLAN", "vxlan"], "ip_vs": ["CONFIG_IP_VS", "ip_vs"],
        "br_netfilter": ["CONFIG_BRIDGE_NETFILTER", "br_netfilter"],
    }  # fmt: skip
    texts: dict[str, str] = {}
    monkeypatch.setattr(machine, "read", lambda path: texts.get(path, ""))
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "config.gz")
    assert set(machine._features("6.1", wanted_features).values()) == {"unknown"}
    texts["/lib/modules/6.1/modules.dep"] = (
        "kernel/drivers/net/vxlan/vxlan.ko.xz: kernel/net/ipv4/udp_tunnel.ko.xz\n"
        "kernel/net/bridge/br_netfilter.ko: kernel/net/bridge/bridge.ko\n"
    )
    by_module = machine._features("6.1", wanted_features)
    assert by_module == {"vxlan": "present", "ip_vs": "absent", "br_netfilter": "present"}
    texts.clear()
    (tmp_path / "config.gz").write_bytes(
        gzip.compress(b"CONFIG_VXLAN=y\n# CONFIG_IP_VS is not set\nCONFIG_BRIDGE_NETFILTER=m\n")
    )
    by_setting = machine._features("6.1", wanted_features)
    assert by_setting == {"vxlan": "present", "ip_vs": "absent", "br_netfilter": "absent"}


def test_a_proxy_is_told_by_its_place_and_never_by_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = {
        "/etc/environment": 'PATH=/bin\nHTTPS_PROXY="http://user:secret@proxy.example:3128"\n',
        "/etc/apt/apt.conf.d/10proxy": 'Acquire::http::Proxy "http://user:secret@p:1";\n',
        "/etc/profile.d/x.sh": "# export http_proxy=http://nowhere\n",
        "/etc/dnf/dnf.conf": "[main]\nproxy=http://p:1\n",
    }
    monkeypatch.setattr(identity, "read", lambda path: texts.get(path, ""))
    monkeypatch.setattr(
        identity, "names_in", lambda folder: [Path(p).name for p in texts if p.startswith(folder)]
    )
    monkeypatch.setattr(os, "environ", {"all_proxy": "http://user:secret@p"})
    found = identity._proxies()
    assert found == {
        "all_proxy in the environment",
        "HTTPS_PROXY in /etc/environment",
        "Acquire::http::Proxy in /etc/apt/apt.conf.d/10proxy",
        "proxy in /etc/dnf/dnf.conf",
    }
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("path", "text", "is_proxy"),
    [
        ("/etc/apt/apt.conf", 'Acquire::https::Proxy "DIRECT";\n', False),
        ("/etc/apt/apt.conf", 'Acquire::https::Proxy "";\n', False),
        ("/etc/apt/apt.conf", 'Acquire::https::Proxy "http://p:1";\n', True),
        ("/etc/apt/apt.conf", 'Acquire::https::Proxy::host  "http://p:1";\n', True),
        ("/etc/dnf/dnf.conf", "proxy=_none_\n", False),
        ("/etc/dnf/dnf.conf", "proxy = none.example\n", True),
    ],
)
def test_a_setting_that_no_proxy_is_asked_is_no_proxy(
    monkeypatch: pytest.MonkeyPatch, path: str, text: str, *, is_proxy: bool
) -> None:
    monkeypatch.setattr(identity, "read", lambda asked: text if asked == path else "")
    monkeypatch.setattr(os, "environ", {})
    assert bool(identity._proxies()) == is_proxy


def test_a_lock_is_told_with_its_holder_and_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    assert leftovers._holder(str(path)) == []
    assert leftovers._holder(str(tmp_path / "none")) == []
    code = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'w')\nfcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nsys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        (said,) = leftovers._holder(str(path))
        assert f"({holder.pid})" in said
    finally:
        holder.communicate()
    with path.open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_listener_is_found_with_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = network._listeners({port})
        assert found["port"] == port
        assert found["process"] == Path("/proc/self/comm").read_text().strip()
    assert network._listeners({free_port()}) == []


def test_a_port_that_is_closed_is_an_answer() -> None:
    assert network._connect("127.0.0.1", free_port()) == ""
    assert network._connect("224.0.0.1", 9) != ""


def test_an_echo_has_the_checksum_of_rfc_1071() -> None:
    packet = network._packet(0x1234, 1, 9)
    total = sum(struct.unpack(f"!{(len(packet) + 1) // 2}H", packet + b"\0" * (len(packet) % 2)))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


@pytest.mark.parametrize(
    ("flags", "answers", "found"),
    [(0x8180, 1, True), (0x8180, 0, False), (0x8183, 0, False), (0x8185, 0, False)],
)
def test_only_an_answer_with_an_address_counts(flags: int, answers: int, *, found: bool) -> None:
    message = struct.pack("!HHHHHH", 7, flags, 1, answers, 0, 0)
    assert outside._has_answer(message) is found
    assert outside._has_answer(message[:5]) is False


def test_who_answers_is_told_and_who_does_not_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "name_servers", lambda: ["127.0.0.1"])
    made_identity(tmp_path, ["127.0.0.1"], lambda: datetime.now(UTC))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        depot = {"address": "127.0.0.1", "port": free_port(), "paths": ["/v2/"], "accept": ""}
        want = {
            "depots": [depot], "ca": (tmp_path / "ca.pem").read_text(), "dns_servers": [],
            "outside": [["127.0.0.1", port]], "outside_name": "name.invalid",
        }  # fmt: skip
        found = outside.facts(want)
        without = outside.facts({**want, "ca": ""})
    assert "refused" in found["depots"][0]["trouble"]
    # It is this machine's own address, which is no way out.
    assert found["connected"] == []
    assert found["resolved"] == []
    # Without the site's CA nobody is trusted at all.
    assert "refused" not in without["depots"][0]["trouble"]
    assert without["depots"][0]["trouble"]


def test_a_file_is_read_to_its_end_and_no_further_than_the_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 200_000)
    (tmp_path / "f").write_bytes(b"x" * 1_000_000)
    assert 200_000 <= len(reading.read(str(tmp_path / "f"))) < 300_000
    assert reading.read(str(tmp_path / "none")) == ""
    assert reading.names_in(str(tmp_path / "none")) == []
    assert reading.said_by("no-such-program-anywhere")[0] == reading.NO_PROGRAM
