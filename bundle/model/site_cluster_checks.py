"""Contradictions of a site's networks and of its cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from bundle.model.networks import IpNetwork, address_of, network_of, overlap
from bundle.model.problems import Problem
from bundle.model.reference import is_host
from bundle.model.site import Site
from bundle.model.site_cluster import ENFORCING_PLUGINS, SIX_YEARS_DAYS, Kubernetes, Role

_REPELS: Final = ("NoSchedule", "NoExecute")
_NEEDED: Final[tuple[Role, ...]] = ("control-plane", "etcd", "worker")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TAKEN: Final = ("default", "kube-", "isoward-")
"""How names of namespaces begin that are Kubernetes' own, or ours."""


def network_problems(site: Site) -> Iterator[Problem]:
    """Yield what is wrong with networks and the addresses in them."""
    texts = [
        (f"zones[{i}].networks[{k}]", text)
        for i, zone in enumerate(site.all_zones)
        for k, text in enumerate(zone.networks)
    ]
    if site.kubernetes is not None:
        texts.append(("kubernetes.serviceNetwork", site.kubernetes.service_network))
        texts.append(("kubernetes.podNetwork", site.kubernetes.pod_network))
    allowed = [
        (f"zones[{i}].egress[{k}].to", egress.to)
        for i, zone in enumerate(site.all_zones)
        for k, egress in enumerate(zone.egress)
    ]
    for path, text in [*texts, *allowed]:
        if network_of(text) is None:
            yield Problem(
                path,
                f"expected a network, found {text!r}",
                "Write its first address and the length of the prefix, such as 10.20.1.0/24.",
            )
    networks = [(path, found) for path, text in texts if (found := network_of(text)) is not None]
    for (one, first), (other, second) in combinations(networks, 2):
        if overlap(first, second):
            yield Problem(
                other, f"{second} overlaps {first} of {one}", "Give each a range of its own."
            )
    yield from _placed(site)
    yield from _reserved(site, networks)


def _placed(site: Site) -> Iterator[Problem]:
    """Yield nodes that are outside of their zone's networks."""
    zones = {zone.name: zone for zone in site.all_zones}
    for i, node in enumerate(site.nodes):
        address = address_of(node.address)
        listed = zones[node.zone].networks if node.zone in zones else ()
        networks = [found for text in listed if (found := network_of(text)) is not None]
        if address is None or not networks:
            continue
        if not any(address in network for network in networks):
            yield Problem(
                f"nodes[{i}].address",
                f"expected an address in {' or '.join(map(str, networks))}, the networks of the "
                f"zone {node.zone!r}, found {node.address}",
                "Correct the address, the node's zone, or the zone's networks.",
            )


def _reserved(site: Site, networks: Sequence[tuple[str, IpNetwork]]) -> Iterator[Problem]:
    """Yield machines that have an address of pods or services."""
    machines = [(f"nodes[{i}].address", node.address) for i, node in enumerate(site.nodes)]
    fields = ("depot.address", "secondDepot.address")
    machines += [(f, depot.address) for f, depot in zip(fields, site.depots, strict=False)]
    if site.kubernetes is not None and site.kubernetes.control_plane is not None:
        machines.append(("kubernetes.controlPlane.address", site.kubernetes.control_plane.address))
    for path, text in machines:
        address = address_of(text)
        for where, network in networks:
            if where.startswith("kubernetes.") and address is not None and address in network:
                yield Problem(
                    path,
                    f"{text} is in {network}, which is {where}",
                    "Those addresses exist within the cluster only; choose another range for one.",
                )


def cluster_problems(site: Site) -> Iterator[Problem]:
    """Yield what is wrong with the cluster, where the site has one."""
    options = site.kubernetes
    if options is None:
        return
    if options.network_plugin not in ENFORCING_PLUGINS:
        yield Problem(
            "kubernetes.networkPlugin",
            f"expected one that enforces NetworkPolicy, of {', '.join(ENFORCING_PLUGINS)}, "
            f"found {options.network_plugin[:60]!r}",
            "Without it the zones would not be separated.",
        )
    yield from _roles(site)
    yield from _zones(site)
    yield from _egress(site, options)
    yield from _control_plane(site, options)
    yield from _pods(site, options)
    yield from _audit(options)
    if options.oidc is not None and not options.oidc.issuer.startswith("https://"):
        yield Problem(
            "kubernetes.oidc.issuer",
            f"expected an https:// address, found {options.oidc.issuer[:100]!r}",
            "The API server takes no other; the site's CA vouches for it.",
        )


def _roles(site: Site) -> Iterator[Problem]:
    for i, node in enumerate(site.nodes):
        if not node.roles:
            yield Problem(
                f"nodes[{i}]",
                f"expected roles of {', '.join(_NEEDED)} for {node.name}, found none",
                "Write roles: [worker], or what the node is to be.",
            )
        if address_of(node.address) is None:
            yield Problem(
                f"nodes[{i}].address",
                f"expected an IP address, found the name {node.address[:100]!r}",
                "The cluster's certificates and etcd name its nodes by address.",
            )
    by_address: dict[str, tuple[str, int]] = {}
    for i, node in enumerate(site.nodes):
        port = node.port or site.ssh.port
        other, other_port = by_address.setdefault(node.address, (node.name, port))
        # With the same port as well, it is one that stands twice, which is said already.
        if other != node.name and other_port != port:
            yield Problem(
                f"nodes[{i}].address",
                f"{node.address} is the address of {other} too",
                "Nodes of a cluster are machines of their own, whatever port their SSH has.",
            )
    for role in _NEEDED:
        count = len(site.nodes_with(role))
        if count == 0:
            yield Problem("nodes", f"expected a node with the role {role}, found none", "Add one.")
        elif role == "etcd" and count % 2 == 0:
            yield Problem(
                "nodes",
                f"expected an odd number of nodes with the role etcd, found {count}",
                "An even number survives no more failures than one fewer: take 1, 3 or 5.",
            )


def _zones(site: Site) -> Iterator[Problem]:
    zones = {zone.name: zone for zone in site.all_zones}
    for i, zone in enumerate(site.all_zones):
        if not _NAMESPACE.fullmatch(zone.name) or zone.name.startswith(_TAKEN):
            yield Problem(
                f"zones[{i}].name",
                f"expected a name that a namespace of its own can have, found {zone.name!r}",
                "Take letters, digits and dashes, and do not begin with default, kube- or "
                "isoward-.",
            )
        if not zone.networks:
            yield Problem(
                f"zones[{i}]",
                f"expected the networks of the zone {zone.name!r}, found none",
                "Write networks: [10.20.1.0/24]; policies between zones are made of them.",
            )
    repelled = [
        any(taint.effect in _REPELS for taint in zones[node.zone].taints)
        for node in site.nodes
        if node.zone in zones
    ]
    if all(repelled) and repelled:
        yield Problem(
            "zones",
            "every node would be tainted, so that the cluster's own DNS could run nowhere",
            "Leave the taints out of one zone, such as the one of the control plane.",
        )


def _egress(site: Site, options: Kubernetes) -> Iterator[Problem]:
    """Yield what a zone may connect to although it belongs to the cluster or to another zone."""
    for i, zone in enumerate(site.all_zones):
        for k, egress in enumerate(zone.egress):
            for text, whose in inner_networks(site, options, zone.name):
                inner, allowed = network_of(text), network_of(egress.to)
                if inner is None or allowed is None or not overlap(inner, allowed):
                    continue
                if allowed.prefixlen >= inner.prefixlen:
                    yield Problem(
                        f"zones[{i}].egress[{k}].to",
                        f"expected a network outside of the cluster, found {egress.to}, which is "
                        f"in {text}, {whose}",
                        "Zones do not reach each other; correct the network, or leave it out.",
                    )


def inner_networks(site: Site, options: Kubernetes, zone: str) -> Iterator[tuple[str, str]]:
    """Yield the networks that a zone's egress never leads to, and what each of them is."""
    yield options.service_network, "the network of services"
    yield options.pod_network, "the network of pods"
    for other in site.all_zones:
        if other.name != zone:
            for network in other.networks:
                yield network, f"the network of the zone {other.name!r}"


def _control_plane(site: Site, options: Kubernetes) -> Iterator[Problem]:
    if options.control_plane is None:
        return
    text = options.control_plane.address
    path = "kubernetes.controlPlane.address"
    if address_of(text) is None and (not is_host(text) or ":" in text):
        yield Problem(
            path,
            f"expected an IP address or a host name, found {text[:100]!r}",
            "Write it as 10.20.0.10 or api.hospital.example.",
        )
    for node in site.nodes:
        if text in {node.address, node.name}:
            yield Problem(
                path,
                f"expected the address of a load balancer, found that of the node {node.name}",
                "Leave controlPlane out if there is none; nodes balance among themselves.",
            )


def _pods(site: Site, options: Kubernetes) -> Iterator[Problem]:
    for field, text in (
        ("serviceNetwork", options.service_network),
        ("podNetwork", options.pod_network),
    ):
        if ":" in text:
            yield Problem(
                f"kubernetes.{field}",
                f"expected a network of IPv4, found {text}",
                "Kubespray is set up for IPv4 within the cluster.",
            )
    network = network_of(options.pod_network)
    if network is None:
        return
    bits = options.node_prefix - network.prefixlen
    if options.node_prefix > network.max_prefixlen or bits < 0:
        yield Problem(
            "kubernetes.nodePrefix",
            f"expected a prefix from {network.prefixlen} to {network.max_prefixlen}, found "
            f"{options.node_prefix}",
            "Each node has a part of the pod network.",
        )
    elif 2**bits < len(site.nodes):
        yield Problem(
            "kubernetes.podNetwork",
            f"{network} has room for {2**bits} nodes with a /{options.node_prefix} each, and "
            f"there are {len(site.nodes)}",
            "Take a larger network, or a longer nodePrefix.",
        )


def _audit(options: Kubernetes) -> Iterator[Problem]:
    audit = options.audit
    if audit.retention_days < SIX_YEARS_DAYS:
        yield Problem(
            "kubernetes.audit.retentionDays",
            f"expected at least {SIX_YEARS_DAYS} days, found {audit.retention_days}",
            "HIPAA wants records kept for six years: 45 CFR 164.316(b)(2)(i).",
        )
    if audit.log_days > audit.retention_days:
        yield Problem(
            "kubernetes.audit.logDays",
            f"{audit.log_days} days on the disk are more than retentionDays, "
            f"{audit.retention_days}",
            "Raise retentionDays, or lower logDays.",
        )
