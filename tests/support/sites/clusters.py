"""Sites of 1, 3 and 10 nodes over three zones, and bundles that carry Kubespray for them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
import yaml

from bundle.base.canonical import canonical_json
from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.base.oci import OCI_MANIFEST
from bundle.kinds.artifacts import Artifact, ManifestEntry
from bundle.kinds.files import FileEntry
from bundle.kinds.kubespray import KubesprayEntry, KubesprayFile, KubesprayImage, KubesprayPackages
from bundle.kinds.os_packages import OsEntry, OsFile
from bundle.kinds.systems import Release
from bundle.model.manifest import Manifest
from installer.site.document import Site
from installer.site.load import parse_site
from tests.support.trust.signature_rules import WAIVE_ALL, WAIVED

SIZES = (1, 3, 10)
PLUGINS = ("calico", "cilium")
VERSION = "1.35.4"
ZONES = ("administrative", "clinical", "research")
CONFIG = b"{}"
MANIFEST = canonical_json(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(CONFIG),
            "size": len(CONFIG),
        },
        "layers": [],
    }
)
BLOBS = {digest_of(data): data for data in (CONFIG, MANIFEST)}
"""The blobs of such a bundle: one manifest, which stands for every image, file and tree."""
_IMAGES = {
    "calico": {"calico_node": "quay.io/calico/node:v3.31.5"},
    "cilium": {"cilium": "quay.io/cilium/cilium:v1.18.6"},
    "kube-router": {"kube_router": "docker.io/cloudnativelabs/kube-router:v2.5.0"},
}
PARTS = {
    "coredns": "registry.k8s.io/coredns/coredns:v1.12.4",
    "dnsautoscaler": "registry.k8s.io/cpa/cluster-proportional-autoscaler:v1.8.8",
    "nginx": "docker.io/library/nginx:1.28.2-alpine",
    "nodelocaldns": "registry.k8s.io/dns/k8s-dns-node-cache:1.25.0",
}
"""Images of parts of a cluster that a vendor may leave out, by Kubespray's names."""


def cluster_data(nodes: int, plugin: str) -> dict[str, Any]:
    """Return a site as plain data: up to three control planes, and workers in turn by zone."""
    control = 1 if nodes == 1 else 3
    return {
        "apiVersion": "isoward/v1",
        "kind": "Site",
        "metadata": {"name": f"st-example-{nodes}"},
        "depot": {"address": "10.20.0.5"},
        **({"secondDepot": {"address": "10.20.0.6", "port": 5444}} if nodes > 1 else {}),
        **({"dnsServers": ["10.20.0.2", "10.20.0.3"]} if nodes > 1 else {}),
        "ssh": {"user": "admin", "key": "id_ed25519", "port": 2222},
        "zones": [
            {"name": "administrative", "networks": ["10.20.1.0/24"]},
            {
                "name": "clinical",
                "networks": ["10.20.2.0/24"],
                "egress": [{"to": "10.30.0.0/24", "ports": [2575]}],
                "labels": {"ward": "east"},
                "taints": [{"key": "zone", "value": "clinical"}],
            },
            {
                "name": "research",
                "networks": ["10.20.3.0/24"],
                "taints": [{"key": "zone", "value": "research", "effect": "NoExecute"}],
            },
        ],
        "nodes": [_node(i, control) for i in range(nodes)],
        "firstImage": {"reference": "registry.example.org/app/web:2.1", "command": ["/bin/true"]},
        "kubernetes": {
            "version": f"v{VERSION}",
            "networkPlugin": plugin,
            **({"controlPlane": {"address": "api.hospital.example"}} if nodes > 1 else {}),
            "oidc": {
                "issuer": "https://login.hospital.example/realms/hospital",
                "clientId": "kubernetes",
            },
        },
    }


def _node(i: int, control: int) -> dict[str, Any]:
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes([i]) * 32
    return {
        "name": f"node{i + 1}",
        "address": f"10.20.{i % 3 + 1}.{i + 11}",
        "zone": ZONES[i % 3],
        "roles": ["control-plane", "etcd", "worker"] if i < control else ["worker"],
        "hostKey": f"ssh-ed25519 {base64.b64encode(blob).decode()}",
    }


def cluster(nodes: int, plugin: str) -> Site:
    """Return the checked site."""
    return parse_site(yaml.safe_dump(cluster_data(nodes, plugin)).encode(), "site.yaml")


def kubespray_manifest(
    *plugins: str,
    version: str = VERSION,
    file: str = "https://dl.k8s.io/kubelet",
    parts: Mapping[str, str] = PARTS,
    packages: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Manifest:
    """Return a bundle.json that says that it has Kubespray with these plugins and parts.

    Args:
        plugins: Network plugins.
        version: Of Kubernetes.
        file: Where its only file comes from.
        parts: More images, by name.
        packages: That Kubespray installs on nodes, by release.
    """
    named = {"kube-apiserver": f"registry.k8s.io/kube-apiserver:v{version}", **parts}
    for plugin in plugins:
        named |= _IMAGES[plugin]
    some = digest_of(MANIFEST)
    return Manifest(
        api_version="isoward/v1",
        kind="Bundle",
        metadata=Metadata(name="hospital-platform", version="1.0.0"),
        lock=some,
        platforms=("linux/amd64",),
        blobs=tuple(
            Content(digest=digest, size=len(data)) for digest, data in sorted(BLOBS.items())
        ),
        layout=(),
        images=tuple(
            Artifact(
                reference=r,
                digest=some,
                manifests=(ManifestEntry(digest=some, media_type=OCI_MANIFEST),),
                verified=(WAIVED,),
                wanted_by=("kubespray",),
            )
            for r in sorted(named.values())
        ),
        signatures=(WAIVE_ALL,),
        files=(FileEntry(url=file, digest=some),),
        kubespray=KubesprayEntry(
            version="v2.31.0",
            path="kubespray",
            tree=some,
            inventory=some,
            files=(
                KubesprayFile(
                    name="kubelet",
                    path="kubelet",
                    url=file,
                    digest=some,
                    checksum=some,
                    platforms=("linux/amd64",),
                ),
            ),
            images=tuple(KubesprayImage(name=name, reference=r)
                         for name, r in sorted(named.items())),
            packages=tuple(KubesprayPackages(release=release, packages=tuple(names))
                           for release, names in sorted(packages.items())),
        ),
    )  # fmt: skip


def with_os_packages(manifest: Manifest, release: str) -> Manifest:
    """Return a bundle.json that says that it has OS packages of a release, none of them named."""
    keyring = OsFile(path="keyring.asc", digest=digest_of(MANIFEST))
    system = OsEntry(
        name="system",
        release=msgspec.convert(release, Release),
        repositories=(),
        keyring=keyring,
        files=(),
        packages=(),
    )
    return msgspec.structs.replace(manifest, os_packages=(system,))
