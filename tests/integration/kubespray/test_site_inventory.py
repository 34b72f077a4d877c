"""`isoward site inventory`, for a bundle and for what a depot has imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from bundle.base.digest import digest_of
from bundle.cli.main import run
from installer.depot.directory import create_depot
from tests.support.sites.clusters import cluster_data
from tests.support.sites.plain import write_site
from tests.support.sites.with_cluster import cluster_bundle, write_cluster_bundle

Said = pytest.CaptureFixture[str]


def test_a_depot_and_its_bundle_give_the_same_inventory(tmp_path: Path, capsys: Said) -> None:
    depot = tmp_path / "depot"
    bundle = cluster_bundle(tmp_path / "bundle", depot)
    assert run(["import", str(bundle), "--depot", str(depot)]) == 0
    site = write_site(tmp_path, cluster_data(3, "calico"))
    over = tmp_path / "over" / "group_vars" / "all"
    over.mkdir(parents=True)
    (over / "own.yml").write_text("ntp_enabled: true\n")
    capsys.readouterr()
    made = []
    for option, path in (("--bundle", bundle), ("--depot", depot)):
        folder = tmp_path / f"made{option}"
        arguments = ["site", "inventory", str(site), option, str(path), "-o", str(folder)]
        assert run([*arguments, "--overrides", str(tmp_path / "over"), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["inventory"] == str(folder / "hosts.yaml")
        assert said["bundle"] == digest_of((bundle / "bundle.json").read_bytes())
        assert said["overrides"] == ["group_vars/all/own.yml"]
        assert (folder / "hosts.yaml").stat().st_mode & 0o777 == 0o600
        made.append({p.relative_to(folder): p.read_bytes()
                     for p in folder.rglob("*") if p.is_file()})  # fmt: skip
    assert made[0] == made[1]
    record = json.loads(made[0][Path("made-from.json")])
    assert record["site"] == digest_of(site.read_bytes())


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--bundle", "bundle", "--depot", "depot"], 2, "one of --depot and --bundle"),
        ([], 2, "one of --depot and --bundle"),
        (["--depot", "depot"], 10, "expected a bundle with Kubespray in the depot"),
        (["--bundle", "none"], 11, "not a bundle"),
    ],
)
def test_without_a_bundle_there_is_no_inventory(
    tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch, *,
    options: list[str], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_cluster_bundle(tmp_path / "bundle")
    create_depot(tmp_path / "depot")
    site = write_site(tmp_path, cluster_data(1, "calico"))
    assert run(["site", "inventory", str(site), *options, "-o", "made"]) == code
    assert says in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys: Said) -> None:
    site = write_site(tmp_path, cluster_data(1, "calico"))
    arguments = [
        "--bundle",
        str(write_cluster_bundle(tmp_path / "bundle")),
        "-o",
        str(tmp_path / "made"),
    ]
    (tmp_path / "made").mkdir()
    assert run(["site", "inventory", str(site), *arguments]) != 0
    assert "made" in capsys.readouterr().err
    assert not list((tmp_path / "made").iterdir())


def test_the_ca_goes_with_the_identity_provider(tmp_path: Path, capsys: Said) -> None:
    site = write_site(tmp_path, cluster_data(1, "calico"))
    arguments = [
        "--bundle",
        str(write_cluster_bundle(tmp_path / "bundle")),
        "-o",
        str(tmp_path / "made"),
    ]
    assert run(["site", "inventory", str(site), *arguments, "--ca", str(site)]) == 10
    assert "certificate" in capsys.readouterr().err
    assert run(["site", "inventory", str(site), *arguments]) == 0
    made = yaml.safe_load(
        (tmp_path / "made/group_vars/all/cluster.yml").read_text().replace("!unsafe ", "")
    )
    assert made["kube_network_plugin"] == "calico"
