"""What Kubespray fetches or starts and its `downloads` does not list.

Read from Kubespray v2.29 to v2.31. Where a role says in its templates which images it starts, they
are read there; where nothing says it, a person must carry it otherwise and declare that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that `downloads` lacks.

    Attributes:
        item: Its name under leaveOut.
        when: Jinja, whether an inventory wants it.
        role: The role whose templates name the images, relative to roles/.
        images: Jinja, images that Kubespray names nowhere.
        chart: Jinja, the name and the version of a chart that is installed.
        advice: What a person can do where neither role, images nor chart says what it is.
    """

    item: str
    when: str
    role: str = ""
    images: tuple[str, ...] = ()
    chart: tuple[str, str] | None = None
    advice: str = ""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles whose defaults its expressions use."""
        return (self.role,) if self.role else ()


def _flag(variable: str) -> str:
    return f"{variable} | default(false) | bool"


def _cloud(name: str) -> str:
    return (
        "cloud_provider | default('') == 'external' "
        f"and external_cloud_provider | default('') == '{name}'"
    )


_APPS: Final = "kubernetes-apps"
_CSI: Final = f"{_APPS}/csi_driver"
_CLOUD: Final = f"{_APPS}/external_cloud_controller"

_CILIUM: Final = (
    f"kube_network_plugin | default('') == 'cilium' or ({_flag('cilium_deploy_additionally')})"
)

GAPS: Final = (
    Gap("cilium-chart", _CILIUM, chart=("cilium", "{{ cilium_version }}")),
    Gap(
        # The chart makes the operator's name of a repository and a cloud, `generic` for none, and
        # runs Envoy apart, also where Hubble is off and `downloads` does not list it.
        "cilium-chart-images",
        _CILIUM,
        images=(
            "{{ cilium_operator_image_repo }}-generic:{{ cilium_operator_image_tag }}",
            "{{ cilium_hubble_envoy_image_repo }}:{{ cilium_hubble_envoy_image_tag }}",
        ),
    ),
    Gap(
        "kubelet-csr-approver-chart",
        "kubelet_csr_approver_enabled | default(kubelet_rotate_server_certificates) "
        "| default(false) | bool",
        role=f"{_APPS}/kubelet-csr-approver",
        chart=(
            "{{ kubelet_csr_approver_chart_ref.split('/') | last }}",
            "{{ kubelet_csr_approver_chart_version }}",
        ),
    ),
    Gap(
        "local-path-provisioner-helper",
        _flag("local_path_provisioner_enabled"),
        role=f"{_APPS}/external_provisioner/local_path_provisioner",
    ),
    Gap(
        "node-feature-discovery",
        _flag("node_feature_discovery_enabled"),
        role=f"{_APPS}/node_feature_discovery",
    ),
    Gap(
        "kube-ovn-images",
        "kube_network_plugin | default('') == 'kube-ovn'",
        role="network_plugin/kube-ovn",
    ),
    Gap(
        "scheduler-plugins",
        f"({_flag('scheduler_plugins_enabled')}) and kube_major_version is version('1.29', '<')",
        role=f"{_APPS}/scheduler_plugins",
    ),
    Gap(
        "cert-manager-acmesolver",
        _flag("cert_manager_enabled"),
        images=("quay.io/jetstack/cert-manager-acmesolver:v{{ cert_manager_version }}",),
    ),
    Gap("csi-cinder", _flag("cinder_csi_enabled"), role=f"{_CSI}/cinder"),
    Gap("csi-aws-ebs", _flag("aws_ebs_csi_enabled"), role=f"{_CSI}/aws_ebs"),
    Gap("csi-azuredisk", _flag("azure_csi_enabled"), role=f"{_CSI}/azuredisk"),
    Gap("csi-gcp-pd", _flag("gcp_pd_csi_enabled"), role=f"{_CSI}/gcp_pd"),
    Gap("csi-upcloud", _flag("upcloud_csi_enabled"), role=f"{_CSI}/upcloud"),
    Gap("csi-vsphere", _flag("vsphere_csi_enabled"), role=f"{_CSI}/vsphere"),
    Gap("cloud-openstack", _cloud("openstack"), role=f"{_CLOUD}/openstack"),
    Gap("cloud-vsphere", _cloud("vsphere"), role=f"{_CLOUD}/vsphere"),
    Gap("cloud-hcloud", _cloud("hcloud"), role=f"{_CLOUD}/hcloud"),
    Gap("cloud-huaweicloud", _cloud("huaweicloud"), role=f"{_CLOUD}/huaweicloud"),
    Gap("cloud-oci", _cloud("oci"), role=f"{_CLOUD}/oci"),
    Gap(
        "argocd-images",
        _flag("argocd_enabled"),
        advice="its install.yaml names its images: add them under images:",
    ),
    Gap(
        "nvidia-driver",
        _flag("nvidia_accelerator_enabled"),
        advice="its driver and images depend on the node's kernel: add them under images: and "
        "files:",
    ),
    Gap(
        "custom-cni",
        "kube_network_plugin | default('') == 'custom_cni'",
        advice="only its manifests tell what it starts: add its images and chart",
    ),
    Gap(
        "docker-packages",
        "container_manager | default('') == 'docker'",
        advice="they come from Docker's own repository: add it under osPackages:",
    ),
)
"""Everything that is known to be missing."""
