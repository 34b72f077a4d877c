"""A small stand-in for Kubespray: a tree of the same shape, in our own words.

It has what the builder looks at: `downloads` with checksums in a role of variables, a role that
makes groups, one of OS packages, roles whose templates start images, and what says versions.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bundle.base.digest import digest_of
from bundle.base.errors import MissingProgramError
from bundle.store.programs import Finished, run_program
from tests.support.registries.content import RegistryContent
from tests.support.registries.oci import image, index, layer_of

VERSION = "v9.1.0"
PLATFORMS = ("linux/amd64", "linux/arm64")
REGISTRY = "registry.example.org"
SITE = "https://files.example.org"
ARCHITECTURES = ("amd64", "arm64")

_GROUPS = """\
- name: Put each host into the groups that follow from its own
  group_by:
    key: k8s_cluster
  when: group_names | intersect(['kube_node', 'kube_control_plane']) | length > 0
"""

_VERSIONS = """\
- name: Look at Ansible
  hosts: all
  gather_facts: false
  vars:
    minimal_ansible_version: {least}
    maximal_ansible_version: {below}
  tasks:
    - assert:
        that: ansible_version.string is version(minimal_ansible_version, '>=')
"""

_MAIN: dict[str, Any] = {
    "kube_network_plugin": "plain",
    "kube_version": "1.99.0",
    "local_release_dir": "/tmp/releases",
    "site_url": SITE,
    "kube_image_repo": REGISTRY,
    "host_architecture": "{{ {'x86_64': 'amd64', 'aarch64': 'arm64'}[ansible_architecture] }}",
    "image_arch": "{{ host_architecture }}",
    "etcd_version": "{{ (etcd_checksums['amd64'] | dict2items)[0].key }}",
    "secret_of_the_environment": "{{ lookup('env', 'ISOWARD_TEST_SECRET') }}",
}


def _file(name: str, groups: list[str], enabled: str = "true") -> dict[str, Any]:
    """Make a download of a file; its checksum is looked up, as Kubespray does it."""
    return {
        "enabled": f"{{{{ {enabled} }}}}",
        "file": True,
        "dest": f"{{{{ local_release_dir }}}}/{name}-{{{{ image_arch }}}}",
        "url": f"{{{{ site_url }}}}/{name}/{{{{ image_arch }}}}/{name}",
        "checksum": f"{{{{ {name}_checksums[image_arch].values() | first }}}}",
        "groups": groups,
    }


def _image(name: str, groups: list[str], enabled: str = "true") -> dict[str, Any]:
    return {
        "enabled": f"{{{{ {enabled} }}}}",
        "container": True,
        "repo": f"{{{{ kube_image_repo }}}}/{name}",
        "tag": "v1",
        "groups": groups,
    }


DOWNLOADS: dict[str, Any] = {
    "etcd": {
        **_file("etcd", ["etcd"]),
        "container": "{{ etcd_deployment_type | default('host') != 'host' }}",
        "file": "{{ etcd_deployment_type | default('host') == 'host' }}",
        "repo": "{{ kube_image_repo }}/etcd",
        "tag": "v{{ etcd_version }}",
    },
    "kubelet": _file("kubelet", ["k8s_cluster"]),
    "kubectl": _file("kubectl", ["kube_control_plane"]),
    "netctl": _file("netctl", ["k8s_cluster"], "kube_network_plugin == 'rich'"),
    "shim": _file("shim", ["k8s_cluster"], "shim_enabled | default(false)"),
    "bastion_tool": _file("kubectl", ["bastion"]),
    "pause": _image("pause", ["k8s_cluster"]),
    "net": _image("net/node", ["k8s_cluster"], "kube_network_plugin == 'rich'"),
}

FILES = ("etcd", "kubelet", "kubectl", "netctl", "shim")
IMAGES = (
    "pause:v1",
    "kube-apiserver:v1.99.0",
    "kube-controller-manager:v1.99.0",
    "kube-proxy:v1.99.0",
    "kube-scheduler:v1.99.0",
)
"""What every inventory wants of the registry."""

PACKAGES: dict[str, Any] = {
    "conntrack": ["{{ 'k8s_cluster' in group_names }}"],
    "curl": [],
    "gnupg": [
        "{{ ansible_distribution == 'Debian' }}",
        "{{ ansible_distribution_major_version == '12' }}",
    ],
    "iproute2": ["{{ ansible_os_family == 'Debian' }}"],
    "iproute": ["{{ ansible_os_family == 'RedHat' }}"],
    "iputils-ping": ["{{ ansible_os_family == 'Debian' }}", "{{ main_access_ip is defined }}"],
}


def content(name: str, architecture: str) -> bytes:
    """Return the bytes of a file that the stand-in downloads."""
    return f"the program {name} for {architecture}\n".encode()


def checksums() -> dict[str, Any]:
    """Return the checksums of all files; the one of `shim` is a SHA-512, as some are."""
    found: dict[str, Any] = {}
    for name in FILES:
        algorithm = "sha512" if name == "shim" else "sha256"
        found[f"{name}_checksums"] = {
            arch: {
                "1.0.0": f"{algorithm}:{hashlib.new(algorithm, content(name, arch)).hexdigest()}"
            }
            for arch in ARCHITECTURES
        }
    return found


@dataclass
class StandIn:
    """A tree that a test may change before it is written.

    Attributes:
        files: Content by path.
        links: Where each link leads.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def put(self, path: str, value: Any) -> None:
        """Set a file: text as it is, everything else as YAML."""
        text = value if isinstance(value, str) else yaml.safe_dump(value, sort_keys=False)
        self.files[path] = text.encode()

    def write(self, folder: Path) -> Path:
        """Write it as a folder and return that."""
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        for path, target in self.links.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if not (folder / path).is_symlink():
                (folder / path).symlink_to(target)
        return folder

    def archive(self, top: str = "kubespray-9.1.0", mode: str = "w:gz") -> bytes:
        """Return it as an archive of a release, with one folder at the top."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
            for path, data in sorted(self.files.items()):
                info = tarfile.TarInfo(f"{top}/{path}")
                info.size, info.mtime, info.mode = len(data), 1_700_000_000, 0o664
                tar.addfile(info, io.BytesIO(data))
            for path, target in sorted(self.links.items()):
                info = tarfile.TarInfo(f"{top}/{path}")
                info.type, info.linkname = tarfile.SYMTYPE, target
                tar.addfile(info)
        return packed.getvalue()


def stand_in(least: str = "2.18.0", below: str = "2.19.0") -> StandIn:
    """Return the stand-in, which wants an Ansible between two versions."""
    tree = StandIn()
    tree.put("galaxy.yml", {"namespace": "example", "name": "stand_in", "version": "9.1.0"})
    tree.put("requirements.txt", "# what runs it\nansible==11.13.0\nnetaddr==1.3.0  # addresses\n")
    tree.put("ansible.cfg", "[defaults]\ncallbacks_enabled = profile_tasks\nroles_path = roles\n")
    tree.put("playbooks/ansible_version.yml", _VERSIONS.format(least=least, below=below))
    for name in ("cluster", "scale", "upgrade-cluster"):
        tree.put(f"{name}.yml", [{"import_playbook": "playbooks/ansible_version.yml"}])
    tree.put("inventory/sample/inventory.ini", "[kube_node]\n")
    tree.put("inventory/sample/group_vars/all.yml", {"site_url": SITE})
    tree.links["inventory/local/group_vars"] = "../sample/group_vars"
    tree.put("roles/dynamic_groups/tasks/main.yml", _GROUPS)
    defaults = "roles/kubespray_defaults"
    tree.put(f"{defaults}/defaults/main/main.yml", _MAIN)
    tree.put(f"{defaults}/defaults/main/download.yml", {"downloads": DOWNLOADS})
    tree.put(f"{defaults}/vars/main/checksums.yml", checksums())
    tree.put("roles/system_packages/vars/main.yml", {"pkgs": PACKAGES})
    tree.put("roles/system_packages/tasks/main.yml", [{"fail": {"msg": "a node's task ran here"}}])
    apps = "roles/kubernetes-apps"
    feature = f"{apps}/node_feature_discovery"
    tree.put(f"{feature}/defaults/main.yml", {"feature_tag": "v0.1"})
    tree.put(
        f"{feature}/templates/daemonset.yml.j2",
        "      containers:\n      - image: {{ kube_image_repo }}/nfd:{{ feature_tag }}\n"
        "      initContainers:\n      - name: first\n"
        '        image: "{{ kube_image_repo }}/nfd-init:{{ feature_tag }}"\n'
        "        imagePullPolicy: IfNotPresent\n",
    )
    tree.put(f"{apps}/csi_driver/vsphere/defaults/main.yml", {"vsphere_csi_enabled": False})
    tree.put(
        f"{apps}/csi_driver/vsphere/templates/driver.yml.j2",
        "        image: {{ kube_image_repo }}/csi/driver:{{ nobody_says_which }}\n",
    )
    approver = {
        "kubelet_csr_approver_enabled": "{{ kubelet_rotate_server_certificates | default(false) }}",
        "kubelet_csr_approver_chart_ref": "somewhere/csr-approver",
        "kubelet_csr_approver_chart_version": "1.2.3",
    }
    tree.put(f"{apps}/kubelet-csr-approver/defaults/main.yml", approver)
    return tree


class Remembering:
    """Runs programs, and each evaluation by Ansible once: it takes seconds, and is the same."""

    def __init__(self) -> None:
        self.known: dict[str, Finished] = {}
        self.runs: list[tuple[list[str], dict[str, str]]] = []
        self.without: tuple[str, ...] = ()

    def __call__(self, command: Sequence[str], **options: Any) -> Finished:
        if command[0] in self.without:
            raise MissingProgramError(f"no {command[0]}")
        if "playbook.yml" not in command:
            return run_program(command, **options)
        self.runs.append((list(command), dict(options["environment"])))
        files = sorted(path for path in options["folder"].rglob("*") if path.is_file())
        seen = {str(p.relative_to(options["folder"])): digest_of(p.read_bytes()) for p in files}
        key = repr(seen)
        if key not in self.known:
            self.known[key] = run_program(command, **options)
        return self.known[key]


def inventory(**variables: Any) -> str:
    """Return an inventory of two nodes, with these variables for all."""
    return yaml.safe_dump(
        {
            "all": {
                "hosts": {
                    "one": {"ansible_host": "192.0.2.11"},
                    "two": {"ansible_host": "192.0.2.12"},
                },
                "vars": variables,
                "children": {
                    "kube_control_plane": {"hosts": {"one": None}},
                    "etcd": {"hosts": {"one": None}},
                    "kube_node": {"hosts": {"one": None, "two": None}},
                },
            }
        }
    )


def site_files() -> Mapping[str, bytes]:
    """Return all files that the stand-in may download, by their path below `site_url`."""
    return {
        f"{name}/{arch}/{name}": content(name, arch) for name in FILES for arch in ARCHITECTURES
    }


def put_images(content: RegistryContent, references: Iterable[str], folder: Path) -> None:
    """Put an image of both platforms into a registry under each `host/repository:tag`."""
    for number, reference in enumerate(sorted(references)):
        tree = folder / str(number)
        (tree / "etc").mkdir(parents=True)
        (tree / "etc" / "reference").write_text(reference)
        layer = layer_of(tree)
        children = [image([layer], platform, ["/bin/none"], {}) for platform in PLATFORMS]
        name, _, tag = reference.partition("/")[2].rpartition(":")
        content.put(name, index(children), tag)
