"""A vendor's machine that locks and builds real Kubespray, without the vendors' own servers.

Everything is asked for at its real address, since a bundle names these: the names of the hosts lead
to servers on loopback, by an /etc/hosts that only the vendor's commands see.
"""

from __future__ import annotations

import resource
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import yaml

from tests.lab.cluster_files import ClusterFile, checksum_variables
from tests.lab.cluster_images import FIRST_IMAGE
from tests.lab.debian import host_mirror, vendor_home
from tests.lab.rootfs import debian_codename, machine_architecture
from tests.support.charts.git_repositories import git
from tests.support.cluster.kubespray import inventory
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry
from tests.support.registries.journey import Machine
from tests.support.registries.oci import Artifact
from tests.support.registries.static_site import StaticSite, static_site
from tests.support.registries.tls import make_server_tls
from tests.support.trust.signature_rules import WAIVE_ALL_YAML

KUBESPRAY: Final = "v2.31.0"
LAB_VARIABLES: Final[Mapping[str, Any]] = {
    # The kernel of a lab has neither IPVS nor control groups of version 2.
    "kube_proxy_mode": "iptables",
    "kubelet_fail_cgroup_v1": False,
    "kubeadm_ignore_preflight_errors": ["SystemVerification"],
    # A container cannot raise what its machine has limited.
    "containerd_extra_runtime_args": {"restrict_oom_score_adj": True},
    "containerd_base_runtime_spec_rlimit_nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    # The disk is this machine's as well, and others fill it.
    "eviction_hard": {"memory.available": "100Mi", "nodefs.available": "1%"},
    # The limits of connection tracking are this machine's, and stay as they are.
    "kube_proxy_conntrack_max_per_core": 0,
    "kube_proxy_conntrack_min": 0,
    # What could not be built here is left out.
    "enable_nodelocaldns": False,
    "enable_dns_autoscaler": False,
    "loadbalancer_apiserver_localhost": False,
}
"""What only a lab's inventory has, on both sides of the gap."""

_HTTPS: Final = 443
_HUB: Final = "registry-1.docker.io"
_IN_ITS_NAMESPACE: Final = 'mount --bind "$0" /etc/hosts && exec "$@"'


@dataclass(frozen=True)
class NamedMachine(Machine):
    """A machine that knows some hosts by another address.

    Attributes:
        hosts: Its /etc/hosts.
    """

    hosts: Path = Path("/etc/hosts")

    def argv(self, *arguments: str | Path) -> list[str]:
        """Return the command line of `isoward`, with an /etc/hosts of its own."""
        command = super().argv(*arguments)
        return ["unshare", "--mount", "sh", "-c", _IN_ITS_NAMESPACE, str(self.hosts), *command]


@dataclass(frozen=True)
class ClusterVendor:
    """A vendor's home folder with all upstreams running.

    Attributes:
        machine: Where `isoward` is run.
        definition: Text of what to lock.
        files: The server of the files.
        registry: The server of the images.
    """

    machine: NamedMachine
    definition: str
    files: StaticSite
    registry: FaultyRegistry


class Download(Protocol):
    """A file, and where it is asked for."""

    @property
    def url(self) -> str:
        """Where it is asked for."""

    @property
    def data(self) -> bytes:
        """Its bytes."""


@contextmanager
def cluster_vendor(
    home: Path, repository: Path, files: tuple[ClusterFile, ...], images: Mapping[str, Artifact]
) -> Iterator[ClusterVendor]:
    """Serve files and images, and put a definition's files into `home`.

    Args:
        home: The vendor's home folder, new.
        repository: Kubespray's, with the tag KUBESPRAY.
        files: What Kubespray downloads.
        images: By reference.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "repository").symlink_to(repository.resolve())
    commit = git(home / "repository", "rev-parse", f"{KUBESPRAY}^{{commit}}")
    source = {"version": KUBESPRAY, "git": {"repository": "repository", "commit": commit}}
    variables = {
        "kube_network_plugin": "kube-router",
        **LAB_VARIABLES,
        **checksum_variables(files),
    }
    own = (FIRST_IMAGE,)
    with named_vendor(home, source, variables, files, images, own=own) as vendor:
        yield vendor


@contextmanager
def named_vendor(
    home: Path,
    kubespray: Mapping[str, Any],
    variables: Mapping[str, Any],
    files: Sequence[Download],
    images: Mapping[str, Artifact],
    *,
    packages: Sequence[str] = (),
    own: Sequence[str] = (),
) -> Iterator[ClusterVendor]:
    """Serve files and images at their real names, for a definition with Kubespray.

    Args:
        home: The vendor's home folder.
        kubespray: Where its tree comes from, as the definition says it.
        variables: Of its inventory.
        files: What Kubespray downloads.
        images: By reference.
        packages: Of the operating system, besides those that Kubespray wants.
        own: Those of the images that are not Kubespray's.
    """
    named = {
        _free_loopback(): sorted({urlsplit(file.url).netloc for file in files}),
        _free_loopback(): sorted({*(name.partition("/")[0] for name in images), _HUB}),
    }
    all_names = [name for names in named.values() for name in names]
    tls = make_server_tls(home / "upstream", tuple(all_names))
    (here, _), (there, _) = named.items()
    with (
        static_site(home / "upstream/files", (here, _HTTPS), tls) as site,
        faulty_registry(_content(images), tls=tls, address=(there, _HTTPS)) as registry,
    ):
        for file in files:
            site.put(urlsplit(file.url).path.lstrip("/"), file.data)
        lines = [f"{address} {' '.join(names)}\n" for address, names in named.items()]
        hosts = home / "hosts"
        hosts.write_text(Path("/etc/hosts").read_text() + "".join(lines))
        vendor_home(home, host_mirror(debian_codename()))
        _trust(home / ".config/isoward/sources.yaml", tls.ca, all_names)
        (home / "inventory.yaml").write_text(inventory(**variables))
        machine = NamedMachine(home, hosts=hosts)
        yield ClusterVendor(machine, _definition(kubespray, packages, own), site, registry)


def _content(images: Mapping[str, Artifact]) -> RegistryContent:
    content = RegistryContent()
    for reference, artifact in images.items():
        name, _, tag = reference.partition("/")[2].rpartition(":")
        content.put(name, artifact, tag)
    return content


def _free_loopback() -> str:
    """Choose an address of the loopback network that nobody else is likely to choose."""
    return f"127.{1 + secrets.randbelow(250)}.{secrets.randbelow(250)}.{1 + secrets.randbelow(250)}"


def _trust(sources: Path, ca: Path, names: Iterable[str]) -> None:
    config = yaml.safe_load(sources.read_text())
    config["hosts"] |= {name: {"ca": str(ca)} for name in names}
    sources.write_text(yaml.safe_dump(config))


def _definition(kubespray: Mapping[str, Any], packages: Sequence[str], own: Sequence[str]) -> str:
    codename = debian_codename()
    asked = {
        "apiVersion": "isoward/v1",
        "kind": "BundleDefinition",
        "metadata": {"name": "hospital", "version": "1.0.0"},
        "platforms": [f"linux/{machine_architecture()}"],
        "images": [{"reference": reference} for reference in own],
        "kubespray": {**kubespray, "inventory": "inventory.yaml"},
        "pythonPackages": [
            {
                "name": "installer",
                "kubespray": True,
                "pythons": [_python_version()],
                "glibc": "2.34",
            }
        ],
        "osPackages": [
            {
                "name": "debian-12",
                "release": "debian-12",
                "repositories": [
                    {
                        "url": host_mirror(codename).url,
                        "name": "debian",
                        "suite": codename,
                        "components": ["main"],
                    }
                ],
                "keyring": "debian.gpg",
                "kubespray": True,
                "packages": list(packages),
            }
        ],
    }
    return yaml.safe_dump(asked) + WAIVE_ALL_YAML


def _python_version() -> str:
    return f"3.{sys.version_info[1]}"
