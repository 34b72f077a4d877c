"""The TCP ports that a node of a cluster needs, by what it is to be."""

from __future__ import annotations

from typing import Final

from installer.site.cluster_part import Kubernetes
from installer.site.document import Node

_BY_ROLE: Final[dict[str, dict[int, str]]] = {
    "control-plane": {
        6443: "kube-apiserver",
        10257: "kube-controller-manager",
        10259: "kube-scheduler",
    },
    "etcd": {2379: "etcd", 2380: "etcd", 2381: "etcd"},
    "worker": {},
}
_NODE: Final[dict[int, str]] = {
    10248: "kubelet",
    10249: "kube-proxy",
    10250: "kubelet",
    10256: "kube-proxy",
}
_BY_PLUGIN: Final[dict[str, dict[int, str]]] = {
    "calico": {179: "bird", 5473: "calico-typha", 9091: "calico-node", 9099: "calico-node"},
    "cilium": {4240: "cilium-agent", 4244: "cilium-agent", 9879: "cilium-agent"},
    "kube-router": {179: "kube-router", 20244: "kube-router"},
}
_PROXY: Final = {6443: "nginx"}
"""On a node without an API server: the balancer before those of the others."""

_REACHED: Final = {"control-plane": (6443,), "etcd": (2379, 2380), "worker": ()}
"""What other nodes connect to."""
_REACHED_NODE: Final = (10250,)
_REACHED_PLUGIN: Final = {"calico": (179,), "cilium": (4240,), "kube-router": (179,)}
_TUNNELS: Final = {"calico": 4789, "cilium": 8472}
"""Of VXLAN, by UDP."""


def tunnel(node: Node, options: Kubernetes) -> int:
    """Return the UDP port on which a node gets the packets of other nodes' pods; 0 for none."""
    kubelet = not {"control-plane", "worker"}.isdisjoint(node.roles)
    return _TUNNELS.get(options.network_plugin, 0) if kubelet else 0


def listened(node: Node, options: Kubernetes) -> dict[int, str]:
    """Return the ports that something of the cluster is going to have on a node, by port."""
    found: dict[int, str] = {}
    for role in node.roles:
        found |= _BY_ROLE[role]
    if not {"control-plane", "worker"}.isdisjoint(node.roles):
        found |= _NODE | _BY_PLUGIN.get(options.network_plugin, {})
        if "control-plane" not in node.roles and options.control_plane is None:
            found |= _PROXY
    return found


def reached(node: Node, options: Kubernetes) -> list[int]:
    """Return the ports of a node that the other nodes connect to; its sshd is the installer's."""
    found: list[int] = []
    for role in node.roles:
        found += _REACHED[role]
    if not {"control-plane", "worker"}.isdisjoint(node.roles):
        found += [*_REACHED_NODE, *_REACHED_PLUGIN.get(options.network_plugin, ())]
    return found
