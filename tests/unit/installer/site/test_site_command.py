"""`isoward site check`, as a person and as a program use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.cli.main import run
from tests.support.sites.clusters import cluster_data
from tests.support.sites.plain import site_data, write_site

Said = pytest.CaptureFixture[str]
ENCRYPTED = {
    "sudoPassword": "ENC[AES256_GCM,data:x]",
    "sops": {"age": [{"enc": "x"}], "mac": "ENC[]"},
}


def test_a_good_site_is_said_to_be_good(tmp_path: Path, capsys: Said) -> None:
    path = write_site(tmp_path, site_data())
    assert run(["site", "check", str(path)]) == 0
    assert "no problems in the site ward" in capsys.readouterr().out
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
