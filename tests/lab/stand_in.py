"""A stand-in for Kubespray that really sets machines up, in seconds: files, a package, a service.

What it lacks of the real one is the cluster. All else is as with the real one: a tree of the
bundle, its own Ansible, downloads and packages of the depot, and tasks that a second run finds
done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.lab.cluster_vendor import ClusterVendor, named_vendor
from tests.support.cluster.kubespray import (
    DOWNLOADS,
    IMAGES,
    PLATFORMS,
    StandIn,
    site_files,
    stand_in,
)
from tests.support.registries.oci import LAYER, Artifact, Blob, Layer, image, index

VERSION: Final = "v1.99.0"
PACKAGE: Final = "socat"
FILES: Final = 6
"""How many files it writes, each by a task of its own."""
ROOT: Final = "/var/lib/stand-in"
_HOST: Final = "https://dl.k8s.io"

_UNIT: Final = """\
[Unit]
Description=A service of the stand-in
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
"""


def _tasks() -> list[dict[str, Any]]:
    """Return what it does on a machine; each task takes some tenths of a second."""
    files = [
        {
            "name": f"Write file {number}",
            "copy": {
                "content": f"file {number} of {{{{ inventory_hostname }}}}\n",
                "dest": f"{ROOT}/{number}",
                "mode": "0644",
            },
        }
        for number in range(FILES)
    ]
    return [
        {"name": "Make a folder", "file": {"path": ROOT, "state": "directory", "mode": "0755"}},
        *files[: FILES // 2],
        {
            "name": "Download a program of the depot",
            "get_url": {
                "url": "{{ downloads.etcd.url }}",
                "dest": f"{ROOT}/etcd",
                "checksum": "{{ downloads.etcd.checksum }}",
                "mode": "0755",
            },
        },
        {"name": "Install a package of the depot", "apt": {"name": PACKAGE, "state": "present"}},
        {
            "name": "Write a unit",
            "copy": {
                "content": _UNIT,
                "dest": "/etc/systemd/system/stand-in.service",
                "mode": "0644",
            },
        },
        {
            "name": "Start a service",
            "systemd_service": {
                "name": "stand-in",
                "state": "started",
                "enabled": True,
                "daemon_reload": True,
            },
        },
        *files[FILES // 2 :],
        {
            "name": "Begin the cluster, once",
            "shell": f"echo begun >> {ROOT}/cluster",
            "args": {"creates": f"{ROOT}/cluster"},
        },
    ]


def lab_tree() -> StandIn:
    """Return the tree: files of Kubernetes' own host, and Calico for the network."""
    tree = stand_in()
    tree.put("requirements.txt", "ansible-core==2.18.19\n")
    defaults = "roles/kubespray_defaults/defaults/main"
    main = tree.files[f"{defaults}/main.yml"].decode()
    changed = {
        "kube_image_repo: registry.example.org": "kube_image_repo: registry.k8s.io",
        "site_url: https://files.example.org": (
            f"dl_k8s_io_url: {_HOST}\nsite_url: '{{{{ dl_k8s_io_url }}}}'"
        ),
        "kube_network_plugin: plain": "kube_network_plugin: calico",
    }
    for before, after in changed.items():
        assert before in main, before
        main = main.replace(before, after)
    tree.put(f"{defaults}/main.yml", main)
    net = {**DOWNLOADS["net"], "enabled": "{{ kube_network_plugin == 'calico' }}"}
    net["repo"] = "{{ kube_image_repo }}/calico/node"
    tree.put(f"{defaults}/download.yml", {"downloads": {**DOWNLOADS, "net": net}})
    tree.put("roles/machine/tasks/main.yml", _tasks())
    tree.put("roles/machine/meta/main.yml", {"dependencies": [{"role": "kubespray_defaults"}]})
    tree.put(
        "cluster.yml",
        [
            {"import_playbook": "playbooks/ansible_version.yml"},
            {
                "name": "Set the machines up",
                "hosts": "all",
                "gather_facts": True,
                "any_errors_fatal": True,
                "roles": [{"role": "machine"}],
            },
        ],
    )
    return tree


@dataclass(frozen=True)
class _File:
    url: str
    data: bytes


@contextmanager
def stand_in_vendor(home: Path) -> Iterator[ClusterVendor]:
    """Serve what the stand-in downloads, for a definition of it in `home`."""
    home.mkdir(parents=True, exist_ok=True)
    lab_tree().write(home / "kubespray")
    files = [_File(f"{_HOST}/{path}", data) for path, data in site_files().items()]
    names = [*IMAGES, "calico/node:v1"]
    images = {f"registry.k8s.io/{name}": _image(name) for name in names}
    source = {"version": "v9.1.0", "path": "kubespray"}
    with named_vendor(home, source, {}, files, images, packages=(PACKAGE,)) as vendor:
        yield vendor


def _image(name: str) -> Artifact:
    blob = Blob(LAYER, f"the layer of {name}".encode())
    layers = [Layer(blob, blob.digest)]
    return index([image(layers, platform, ["/bin/none"], {}) for platform in PLATFORMS])
