"""Our inventories, judged by real Kubespray: a Git repository or a folder that ISOWARD_KUBESPRAY
names; else skipped. ISOWARD_KUBESPRAY_TAG is the release, v2.31.0 when left out, and
ISOWARD_KUBESPRAY_ANSIBLE the folder of an Ansible with its requirements, if there is one already.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import msgspec
import pytest
import yaml

from bundle.base.digest import digest_of
from bundle.kinds.kubespray import KubesprayFile
from bundle.store.unpack import unpack_tar
from installer.kubespray.checksums import CHECKSUM_VARIABLES, FIXED_ITEMS
from installer.kubespray.inventory_folder import write_inventory
from installer.kubespray.settings import HOSTS_NAME, KubesprayInput, render_kubespray
from tests.support.sites.clusters import cluster, kubespray_manifest

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
        unpack_tar(tar, folder)
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


_PROBE = """\
- hosts: node1
  gather_facts: false
  vars: {ansible_architecture: x86_64, ansible_system: Linux, ansible_os_family: Debian}
  roles: [kubespray_defaults]
  tasks:
    - debug:
        msg: "{{ dict(names | zip(names | map('extract', downloads))) }}"
      vars:
        names: [calicoctl, cni, containerd, crictl, etcd, nerdctl, runc, calico_node, coredns,
                nginx]
"""
_OTHER = {
    "cni": "cni-plugins-linux-amd64-1.99.1.tgz",
    "containerd": "containerd-2.99.1-linux-amd64.tar.gz",
    "crictl": "crictl-1.99.1-linux-amd64.tar.gz",
    "etcd": "etcd-3.99.1-linux-amd64.tar.gz",
    "nerdctl": "nerdctl-2.99.1-linux-amd64.tar.gz",
    "runc": "runc-1.99.1.amd64",
}


def test_kubespray_asks_for_the_versions_and_the_digests_of_the_bundle(
    tmp_path: Path, programs: Path, tree: Path
) -> None:
    """Versions that no table of Kubespray's has, as a vendor may carry them; Calico's must be in
    one, since its definitions of resources come with it."""
    table = tree / "roles" / "kubespray_defaults" / "vars" / "main" / "checksums.yml"
    calico = list(yaml.safe_load(table.read_text())["calicoctl_binary_checksums"]["amd64"])[1]
    files = tuple(
        KubesprayFile(
            name=name, path=path, url=f"https://github.com/{name}",
            digest=digest_of(name.encode()), checksum=digest_of(name.encode()),
            platforms=("linux/amd64",),
        )
        for name, path in {**_OTHER, "calicoctl": f"calicoctl-{calico}-amd64"}.items()
    )  # fmt: skip
    manifest = kubespray_manifest(
        "calico", parts={"coredns": "r.example/coredns:v1.99.1", "nginx": "r.example/nginx:1.99"}
    )
    assert manifest.kubespray is not None
    entry = msgspec.structs.replace(manifest.kubespray, files=files)
    manifest = msgspec.structs.replace(manifest, kubespray=entry)
    what = KubesprayInput(cluster(1, "calico"), manifest, tmp_path / "key")
    write_inventory(tmp_path / "made", render_kubespray(what), {}, {})
    (tree / "probe.yml").write_text(_PROBE)
    done = _play(programs, tree, tmp_path / "made" / HOSTS_NAME, "probe.yml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    said = done.stdout[done.stdout.index('"msg": {') + 7 :]
    found = json.JSONDecoder().raw_decode(said)[0]
    for file in files:
        item = found[file.name]
        assert item["dest"] == f"/tmp/releases/{file.path}"
        assert item["checksum"] == file.digest
        assert item["url"].startswith("https://10.20.0.5:5443/files/github.com/")
    tags = {name: found[name]["tag"] for name in ("calico_node", "coredns", "nginx")}
    assert tags == {"calico_node": "v3.31.5", "coredns": "v1.99.1", "nginx": "1.99"}
