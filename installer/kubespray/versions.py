"""Which versions of Kubespray's parts a site gets: those of the bundle.

A vendor's inventory may name other versions than Kubespray's release, such as a runc with a
security fix. The bundle says so by the names of what it carries, and the site's inventory repeats
it; else nodes would ask the depot for what it has not.
"""

from __future__ import annotations

import re
from typing import Final

from bundle.base.reference import parse_reference
from bundle.kinds.kubespray import KubesprayEntry, plain_version

_VERSION: Final = r"([0-9][A-Za-z0-9.+]*)"
FILE_VERSIONS: Final = {
    "calicoctl": ("calico_version", rf"calicoctl-{_VERSION}-[a-z0-9]+"),
    "ciliumcli": ("cilium_cli_version", rf"cilium-{_VERSION}-[a-z0-9]+\.tar\.gz"),
    "cni": ("cni_version", rf"cni-plugins-linux-[a-z0-9]+-{_VERSION}\.tgz"),
    "containerd": ("containerd_version", rf"containerd-(?:static-)?{_VERSION}-linux-.*"),
    "crictl": ("crictl_version", rf"crictl-{_VERSION}-linux-.*"),
    "etcd": ("etcd_version", rf"etcd-{_VERSION}-linux-.*"),
    "helm": ("helm_version", rf"helm-{_VERSION}/.*"),
    "nerdctl": ("nerdctl_version", rf"nerdctl-{_VERSION}-linux-.*"),
    "runc": ("runc_version", rf"runc-{_VERSION}\.[a-z][a-z0-9]*"),
}
"""The variable with the version of a file, and where its path on a node says it.

Source: Kubespray v2.31.0, roles/kubespray_defaults/defaults/main/download.yml.
"""

IMAGE_VERSIONS: Final = {"cilium": "cilium_version", "kube_router": "kube_router_version"}
"""Variables with the version of an image, on which more than its tag depends."""

IMAGE_TAGS: Final = (
    "calico_cni",
    "calico_node",
    "calico_policy",
    "cilium_hubble_envoy",
    "cilium_operator",
    "coredns",
    "dnsautoscaler",
    "haproxy",
    "nginx",
    "nodelocaldns",
    "pod_infra",
)
"""Images whose tag is the variable NAME_image_tag."""


def version_values(entry: KubesprayEntry) -> dict[str, str]:
    """Return the versions that a bundle carries, by variable.

    One that is carried in several versions is left to Kubespray, which knows what goes with which
    Kubernetes.
    """
    found: dict[str, set[str]] = {}
    for file in entry.files:
        variable, pattern = FILE_VERSIONS.get(file.name, ("", "(?!)"))
        match = re.fullmatch(pattern, file.path)
        if match is not None:
            found.setdefault(variable, set()).add(match[1])
    for image in entry.images:
        tag = parse_reference(image.reference).tag
        if tag and image.name in IMAGE_VERSIONS:
            found.setdefault(IMAGE_VERSIONS[image.name], set()).add(plain_version(tag))
        elif tag and image.name in IMAGE_TAGS:
            found.setdefault(f"{image.name}_image_tag", set()).add(tag)
    return {name: values.pop() for name, values in sorted(found.items()) if len(values) == 1}
