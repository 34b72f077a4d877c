"""Site files with a cluster, for lab nodes: each node is in a zone of its own."""

from __future__ import annotations

from typing import Any, Final

from tests.lab.node import Lab
from tests.lab.site import lab_site

ZONES: Final = ("administrative", "clinical", "research")


def lab_cluster(
    lab: Lab, port: int, version: str, plugin: str = "calico", **kubernetes: Any
) -> dict[str, Any]:
    """Return the site of a lab as plain data; its first node is the control plane and etcd.

    Args:
        lab: The nodes, at most three.
        port: Of the depot, on this machine's address on the lab's bridge.
        version: Of Kubernetes.
        plugin: Of the network.
        kubernetes: Other options of the cluster.
    """
    site = lab_site(lab, "", port)
    del site["firstImage"]
    used = ZONES[: len(lab.nodes)]
    site["zones"] = [
        {"name": zone, "networks": [f"{node.address}/32"]}
        for zone, node in zip(used, lab.nodes, strict=True)
    ]
    for i, (node, zone) in enumerate(zip(site["nodes"], used, strict=True)):
        node["zone"] = zone
        node["roles"] = ["control-plane", "etcd", "worker"] if i == 0 else ["worker"]
    site["kubernetes"] = {"version": version, "networkPlugin": plugin, **kubernetes}
    return site
