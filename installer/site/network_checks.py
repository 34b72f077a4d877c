"""Contradictions of a site's networks, and of the addresses in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network
from itertools import combinations
from typing import Final
from urllib.parse import urlsplit

from bundle.base.problem import Problem
from installer.base.networks import (
    IpNetwork,
    address_of,
    host_problem,
    is_this_machine,
    network_of,
    nowhere,
    overlap,
)
from installer.site.cluster_part import Kubernetes
from installer.site.document import Site

_SHORTEST_SERVICES: Final = 12
_LONGEST_SERVICES: Final = 28
"""kubeadm takes service networks of at least 10 addresses and at most 20 bits.

Source: kubeadm, constants.go: MinimumAddressesInServiceSubnet, MaximumBitsForServiceSubnet.
"""
_MOST_BITS: Final = 16
"""How many bits a node's part of the pod network may be longer (kubeadm, constants.go)."""
_LONGEST_NODE_PREFIX: Final = 25
"""Room for the 110 pods of a node, by Kubespray's roles/validate_inventory."""


def network_problems(site: Site) -> Iterator[Problem]:
    """Yield what is wrong with networks and the addresses in them."""
    texts = [
        (f"zones[{i}].networks[{k}]", text)
        for i, zone in enumerate(site.all_zones)
        for k, text in enumerate(zone.networks)
    ]
    options = site.kubernetes
    if options is not None:
        texts.append(("kubernetes.serviceNetwork", options.service_network))
        texts.append(("kubernetes.podNetwork", options.pod_network))
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
            yield Problem(other, f"{second} overlaps {first} of {one}", "Give each its own range.")
    yield from _placed(site)
    yield from _edges(site)
    yield from _unreachable(site)
    yield from _reserved(site, networks)
    yield from _nowhere(networks, allowed)
    if options is not None:
        yield from _families(site, [*texts, *allowed])
        yield from _sizes(site, options)


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


def _edges(site: Site) -> Iterator[Problem]:
    """Yield machines that have an address of a network as a whole."""
    texts = [text for zone in site.all_zones for text in zone.networks]
    networks = [found for text in texts if (found := network_of(text)) is not None]
    for path, text in machines(site):
        address = address_of(text)
        for network in networks:
            ends = {network.network_address, network.broadcast_address}
            if network.num_addresses > len(ends) and address in ends:
                yield Problem(
                    path,
                    f"expected the address of a machine, found {text}, the first or last of "
                    f"{network}",
                    "Those two stand for the network itself and for broadcast.",
                )


def machines(site: Site) -> Iterator[tuple[str, str]]:
    """Yield the addresses of machines that the site names, by field."""
    for i, node in enumerate(site.nodes):
        yield f"nodes[{i}].address", node.address
    for field, depot in zip(("depot", "secondDepot"), site.depots, strict=False):
        yield f"{field}.address", depot.address
    for field, servers in (("timeServers", site.time_servers), ("dnsServers", site.dns_servers)):
        for i, text in enumerate(servers):
            yield f"{field}[{i}]", text
    for name, text in site.names.items():
        yield f"names.{name}", text
    options = site.kubernetes
    if options is not None and options.control_plane is not None:
        yield "kubernetes.controlPlane.address", options.control_plane.address
    if options is not None and options.oidc is not None:
        yield "kubernetes.oidc.issuer", issuer_host(options.oidc.issuer)


def issuer_host(issuer: str) -> str:
    """Return the host of an identity provider's address; empty where it names none."""
    try:
        return urlsplit(issuer).hostname or ""
    except ValueError:
        return ""


def _reserved(site: Site, networks: Sequence[tuple[str, IpNetwork]]) -> Iterator[Problem]:
    """Yield machines that have an address of pods or services."""
    for path, text in machines(site):
        address = address_of(text)
        for where, network in networks:
            if where.startswith("kubernetes.") and address is not None and address in network:
                yield Problem(
                    path,
                    f"{text} is in {network}, which is {where}",
                    "Those addresses exist only within the cluster; choose another range for one.",
                )


def _families(site: Site, networks: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    """Yield what is IPv6 in a cluster, which is IPv4 here."""
    options = site.kubernetes
    texts = [(path, text, "a network") for path, text in networks]
    texts += [(f"nodes[{i}].address", node.address, "an address")
              for i, node in enumerate(site.nodes)]  # fmt: skip
    if options is not None and options.control_plane is not None:
        path = "kubernetes.controlPlane.address"
        texts.append((path, options.control_plane.address, "an address"))
    for path, text, what in texts:
        if ":" in text and (network_of(text) is not None):
            yield Problem(
                path,
                f"expected {what} of IPv4, found {text}",
                "Kubespray is set up for IPv4 within the cluster, and policies for IPv4 alone.",
            )


def _unreachable(site: Site) -> Iterator[Problem]:
    """Yield addresses by which no other machine is reached."""
    numbers = ("dnsServers", "names")
    for path, text in machines(site):
        if path == "kubernetes.oidc.issuer" and not text:
            continue
        problem = host_problem(text, names=not path.startswith(numbers))
        if problem and not (is_this_machine(text) and _is_one_machine(site, path)):
            yield Problem(
                path,
                problem,
                "Write the address by which the nodes reach it, such as 10.0.0.11"
                f"{'' if path.startswith(numbers) else ' or node1.hospital.example'}.",
            )


def _is_one_machine(site: Site, path: str) -> bool:
    """Say whether an address may be the machine's own: where that is the depot and every node."""
    inner = path.startswith(("depot.", "secondDepot.", "nodes["))
    nodes = all(is_this_machine(node.address) for node in site.nodes)
    return inner and nodes and site.kubernetes is None


def _nowhere(
    networks: Sequence[tuple[str, IpNetwork]], allowed: Sequence[tuple[str, str]]
) -> Iterator[Problem]:
    """Yield networks where nothing can be reached, and those that are allowed and lead there."""
    hint = "Use one of the site's private ranges, such as one in 10.0.0.0/8."
    for path, network in networks:
        for range_, what in nowhere(network):
            yield Problem(path, f"{network} overlaps {range_}, which is {what}", hint)
    for path, text in allowed:
        outer = network_of(text)
        for range_, what in nowhere(outer) if outer is not None else ():
            # An allow-list may be as wide as it likes; one that leads nowhere is a mistake.
            if int(text.rpartition("/")[2]) >= range_.prefixlen:
                yield Problem(
                    path,
                    f"expected a network that can be reached, found {text}, which is in {range_}, "
                    f"{what}",
                    "Write the network of the machines to reach.",
                )


def _sizes(site: Site, options: Kubernetes) -> Iterator[Problem]:
    services = network_of(options.service_network)
    if isinstance(services, IPv4Network) and not (
        _SHORTEST_SERVICES <= services.prefixlen <= _LONGEST_SERVICES
    ):
        yield Problem(
            "kubernetes.serviceNetwork",
            f"expected a prefix from /{_SHORTEST_SERVICES} to /{_LONGEST_SERVICES}, found "
            f"{services}",
            "kubeadm refuses others; 10.233.0.0/18 has room for 16,384 services.",
        )
    network = network_of(options.pod_network)
    if not isinstance(network, IPv4Network):
        return
    longest: int = network.max_prefixlen
    if options.network_plugin != "calico":
        longest = min(longest, _LONGEST_NODE_PREFIX)
    longest = min(longest, network.prefixlen + _MOST_BITS)
    if not network.prefixlen <= options.node_prefix <= longest:
        yield Problem(
            "kubernetes.nodePrefix",
            f"expected a prefix from {network.prefixlen} to {max(longest, network.prefixlen)}, "
            f"found {options.node_prefix}",
            "Each node has a part of the pod network, with room for its pods.",
        )
    elif 2 ** (options.node_prefix - network.prefixlen) < len(site.nodes):
        bits = options.node_prefix - network.prefixlen
        yield Problem(
            "kubernetes.podNetwork",
            f"{network} has room for {2**bits} nodes with a /{options.node_prefix} each, and "
            f"there are {len(site.nodes)}",
            "Use a larger network, or a longer nodePrefix.",
        )
