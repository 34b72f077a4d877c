"""What each file of Kubespray must have, by the bundle and not by Kubespray's own tables.

The tables are those of the upstream releases; a vendor may have built a file anew. What a node
takes is what the bundle was approved with, so the bundle's digest is set for every file for which
an inventory can say it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bundle.kinds.kubespray import KubesprayFile

CHECKSUM_VARIABLES: Final = {
    "argocd_install": "argocd_install_checksum",
    "calicoctl": "calicoctl_binary_checksum",
    "ciliumcli": "ciliumcli_binary_checksum",
    "cni": "cni_binary_checksum",
    "containerd": "containerd_checksum",
    "cri_dockerd": "cri_dockerd_archive_checksum",
    "crictl": "crictl_binary_checksum",
    "crio": "crio_archive_checksum",
    "crun": "crun_binary_checksum",
    "etcd": "etcd_binary_checksum",
    "gvisor_containerd_shim": "gvisor_containerd_shim_binary_checksum",
    "gvisor_runsc": "gvisor_runsc_binary_checksum",
    "helm": "helm_archive_checksum",
    "kata_containers": "kata_containers_binary_checksum",
    "kubeadm": "kubeadm_binary_checksum",
    "kubectl": "kubectl_binary_checksum",
    "kubelet": "kubelet_binary_checksum",
    "nerdctl": "nerdctl_archive_checksum",
    "runc": "runc_binary_checksum",
    "skopeo": "skopeo_binary_checksum",
    "youki": "youki_archive_checksum",
    "yq": "yq_binary_checksum",
}
"""The variable that overrides the checksum of an item of Kubespray's `downloads`.

Source: Kubespray v2.31.0, roles/kubespray_defaults/defaults/main/download.yml.
"""

FIXED_ITEMS: Final = ("calico_crds", "gateway_api_crds", "prometheus_operator_crds")
"""Items whose checksum no inventory can override: Kubespray looks it up in a role's own table.

A vendor's inventory could not do it either, so the bundle's files have the checksums of the table.
"""


def checksum_values(
    files: Iterable[KubesprayFile], version: str
) -> dict[str, str | dict[str, str]]:
    """Return what each file must have: variable, then a digest or one for each architecture.

    An item is left to Kubespray's own table where the bundle has several of it for one
    architecture and the version does not say which is meant; a wrong one is refused by the node.

    Args:
        files: Of the bundle.
        version: Of Kubernetes, without the `v`.
    """
    found: dict[str, dict[str, list[KubesprayFile]]] = {}
    for file in files:
        variable = CHECKSUM_VARIABLES.get(file.name)
        for platform in file.platforms if variable is not None else ():
            architecture = platform.partition("/")[2]
            found.setdefault(variable or "", {}).setdefault(architecture, []).append(file)
    values: dict[str, str | dict[str, str]] = {}
    for variable, by_architecture in sorted(found.items()):
        digests = {name: _meant(some, version) for name, some in sorted(by_architecture.items())}
        known = {name: digest for name, digest in digests.items() if digest is not None}
        if len(known) < len(digests):
            continue
        one = next(iter(known.values()))
        values[variable] = one if len(known) == 1 else known
    return values


def _meant(files: list[KubesprayFile], version: str) -> str | None:
    """Return the digest of the file that a site gets, if only one can be meant."""
    digests = {file.digest for file in files}
    if len(digests) > 1:
        digests = {file.digest for file in files if f"/v{version}/" in file.url}
    return digests.pop() if len(digests) == 1 else None
