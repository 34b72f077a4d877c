"""`isoward site check` and `isoward site new`, as a person and as a program use them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml

from bundle.cli.main import run
from tests.support.clusters import cluster_data
from tests.unit.install.sites import HOST_KEY, new_key, site_data, write_site

Said = pytest.CaptureFixture[str]
OTHER_KEY = HOST_KEY[:-1] + "W"
ENCRYPTED = {"password": "ENC[AES256_GCM,data:x]", "sops": {"age": [{"enc": "x"}], "mac": "ENC[]"}}


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


def test_a_good_site_is_said_to_be_good(tmp_path: Path, capsys: Said) -> None:
    path = write_site(tmp_path, site_data())
    assert run(["site", "check", str(path)]) == 0
    assert "nothing is wrong with the site ward" in capsys.readouterr().out
    assert run(["site", "check", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "site": "ward",
        "problems": [],
        "warnings": [],
    }


def test_all_problems_are_said_by_line(tmp_path: Path, capsys: Said) -> None:
    path = write_site(tmp_path, site_data(zones=["admin"], secrets="none.yaml"))
    (tmp_path / "id_ed25519").chmod(0o644)
    lines = path.read_text().splitlines()
    expected = sorted(
        (next(i for i, line in enumerate(lines, 1) if line.startswith(part)), field)
        for part, field in [
            ("  zone: clinical", "nodes[0].zone"),
            ("  key: ", "ssh.key"),
            ("secrets:", "secrets"),
        ]
    )
    assert run(["site", "check", str(path)]) == 10
    said = capsys.readouterr()
    for line, field in expected:
        assert f"{path}: line {line}: {field}: " in said.out
    assert said.err.startswith(f"isoward: error: {path}: 3 problems, first line ")
    assert run(["site", "check", str(path), "--json"]) == 10
    data = json.loads(capsys.readouterr().out)
    assert (data["error"], data["exitCode"]) == ("definition", 10)
    assert [(found["line"], found["field"]) for found in data["problems"]] == expected


def test_what_may_be_forgotten_is_said_and_hinders_nothing(tmp_path: Path, capsys: Said) -> None:
    data = cluster_data(3, "calico")
    path = write_site(tmp_path, data)
    assert run(["site", "check", str(path)]) == 0
    line = path.read_text().splitlines().index("    address: api.hospital.example") + 1
    assert f"{path}: look at line {line}: kubernetes.controlPlane.address: " in (
        capsys.readouterr().out
    )
    assert run(["site", "check", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["warnings"]
    assert [warning["field"] for warning in said] == [
        "kubernetes.controlPlane.address",
        "kubernetes.oidc.issuer",
    ]


def test_install_says_the_line_too(tmp_path: Path, capsys: Said) -> None:
    path = write_site(tmp_path, site_data(zones=["admin"]))
    assert run(["install", str(path), "--depot", str(tmp_path / "depot")]) == 10
    line = 1 + path.read_text().splitlines().index("  zone: clinical")
    assert f"line {line}: nodes[0].zone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"password": "hunter2"}, "encrypted by SOPS"),
        ({**ENCRYPTED, "deep": {"list": ["hunter2"]}}, "'deep.list[0]' is not encrypted"),
        ({**ENCRYPTED, "flag": False}, "'flag' is not encrypted"),
        ({**ENCRYPTED, "sops": {"pgp": [{"enc": "x"}], "mac": "x"}}, "with age"),
        (["hunter2"], "YAML as SOPS writes it"),
        (ENCRYPTED, ""),
    ],
)
def test_the_secrets_file_must_be_encrypted_and_is_never_quoted(
    tmp_path: Path, capsys: Said, content: Any, says: str
) -> None:
    path = write_site(tmp_path, site_data(secrets="secrets.sops.yaml"))
    (tmp_path / "secrets.sops.yaml").write_text(yaml.safe_dump(content))
    assert run(["site", "check", str(path)]) == (10 if says else 0)
    said = capsys.readouterr()
    assert says in said.out
    assert "hunter2" not in said.out + said.err


def test_a_new_site_by_options_passes_the_check(tmp_path: Path, capsys: Said) -> None:
    new_key(tmp_path / "id_ed25519")
    assert run(_answers(tmp_path)) == 0
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
    assert "--depot: expected it, found none" in capsys.readouterr().err


def test_a_person_is_asked_on_the_terminal(tmp_path: Path) -> None:
    new_key(tmp_path / "id_ed25519")
    path = tmp_path / "asked.yaml"
    child = pexpect.spawn(
        sys.executable,
        ["-m", "bundle.cli.main", "site", "new", str(path)],
        encoding="utf-8",
        timeout=60,
        dimensions=(50, 200),
    )
    for question, answer in [
        ("Version of Kubernetes", "v1.35.4"),
        ("Network plugin", "calico"),
        ("Name of the site", "north"),
        ("Address of the depot", "10.20.0.5"),
        ("second depot", ""),
        ("User for SSH", ""),
        ("Private key", ""),
        ("Name of zone 1", "clinical"),
        ("Networks of its nodes", "10.20.1.0/24"),
        ("connect to", "10.9.0.0/24:443"),
        ("Taints", ""),
        ("Labels", ""),
        ("Another zone", "n"),
        ("Name of node 1", "node1"),
        ("Its address", "10.20.1.11"),
        ("Its zone", "clinical"),
        ("Its roles", ""),
        ("Its host key", HOST_KEY),
        ("Another node", "n"),
        ("Image of the bundle", "registry.example.org/app/web:2.1"),
        ("Load balancer", ""),
        ("Secrets file", ""),
    ]:
        child.expect(question)
        child.sendline(answer)
    child.expect("written: ")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    site = yaml.safe_load(path.read_text())
    assert site["nodes"][0]["roles"] == ["control-plane", "etcd", "worker"]
    assert run(["site", "check", str(path)]) == 0
