"""Turning a site and a bundle into an inventory of Kubespray: hosts.yaml and group_vars."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bundle.base.errors import DefinitionError
from bundle.base.reference import parse_reference
from bundle.kinds.kubespray import KubesprayEntry, plain_version
from bundle.model.manifest import Manifest
from installer.ansible_run.text import render_ansible
from installer.base.networks import address_of
from installer.base.ssh_path import ssh_path
from installer.hosts.choose_image import source_registries
from installer.hosts.site_ca import NODE_CA
from installer.kubespray.carried import check_parts, parts_of
from installer.kubespray.checksums import checksum_values
from installer.kubespray.inventory import url_of
from installer.kubespray.versions import version_values
from installer.site.cluster_part import Kubernetes, Role, Zone
from installer.site.document import DepotAddress, Node, Site
from installer.site.host_key import known_hosts

HOSTS_NAME: Final = "hosts.yaml"

_BASES: Final = {
    "github_url": "github.com",
    "dl_k8s_io_url": "dl.k8s.io",
    "storage_googleapis_url": "storage.googleapis.com",
    "get_helm_url": "get.helm.sh",
}
"""Kubespray's variables for where files are, and the hosts that they stand for."""
_GROUPS: Final[dict[str, Role]] = {
    "kube_control_plane": "control-plane",
    "etcd": "etcd",
    "kube_node": "worker",
}
_PLUGIN_IMAGES: Final = {
    "calico": "calico/node",
    "cilium": "cilium/cilium",
    "kube-router": "kube-router",
}
_FOLDER: Final = "group_vars/all"


@dataclass(frozen=True, slots=True)
class KubesprayInput:
    """What the templates need.

    Attributes:
        site: With a cluster.
        manifest: Of the bundle that the depot has.
        ssh_key: Our private key, named by its path.
        ca: The site's CA, PEM, which vouches for the identity provider; empty for none.
        file_depot: One of the site's depots, which answers now: Kubespray takes one address for
            each host of files. The first one when left out.
    """

    site: Site
    manifest: Manifest
    ssh_key: Path
    ca: bytes = b""
    file_depot: DepotAddress | None = None


def render_kubespray(what: KubesprayInput) -> dict[str, str]:
    """Return the inventory's files by their paths.

    Raises:
        DefinitionError: The site has no cluster, or the bundle does not carry what it needs.
    """
    site = what.site
    options = cluster_options(site)
    entry = _check_carried(options, what.manifest)
    members = {node.name: f"etcd{i}" for i, node in enumerate(site.nodes_with("etcd"), start=1)}
    files = {
        HOSTS_NAME: render_ansible(
            "kubespray/hosts.yaml.j2",
            site=site,
            ssh_key=ssh_path(what.ssh_key),
            members=members,
            groups=[(group, site.nodes_with(role)) for group, role in _GROUPS.items()],
            zones=_zones(site),
            taints={zone.name: _taints(zone) for zone in site.all_zones},
        ),
        "known_hosts": known_hosts(site),
    }
    parts = parts_of(what.manifest, entry)
    check_parts(site, what.manifest, entry, parts)
    values = {
        "site": site,
        "options": options,
        "parts": parts,
        "kubelet_peers": kubelet_peers(site),
        "version": plain_version(options.version),
        "dns_servers": site.dns_servers,
        "etc_hosts": _etc_hosts(site),
        "node_address": site.nodes_with("control-plane")[0].address,
        "depots": [url_of(depot) for depot in site.depots],
        "file_depot": url_of(what.file_depot or site.depot),
        "versions": version_values(entry),
        "checksums": checksum_values(entry.files, plain_version(options.version)),
        "bases": list(_BASES.items()),
        "registries": source_registries(what.manifest),
        "ca_file": NODE_CA,
        "ca_text": base64.b64encode(what.ca).decode(),
    }
    for name in ("cluster", "nodes", "offline", "security"):
        path = f"{_FOLDER}/{name}.yml"
        files[path] = render_ansible(f"kubespray/{path}.j2", **values)
    return files


def cluster_options(site: Site) -> Kubernetes:
    """Return the options of a site's cluster.

    Raises:
        DefinitionError: It has none.
    """
    if site.kubernetes is None:
        raise DefinitionError(
            "kubernetes: expected the options of a cluster, found none",
            'Add kubernetes: to the site file; docs/FORMAT.md, "Site", says what it has.',
        )
    return site.kubernetes


def _zones(site: Site) -> list[tuple[Zone, str, Sequence[Node]]]:
    """Return each zone with the name of its group, which is a Python name to Ansible."""
    return [
        (
            zone,
            "zone_" + zone.name.replace("-", "_"),
            [node for node in site.nodes if node.zone == zone.name],
        )
        for zone in site.all_zones
    ]


def _taints(zone: Zone) -> list[str]:
    return [f"{taint.key}={taint.value}:{taint.effect}" for taint in zone.taints]


def _etc_hosts(site: Site) -> str:
    return "".join(f"{address} {name}\n" for name, address in sorted(site.names.items()))


def kubelet_peers(site: Site) -> tuple[str, ...]:
    """Return whom a kubelet talks to, besides itself and its pods; none where it cannot be said.

    The kernel is to drop all else, and it knows addresses only: the load balancer's must be known.
    """
    peers = [node.address for node in site.nodes]
    if site.kubernetes is not None and site.kubernetes.control_plane is not None:
        name = site.kubernetes.control_plane.address
        address = site.names.get(name, name)
        if address_of(address) is None:
            return ()
        peers.append(address)
    return tuple(dict.fromkeys(peers))


def _check_carried(options: Kubernetes, manifest: Manifest) -> KubesprayEntry:
    """Return the bundle's Kubespray; refuse what would make it look outside of the depot."""
    entry = manifest.kubespray
    if entry is None:
        raise DefinitionError(
            f"the bundle {manifest.metadata.name} {manifest.metadata.version} has no Kubespray",
            "Ask the vendor for a bundle whose definition has kubespray:.",
        )
    _check_files(entry)
    images = [parse_reference(image.reference) for image in entry.images]
    versions = {image.tag for image in images if image.repository.endswith("kube-apiserver")}
    wanted = f"v{plain_version(options.version)}"
    if wanted not in versions:
        raise DefinitionError(
            f"kubernetes.version: expected {', '.join(sorted(versions)) or 'none'}, which the "
            f"bundle carries, found {wanted}",
            "Write the version of the bundle, or ask the vendor for another bundle.",
        )
    part = _PLUGIN_IMAGES[options.network_plugin]
    if not any(image.repository.endswith(part) for image in images):
        raise DefinitionError(
            f"kubernetes.networkPlugin: the bundle carries no image of {options.network_plugin}",
            "Choose the plugin of the bundle, or ask the vendor for another bundle.",
        )
    return entry


def _check_files(entry: KubesprayEntry) -> None:
    for file in entry.files:
        host = urlsplit(file.url).netloc
        if host not in _BASES.values():
            raise DefinitionError(
                f"kubespray: {file.name} comes from {host}, which no variable of Kubespray leads "
                "to the depot",
                "Ask the vendor to leave it out, or to carry it from a host of Kubespray's own.",
            )
