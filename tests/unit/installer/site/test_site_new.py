"""`isoward site new`: by options, and with a person at a terminal who makes mistakes."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import paramiko
import pexpect
import pytest
import yaml

from bundle.cli.main import run
from installer.site.host_key import parse_host_key
from tests.lab.ssh_server import ssh_server
from tests.support.sites.plain import HOST_KEY, new_key, public_text

Said = pytest.CaptureFixture[str]
OTHER_KEY = HOST_KEY[:-1] + "W"
VERSION = "v1.35.4"


def _answers(folder: Path) -> list[str]:
    admin = "name=admin,networks=10.20.2.0/24,labels=ward=east"
    clinical = (
        "name=clinical,networks=10.20.1.0/24+10.20.4.0/24,egress=10.9.0.0/24:443+10.8.0.0/16"
        ",taints=zone=clinical:NoSchedule+slow:NoExecute"
    )
    first = "name=n1,address=10.20.2.11,zone=admin,roles=control-plane+etcd"
    second = "name=n2,address=10.20.4.11,zone=clinical,roles=worker,port=2222"
    return [
        "site", "new", str(folder / "new.yaml"),
        "--name", "north", "--depot", "10.20.0.5:5444", "--second-depot", "[fd00::5]:5445",
        "--zone", admin, "--zone", clinical,
        "--node", f"{first},hostKey={HOST_KEY}", "--node", f"{second},hostKey={OTHER_KEY}",
        "--image", "registry.example.org/app/web:2.1",
        "--kubernetes", "v1.35.4", "--network-plugin", "cilium",
        "--control-plane", "api.hospital.example:8443",
    ]  # fmt: skip


def test_a_new_site_by_options_passes_the_check(tmp_path: Path, capsys: Said) -> None:
    new_key(tmp_path / "id_ed25519")
    assert run(_answers(tmp_path)) == 0
    assert "Look at line" in capsys.readouterr().out
    assert run(["site", "check", str(tmp_path / "new.yaml")]) == 0
    capsys.readouterr()
    site = yaml.safe_load((tmp_path / "new.yaml").read_text())
    assert site["depot"] == {"address": "10.20.0.5", "port": 5444}
    assert site["secondDepot"] == {"address": "fd00::5", "port": 5445}
    assert site["ssh"] == {"user": "root", "key": "id_ed25519"}
    assert site["zones"] == [
        {"name": "admin", "networks": ["10.20.2.0/24"], "labels": {"ward": "east"}},
        {
            "name": "clinical",
            "networks": ["10.20.1.0/24", "10.20.4.0/24"],
            "egress": [{"to": "10.9.0.0/24", "ports": [443]}, {"to": "10.8.0.0/16"}],
            "taints": [
                {"key": "zone", "value": "clinical", "effect": "NoSchedule"},
                {"key": "slow", "effect": "NoExecute"},
            ],
        },
    ]
    assert site["nodes"][1]["port"] == 2222
    assert site["kubernetes"] == {
        "version": "v1.35.4",
        "networkPlugin": "cilium",
        "controlPlane": {"address": "api.hospital.example", "port": 8443},
    }
    # A second time it would overwrite what somebody may have edited.
    assert run(_answers(tmp_path)) != 0
    assert yaml.safe_load((tmp_path / "new.yaml").read_text()) == site


def test_every_answer_is_an_option(tmp_path: Path) -> None:
    new_key(tmp_path / "id_ed25519")
    issuer = "https://login.hospital.example/realms/x"
    more = [
        "--service-network", "10.96.0.0/16", "--pod-network", "10.97.0.0/16",
        "--oidc-issuer", issuer, "--oidc-client", "cluster", "--audit-days", "4000",
        "--time-server", "10.20.0.7", "--time-server", "10.20.0.8", "--dns-server", "10.20.0.9",
        "--known-name", "api.hospital.example=10.20.0.10",
        "--known-name", "login.hospital.example=10.31.0.10",
    ]  # fmt: skip
    assert run([*_answers(tmp_path), *more]) == 0
    site = yaml.safe_load((tmp_path / "new.yaml").read_text())
    assert site["timeServers"] == ["10.20.0.7", "10.20.0.8"]
    assert site["dnsServers"] == ["10.20.0.9"]
    assert site["names"] == {
        "api.hospital.example": "10.20.0.10",
        "login.hospital.example": "10.31.0.10",
    }
    options = site["kubernetes"]
    assert (options["serviceNetwork"], options["podNetwork"]) == ("10.96.0.0/16", "10.97.0.0/16")
    assert options["oidc"] == {"issuer": issuer, "clientId": "cluster"}
    assert options["audit"] == {"retentionDays": 4000}


@pytest.mark.parametrize(
    ("old", "new", "code", "says"),
    [
        ("10.20.2.11", "10.20.3.11", 10, "nodes[0].address"),
        ("port=2222", "port=many", 10, "nodes[1].port"),
        ("port=2222", "colour=red", 2, "--node"),
        ("name=n1,", "", 2, "--node: expected a name"),
        ("taints=zone=clinical:NoSchedule", "taints=zone=clinical", 10, "zones[1].taints[0]"),
        ("roles=control-plane+etcd", "roles=control-plane", 10, "role etcd"),
    ],
)
def test_what_the_check_would_refuse_is_not_written(
    tmp_path: Path, capsys: Said, *, old: str, new: str, code: int, says: str
) -> None:
    new_key(tmp_path / "id_ed25519")
    arguments = [text.replace(old, new) for text in _answers(tmp_path)]
    assert run(arguments) == code
    assert says in capsys.readouterr().err
    assert not (tmp_path / "new.yaml").exists()


def test_an_answer_that_nobody_gives_is_asked_for_by_its_option(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert run(["site", "new", str(tmp_path / "new.yaml"), "--name", "north"]) == 2
    assert "--depot: expected a value, found none" in capsys.readouterr().err


class Dialogue:
    """A person at a terminal."""

    def __init__(self, path: Path) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "bundle.cli.main", "site", "new", str(path)],
            encoding="utf-8",
            timeout=20,
            dimensions=(50, 300),
        )
        self.child.delaybeforesend = None

    def answer(self, answers: Iterable[tuple[str, str]]) -> None:
        for question, answer in answers:
            self.child.expect_exact(question)
            self.child.sendline(answer)

    def ends(self) -> None:
        self.child.expect_exact("written: ")
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus == 0


FIRST = [
    ("Name of the site", "north"),
    ("Address of the depot", "10.20.0.5"),
    ("second depot", ""),
    ("User for SSH", ""),
    ("Private key", ""),
]
CLUSTER = [("Version of Kubernetes", VERSION), ("Network plugin", "calico")]
ZONE = [
    ("Name of zone 1", "clinical"),
    ("Networks of its nodes", "10.20.1.0/24"),
    ("connect to", "10.9.0.0/24:443"),
    ("Taints", ""),
    ("Labels", ""),
    ("Another zone", "n"),
]
NODE = [
    ("Name of node 1", "node1"),
    ("Its zone", "clinical"),
    ("Its roles", ""),
    ("Its address", "10.20.1.11"),
    ("Its host key", HOST_KEY),
    ("Another node", "n"),
]
LAST = [
    ("Load balancer", ""),
    ("Network of services", ""),
    ("Network of pods", ""),
    ("identity provider", "https://login.hospital.example/realms/x"),
    ("client ID", ""),
    ("audit records", ""),
    ("Time servers", "10.20.0.7+10.20.0.8"),
    ("DNS servers", ""),
    ("Names without DNS", "login.hospital.example=10.31.0.10"),
    ("Image of the bundle", ""),
    ("Secrets file", ""),
]


def test_a_person_is_asked_on_the_terminal(tmp_path: Path) -> None:
    new_key(tmp_path / "id_ed25519")
    path = tmp_path / "asked.yaml"
    dialogue = Dialogue(path)
    dialogue.answer([*FIRST, *CLUSTER, *ZONE, *NODE, *LAST])
    dialogue.ends()
    site = yaml.safe_load(path.read_text())
    assert site["nodes"][0]["roles"] == ["control-plane", "etcd", "worker"]
    assert site["timeServers"] == ["10.20.0.7", "10.20.0.8"]
    assert site["names"] == {"login.hospital.example": "10.31.0.10"}
    assert site["kubernetes"]["oidc"]["clientId"] == "kubernetes"
    assert "firstImage" not in site
    assert run(["site", "check", str(path)]) == 0


def test_a_wrong_answer_is_asked_for_again_with_the_reason_and_none_is_lost(
    tmp_path: Path,
) -> None:
    new_key(tmp_path / "id_ed25519")
    path = tmp_path / "asked.yaml"
    dialogue = Dialogue(path)
    dialogue.answer(
        [
            ("Name of the site", "North"),
            ("Error: ", ""),
            *FIRST[:1],
            ("Address of the depot", "10.20.0"),
            ("Error: expected an IP address or a host name, found '10.20.0'", "10.20.0.5"),
            ("second depot", "10.20.0.5"),
            ("Error: expected another depot", ""),
            ("User for SSH", ""),
            ("Private key", "no-such-key"),
            ("Error: expected a private key", ""),
            ("Version of Kubernetes", "latest"),
            ("Error: ", VERSION),
            ("Network plugin", "flannel"),
            ("Error: expected one that enforces NetworkPolicy", "calico"),
            ("Name of zone 1", "clinical"),
            ("Networks of its nodes", "10.20.1.5/24"),
            ("Error: expected a network", "10.20.1.0/24"),
            ("connect to", "10.233.64.0/24"),
            ("Error: expected a network outside of the cluster", ""),
            ("Taints", "kubernetes.io/x=y:NoSchedule"),
            ("Error: expected a key of your own", ""),
            ("Labels", ""),
            ("Another zone", "n"),
            ("Name of node 1", "node1"),
            ("Its zone", "office"),
            ("Error: expected one of clinical", "clinical"),
            ("Its roles", "control-plane+worker"),
            ("Its address", "10.20.2.11"),
            ("Error: expected an address in 10.20.1.0/24", "10.20.1.11"),
            ("Its host key", "SHA256:abc"),
            ("Error: ", HOST_KEY),
            ("Another node", "n"),
            ("Load balancer", "10.20.1.11"),
            ("Error: expected the address of a load balancer", ""),
            ("Network of services", ""),
            ("Network of pods", "10.20.0.0/16"),
            ("overlaps", ""),
            ("identity provider", "http://login.hospital.example"),
            ("Error: expected an https:// address", ""),
            ("audit records", "30"),
            ("Error: expected at least 2192 days", "4000"),
            ("Time servers", "10.20.0.300"),
            ("Error: expected an IP address", "10.20.0.7"),
            ("DNS servers", ""),
            ("Names without DNS", "api=somewhere"),
            ("Error: expected an IP address", ""),
            ("Image of the bundle", "no tag"),
            ("Error: ", ""),
            ("Secrets file", "../x"),
            ("Error: ", ""),
            # Only now it is known that no node has the role; the other answers are the defaults.
            ("expected a node with the role etcd, found none", ""),
            ("Its zone [clinical]", ""),
            ("Its roles", "control-plane+etcd+worker"),
            ("Its address [10.20.1.11]", ""),
            ("Its host key", ""),
            ("Another node", "n"),
        ]
    )
    dialogue.ends()
    site = yaml.safe_load(path.read_text())
    assert site["nodes"] == [
        {
            "name": "node1",
            "zone": "clinical",
            "roles": ["control-plane", "etcd", "worker"],
            "address": "10.20.1.11",
            "hostKey": HOST_KEY,
        }
    ]
    assert site["kubernetes"]["audit"] == {"retentionDays": 4000}


def test_a_host_key_is_taken_when_a_person_has_compared_it(tmp_path: Path) -> None:
    new_key(tmp_path / "id_ed25519")
    key = new_key(tmp_path / "host")
    path = tmp_path / "asked.yaml"
    with ssh_server(key, None) as server:
        dialogue = Dialogue(path)
        shown = f"It shows {parse_host_key(public_text(key), 'host').fingerprint}"
        dialogue.answer(
            [
                *FIRST,
                ("Version of Kubernetes", ""),
                ("Name of zone 1", "clinical"),
                *[(text, "") for text in ("Networks", "connect to", "Taints", "Labels")],
                ("Another zone", "n"),
                ("Name of node 1", "node1"),
                ("Its zone", "clinical"),
                ("Its address", f"127.0.0.1:{server.port}"),
                ("Its host key", ""),
            ]
        )
        dialogue.child.expect_exact(shown)
        dialogue.answer(
            [
                ("Does the console show the same?", ""),
                ("Error: that key is not accepted", ""),
            ]
        )
        dialogue.child.expect_exact(shown)
        dialogue.answer([("Does the console show the same?", "y"), ("Another node", "n")])
        dialogue.answer([("Time servers", ""), ("Image", "registry.example.org/a:1")])
        dialogue.answer([("Secrets file", "")])
        dialogue.ends()
        assert not server.logins
    (node,) = yaml.safe_load(path.read_text())["nodes"]
    assert (node["hostKey"], node["port"]) == (public_text(key), server.port)


def _node_option(server_port: int, fingerprint: str) -> str:
    return f"name=n1,address=127.0.0.1:{server_port},zone=z,fingerprint={fingerprint}"


def test_a_fingerprint_is_compared_with_what_the_machine_shows(
    tmp_path: Path, capsys: Said
) -> None:
    new_key(tmp_path / "id_ed25519")
    key: paramiko.PKey = new_key(tmp_path / "host")
    fingerprint = parse_host_key(public_text(key), "host").fingerprint.partition(" ")[2]
    path = tmp_path / "new.yaml"
    arguments = ["site", "new", str(path), "--name", "north", "--depot", "10.20.0.5"]
    arguments += ["--zone", "name=z", "--image", "registry.example.org/a:1"]
    with ssh_server(key, None) as server:
        wrong = _node_option(server.port, "SHA256:" + "A" * 43)
        assert run([*arguments, "--node", wrong]) == 10
        assert f"found ssh-ed25519 {fingerprint}" in capsys.readouterr().err
        assert not path.exists()
        assert run([*arguments, "--node", _node_option(server.port, fingerprint)]) == 0
        port = server.port
    assert yaml.safe_load(path.read_text())["nodes"][0]["hostKey"] == public_text(key)
    capsys.readouterr()
    path.unlink()
    assert run([*arguments, "--node", _node_option(port, fingerprint)]) == 53
    assert "nothing answers at" in capsys.readouterr().err
