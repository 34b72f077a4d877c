"""What keeps the zones of a cluster apart, as Kubernetes objects: a namespace a zone, and policies.

A zone's pods run in the namespace of its name. Two admission plugins, which the inventory switches
on, read the namespace's annotations: PodNodeSelector puts its pods on the zone's nodes and refuses
any that ask for others; PodTolerationRestriction gives them the tolerations of the zone's taints
and refuses any others. Policies close the namespace in both directions and open what is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from installer.base.networks import network_of, overlap
from installer.kube.kubectl import MANAGED_BY
from installer.site.cluster_checks import inner_networks
from installer.site.cluster_part import PINNING_LABEL, ZONE_LABEL, Egress, Kubernetes, Zone
from installer.site.document import Site

Document = dict[str, Any]

NODE_SELECTOR: Final = "scheduler.alpha.kubernetes.io/node-selector"
DEFAULT_TOLERATIONS: Final = "scheduler.alpha.kubernetes.io/defaultTolerations"
TOLERATIONS_ALLOWED: Final = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"

NODE_LOCAL_DNS: Final = "169.254.25.10/32"
"""Where Kubespray's DNS cache of each node answers (its `nodelocaldns_ip`)."""

_POLICY_PREFIX: Final = "isoward-"
_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"
"""A label of every namespace, which only the API server sets."""

_DNS_PORT: Final = 53
# What Kubernetes itself tolerates for a pod: of every pod, of one with reserved memory, and of a
# DaemonSet's. An allow-list without these would refuse them all.
_KUBERNETES_OWN: Final = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("memory-pressure", "NoSchedule"),
    ("disk-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
_POD_SECURITY: Final = {
    "pod-security.kubernetes.io/enforce": "baseline",
    "pod-security.kubernetes.io/audit": "restricted",
    "pod-security.kubernetes.io/warn": "restricted",
}


def zone_documents(site: Site, options: Kubernetes) -> list[Document]:
    """Return the objects of every zone: the namespaces first, then what is in them."""
    zones = site.all_zones
    policies = [policy for zone in zones for policy in _policies(site, options, zone)]
    return [*(_namespace(zone) for zone in zones), *policies]


def key_of(document: Mapping[str, Any]) -> str:
    """Return `namespace/name`."""
    metadata = document["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def zone_labels(zone: str) -> dict[str, str]:
    """Return the labels of everything that a zone has in the cluster."""
    return {**MANAGED_BY, ZONE_LABEL: zone}


def zone_tolerations(zone: Zone) -> list[dict[str, str]]:
    """Return the tolerations of a zone's own taints."""
    return [
        {"key": t.key, "operator": "Equal", "value": t.value, "effect": t.effect}
        for t in zone.taints
    ]


def _namespace(zone: Zone) -> Document:
    own = zone_tolerations(zone)
    kubernetes = [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
        for key, effect in _KUBERNETES_OWN
    ]
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": zone.name,
            "labels": {**zone_labels(zone.name), **_POD_SECURITY},
            "annotations": {
                NODE_SELECTOR: f"{PINNING_LABEL}={zone.name}",
                DEFAULT_TOLERATIONS: json.dumps(own),
                TOLERATIONS_ALLOWED: json.dumps([*own, *kubernetes]),
            },
        },
    }


def _policies(site: Site, options: Kubernetes, zone: Zone) -> Iterator[Document]:
    """Yield a zone's policies; what no policy allows is refused, since the first selects all."""
    yield _policy(zone, "deny", {"policyTypes": ["Ingress", "Egress"]})
    # A selector of pods alone means those of the same namespace.
    within: list[Document] = [{"podSelector": {}}]
    yield _policy(
        zone,
        "within",
        {
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": within}],
            "egress": [{"to": within}],
        },
    )
    dns = {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            },
            {"ipBlock": {"cidr": NODE_LOCAL_DNS}},
        ],
        "ports": [{"protocol": protocol, "port": _DNS_PORT} for protocol in ("UDP", "TCP")],
    }
    yield _policy(zone, "dns", {"policyTypes": ["Egress"], "egress": [dns]})
    if zone.egress:
        inner = [network for network, _ in inner_networks(site, options, zone.name)]
        rules = [_egress(egress, inner) for egress in zone.egress]
        yield _policy(zone, "egress", {"policyTypes": ["Egress"], "egress": rules})


def _egress(egress: Egress, inner: list[str]) -> Document:
    """Return a rule of the allow-list, without what the network has of the cluster's insides."""
    outer = network_of(egress.to)
    block: Document = {"cidr": egress.to}
    kept = [
        text
        for text in inner
        if outer is not None and (found := network_of(text)) is not None and overlap(outer, found)
    ]
    if kept:
        block["except"] = kept
    ports: list[Document] = [{"protocol": egress.protocol, "port": p} for p in egress.ports]
    return {"to": [{"ipBlock": block}], "ports": ports or [{"protocol": egress.protocol}]}


def _policy(zone: Zone, name: str, spec: Document) -> Document:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": f"{_POLICY_PREFIX}{name}",
            "namespace": zone.name,
            "labels": zone_labels(zone.name),
        },
        "spec": {"podSelector": {}, **spec},
    }
