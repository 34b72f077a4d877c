"""What a cluster can have of Kubespray's parts: those that the bundle carries, and no others.

Kubespray's own defaults switch parts on, and a part whose image or package is not in the depot
fails in the middle of an installation. What the vendor's inventory left out, ours leaves out too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bundle.base.errors import DefinitionError
from bundle.base.names import chart_folder
from bundle.kinds.kubespray import KubesprayEntry
from bundle.model.manifest import Manifest
from installer.site.document import Site

_BALANCERS: Final = ("nginx", "haproxy")
_TIME: Final = "chrony"
_PROXY_MODES: Final = (("ipvsadm", "ipvs"), ("nftables", "nftables"), ("ipset", "iptables"))
"""Which package Kubespray adds for which mode of kube-proxy.

Source: Kubespray v2.31.0, roles/system_packages/vars/main.yml.
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts there are.

    Attributes:
        dns: CoreDNS.
        dns_cache: A cache of it on every node.
        dns_autoscaler: What adds replicas of it in a large cluster.
        balancer: What balances between API servers on every node, or nothing.
        proxy_mode: What kube-proxy works by; empty leaves it to Kubespray.
        cilium_charts: The folder below /charts/ of the chart that installs Cilium, or nothing:
            the vendor left it out, and said how else it comes.
    """

    dns: bool
    dns_cache: bool
    dns_autoscaler: bool
    balancer: str
    proxy_mode: str
    cilium_charts: str


def parts_of(manifest: Manifest, entry: KubesprayEntry) -> Parts:
    """Return the parts that a bundle carries."""
    images = {image.name for image in entry.images}
    packages = _packages(entry)
    charts = {chart.name: chart_folder(chart.repository) for chart in manifest.charts}
    return Parts(
        dns="coredns" in images,
        dns_cache="nodelocaldns" in images,
        dns_autoscaler="dnsautoscaler" in images,
        balancer=next((name for name in _BALANCERS if name in images), ""),
        proxy_mode=next((mode for package, mode in _PROXY_MODES if package in packages), ""),
        cilium_charts=charts.get("cilium", ""),
    )


def check_parts(site: Site, manifest: Manifest, entry: KubesprayEntry, parts: Parts) -> None:
    """Refuse a site that needs a part which the bundle does not carry.

    Raises:
        DefinitionError: It does.
    """
    options = site.kubernetes
    control = site.nodes_with("control-plane")
    workers_alone = any("control-plane" not in node.roles for node in site.nodes_with("worker"))
    balanced = parts.balancer or (options is not None and options.control_plane is not None)
    if len(control) > 1 and workers_alone and not balanced:
        raise DefinitionError(
            f"kubernetes.controlPlane: expected a load balancer before {len(control)} API "
            f"servers, found none, and the bundle carries no {' or '.join(_BALANCERS)} for nodes",
            "Name the site's own, or ask the vendor for a bundle with one.",
        )
    if site.time_servers:
        _check_time(manifest, entry)


def _check_time(manifest: Manifest, entry: KubesprayEntry) -> None:
    """Refuse where a release's nodes could not install chrony.

    A bundle without any OS packages passes here: preflight refuses it by each node's release.
    """
    by_release = {packages.release: set(packages.packages) for packages in entry.packages}
    carried = {system.name: {package.name for package in system.packages}
               for system in manifest.os_packages}  # fmt: skip
    for what, names in [*by_release.items(), *carried.items()]:
        if _TIME not in names:
            raise DefinitionError(
                f"timeServers: expected {_TIME} among the bundle's packages for {what}, found none",
                "Ask the vendor for a bundle whose inventory has ntp_enabled: true and "
                f"ntp_package: {_TIME}, or leave timeServers out and set the clocks otherwise.",
            )


def _packages(entry: KubesprayEntry) -> set[str]:
    """Return the packages that nodes of every release get."""
    sets = [set(packages.packages) for packages in entry.packages]
    return set.intersection(*sets) if sets else set()
