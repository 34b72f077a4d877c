"""Contradictions of a site's cluster: what Kubernetes or Kubespray would refuse later."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bundle.base.problem import Problem
from installer.base.networks import address_of, network_of, overlap, same_machine
from installer.site.cluster_part import ENFORCING_PLUGINS, REPELS, SIX_YEARS_DAYS, Kubernetes, Role
from installer.site.document import Site
from installer.site.network_checks import issuer_host

_NEEDED: Final[tuple[Role, ...]] = ("control-plane", "etcd", "worker")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TAKEN: Final = ("default", "kube-", "isoward-")
"""How names of namespaces begin that are Kubernetes' own, or ours."""


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
    yield from _audit(options)
    if options.oidc is None:
        return
    if not issuer_host(options.oidc.issuer):
        yield Problem(
            "kubernetes.oidc.issuer",
            f"expected an https:// address, found {options.oidc.issuer[:100]!r}",
            "The API server accepts no other; its certificate must be of the site's CA.",
        )


def _roles(site: Site) -> Iterator[Problem]:
    for i, node in enumerate(site.nodes):
        if not node.roles:
            yield Problem(
                f"nodes[{i}]",
                f"expected roles of {', '.join(_NEEDED)} for {node.name}, found none",
                "Write roles: [worker], or the node's other roles.",
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
                "Each node of a cluster must be its own machine, whatever its SSH port.",
            )
    for role in _NEEDED:
        count = len(site.nodes_with(role))
        if count == 0:
            yield Problem("nodes", f"expected a node with the role {role}, found none", "Add one.")
        elif role == "etcd" and count % 2 == 0:
            yield Problem(
                "nodes",
                f"expected an odd number of nodes with the role etcd, found {count}",
                "An even number survives no more failures than one fewer: use 1, 3 or 5.",
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
                "Write networks: [10.20.1.0/24]; policies between zones are derived from them.",
            )
    repelled = [
        any(taint.effect in REPELS for taint in zones[node.zone].taints)
        for node in site.nodes
        if node.zone in zones and set(node.roles) & {"control-plane", "worker"}
    ]
    if all(repelled) and repelled:
        yield Problem(
            "zones",
            "every node would be tainted, so the cluster's own DNS would have nowhere to run",
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
                        "Zones cannot reach each other; correct the network, or leave it out.",
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
    port = options.control_plane.port
    for field, depot in zip(("depot", "secondDepot"), site.depots, strict=False):
        if same_machine(text, depot.address) and port == depot.port:
            yield Problem(
                path,
                f"expected the address of a load balancer, found {text}:{port}, which is {field}",
                "Give one of the two another port or address.",
            )
    for node in site.nodes:
        if same_machine(text, node.address) or text == node.name:
            yield Problem(
                path,
                f"expected the address of a load balancer, found that of the node {node.name}",
                "Leave controlPlane out if there is none; nodes balance among themselves.",
            )


def _audit(options: Kubernetes) -> Iterator[Problem]:
    audit = options.audit
    if audit.retention_days < SIX_YEARS_DAYS:
        yield Problem(
            "kubernetes.audit.retentionDays",
            f"expected at least {SIX_YEARS_DAYS} days, found {audit.retention_days}",
            "HIPAA requires records to be kept for six years: 45 CFR 164.316(b)(2)(i).",
        )
    if audit.log_days > audit.retention_days:
        yield Problem(
            "kubernetes.audit.logDays",
            f"{audit.log_days} days on the disk are more than retentionDays, "
            f"{audit.retention_days}",
            "Raise retentionDays, or lower logDays.",
        )
