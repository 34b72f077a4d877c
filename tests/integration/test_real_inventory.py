"""Our inventories, judged by real Kubespray: a Git repository or a folder that ISOWARD_KUBESPRAY
names; else skipped. ISOWARD_KUBESPRAY_TAG is the release, v2.31.0 when left out, and
ISOWARD_KUBESPRAY_ANSIBLE the folder of an Ansible with its requirements, if there is one already.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from installer.steps.inventory_folder import write_inventory
from installer.steps.kubespray_checksums import CHECKSUM_VARIABLES, FIXED_ITEMS
from installer.steps.kubespray_inventory import HOSTS_NAME, KubesprayInput, render_kubespray
from tests.support.clusters import cluster, kubespray_manifest

_REPOSITORY = os.environ.get("ISOWARD_KUBESPRAY", "")
_TAG = os.environ.get("ISOWARD_KUBESPRAY_TAG", "v2.31.0")
_PLAYBOOKS = ("cluster.yml", "scale.yml", "upgrade-cluster.yml")

pytestmark = pytest.mark.skipif(not _REPOSITORY, reason="ISOWARD_KUBESPRAY names no repository")

SITES = [(1, "calico"), (1, "cilium"), (3, "calico"), (3, "cilium"), (10, "calico"),
         (10, "cilium"), (1, "kube-router")]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    if (Path(_REPOSITORY) / "cluster.yml").is_file():
        shutil.copytree(_REPOSITORY, folder, dirs_exist_ok=True, ignore=lambda *_: [".git"])
        return folder
    command = ["git", "-C", _REPOSITORY, "archive", _TAG]
    packed = subprocess.run(command, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _made(folder: Path, nodes: int, plugin: str) -> Path:
    what = KubesprayInput(cluster(nodes, plugin), kubespray_manifest(plugin), folder / "key")
    write_inventory(folder / "made", render_kubespray(what), {}, {})
    return folder / "made" / HOSTS_NAME


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, tree: Path) -> Path:
    """The Ansible that Kubespray wants, with its collections: from pip's own index."""
    given = os.environ.get("ISOWARD_KUBESPRAY_ANSIBLE")
    if given:
        return Path(given)
    made = tmp_path_factory.mktemp("ansible")
    subprocess.run([sys.executable, "-m", "venv", made], check=True)
    pip = made / "bin" / "pip"
    subprocess.run([pip, "install", "--quiet", "-r", tree / "requirements.txt"], check=True)
    return made / "bin"


def _play(
    programs: Path, tree: Path, hosts: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    home = hosts.parents[1] / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [programs / "ansible-playbook", "-i", hosts, "-b", *arguments],
        cwd=tree,
        env={
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(home / "facts"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("nodes", "plugin"), SITES)
def test_kubesprays_own_validation_takes_it(
    tmp_path: Path, programs: Path, tree: Path, nodes: int, plugin: str
) -> None:
    done = _play(programs, tree, _made(tmp_path, nodes, plugin), "playbooks/boilerplate.yml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "node1" in done.stdout.partition("PLAY RECAP")[2]


def test_kubesprays_validation_would_refuse_another_version(
    tmp_path: Path, programs: Path, tree: Path
) -> None:
    hosts = _made(tmp_path, 1, "calico")
    done = _play(programs, tree, hosts, "playbooks/boilerplate.yml", "-e", "kube_version=1.2.3")
    assert done.returncode != 0


@pytest.mark.parametrize("mode", ["--syntax-check", "--list-tasks"])
@pytest.mark.parametrize("playbook", _PLAYBOOKS)
@pytest.mark.parametrize("plugin", ["calico", "cilium"])
def test_the_playbooks_load_with_it(
    tmp_path: Path, programs: Path, tree: Path, *, plugin: str, playbook: str, mode: str
) -> None:
    done = _play(programs, tree, _made(tmp_path, 3, plugin), playbook, mode)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    if mode == "--list-tasks":
        assert "kubernetes/node : " in done.stdout


def test_every_file_of_kubespray_has_its_checksum_of_the_bundle_or_of_a_table(tree: Path) -> None:
    defaults = tree / "roles" / "kubespray_defaults" / "defaults" / "main" / "download.yml"
    downloads = yaml.safe_load(defaults.read_text())["downloads"]
    files = {name: item["checksum"] for name, item in downloads.items() if item.get("file")}
    assert set(files) == {*CHECKSUM_VARIABLES, *FIXED_ITEMS}
    for name, variable in CHECKSUM_VARIABLES.items():
        assert variable in files[name], name
    for name in FIXED_ITEMS:
        assert "_checksums" in files[name], name
