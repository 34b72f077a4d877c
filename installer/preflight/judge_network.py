"""Judging the network: addresses, ports, filters, and the ways between the nodes."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Final

from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.facts import Facts, Interface
from installer.preflight.ports import listened, tunnel
from installer.preflight.situation import Judgement, Subject, shown

_MTU_LEAST: Final = 1280
"""What IPv6 wants of every link, and little enough to have room for a tunnel's headers."""
_OWN: Final = ("kube", "etcd", "nginx", "bird", "calico", "cilium", "coredns", "containerd")
"""How the processes of a cluster of ours begin; the kernel cuts names to 15 characters."""


def _main(facts: Facts, address: str) -> Interface | None:
    links = facts.network.interfaces if facts.network else []
    return next((link for link in links if address in link.addresses), None)


def judge_address(subject: Subject) -> Finding:
    """Judge whether the node has the address that the site file gives it."""
    address = subject.node.address
    link = _main(subject.facts, address)
    expected = f"{address} on one of its interfaces"
    if link is not None:
        return ok(expected, shown(link.name))
    network = subject.facts.network
    has = [each for link in (network.interfaces if network else []) for each in link.addresses]
    return fail(
        expected, shown(has), "Write the node's own address into the site file, without NAT."
    )


def judge_mac(subject: Subject) -> Finding | None:
    """Judge whether another node has the same hardware address."""
    link = _main(subject.facts, subject.node.address)
    if link is None:
        return None
    expected = "a MAC address that no other node has"
    others = []
    for node in subject.cluster.site.nodes:
        facts = subject.cluster.facts.get(node.name)
        theirs = _main(facts, node.address) if facts else None
        if node.name != subject.node.name and theirs is not None and theirs.mac == link.mac:
            others.append(node.name)
    if not others:
        return ok(expected, shown(link.mac))
    return fail(
        expected,
        f"{shown(link.mac)}, as {', '.join(others)} has",
        "A machine was copied: give its network card an address of its own.",
    )


def judge_mtu(subject: Subject) -> Finding | None:
    """Judge the size of packets: the same everywhere, and passing between the nodes."""
    network = subject.facts.network
    link = _main(subject.facts, subject.node.address)
    if link is None or network is None:
        return None
    sizes = Counter(
        each.mtu
        for node in subject.cluster.site.nodes
        if node.name in subject.cluster.facts
        and (each := _main(subject.cluster.facts[node.name], node.address)) is not None
    )
    usual = max(sizes, key=lambda size: (sizes[size], size))
    expected, found = f"an MTU of {usual}, as on the other nodes", f"{link.mtu} on {link.name}"
    if link.mtu != usual:
        return fail(expected, shown(found), "Give all nodes, and the switches between, one MTU.")
    if network.too_large:
        return fail(
            f"packets of {link.mtu} bytes to reach the other nodes",
            f"they do not reach {shown(network.too_large)}, and small ones do",
            "Something between has a smaller MTU: a switch, a tunnel, or that node's interface.",
        )
    if link.mtu < _MTU_LEAST:
        return fail(f"an MTU of {_MTU_LEAST} or more", shown(found), "Raise it.")
    return ok(expected, shown(found))


def judge_overlap(subject: Subject) -> Finding | None:
    """Judge whether a network of the cluster is one that the node has already."""
    network = subject.facts.network
    if network is None or subject.known:
        return None
    options = subject.cluster.options
    expected = f"no route into {options.pod_network} or {options.service_network}"
    ours = [ipaddress.ip_network(text) for text in (options.pod_network, options.service_network)]
    overlapping = []
    for text in network.routes:
        try:
            route = ipaddress.ip_network(text)
        except ValueError:
            continue
        if any(route.version == each.version and route.overlaps(each) for each in ours):
            overlapping.append(text)
    if not overlapping:
        return ok(expected, "none")
    return fail(
        expected,
        shown(overlapping),
        "Choose other networks: kubernetes.podNetwork and serviceNetwork of the site file.",
    )


def judge_ports(subject: Subject) -> Finding | None:
    """Judge whether somebody else has a port that the cluster needs."""
    network = subject.facts.network
    if network is None:
        return None
    wanted = listened(subject.node, subject.cluster.options)
    expected = f"{len(wanted)} ports of the cluster that are free"
    taken = [
        f"{each.port} ({wanted[each.port]}'s) by {each.process or 'somebody'}"
        for each in network.listeners
        if each.port in wanted and not (subject.known and each.process.startswith(_OWN))
    ]
    if not taken:
        return ok(expected, "this site's own cluster has them" if network.listeners else "all")
    return fail(expected, shown(taken), "Stop that program, or move it to another port.")


def judge_firewall(subject: Subject) -> Finding | None:
    """Judge whether packets are dropped that no rule names, or rules come from elsewhere."""
    network = subject.facts.network
    if network is None:
        return None
    expected = "no filter but the cluster's own"
    firewall = network.firewall
    if firewall.drops:
        return warn(
            expected,
            f"packets are dropped unless a rule takes them: {shown(firewall.drops)}",
            "Accept the networks of the nodes and of the pods, or drop by the network's own "
            "firewall; Kubernetes' rules do not undo yours.",
        )
    if firewall.managers:
        return warn(
            expected,
            f"{shown(firewall.managers)} runs",
            "Turn it off: it takes Kubernetes' rules away when it loads its own.",
        )
    if not firewall.asked:
        return ok(expected, "neither nft nor iptables is there")
    return ok(expected, "none")


def judge_reach(subject: Subject) -> Finding | None:
    """Judge whether the other nodes are reached, of those that are up at all."""
    network = subject.facts.network
    others = [name for name in subject.cluster.facts if name != subject.node.name]
    if network is None or not others:
        return None
    expected = f"answers from {len(others)} other node(s), on every port of the cluster"
    lost = [
        f"{each.peer} port {each.port}: {each.why}"
        for each in network.unreached
        if each.peer in others
    ]
    if not lost:
        return ok(expected, "all answered")
    return fail(
        expected,
        shown(lost),
        "Look for a filter on either node and between; a closed port answers as well.",
    )


def judge_tunnel(subject: Subject) -> Finding | None:
    """Judge whether datagrams between pods would arrive, where the tunnel is not there yet."""
    network = subject.facts.network
    site = subject.cluster.site.metadata.name
    others = [
        name
        for name, facts in subject.cluster.facts.items()
        if name != subject.node.name and facts.leftovers and facts.leftovers.site != site
    ]
    ports = {tunnel(node, subject.cluster.options) for node in subject.cluster.site.nodes} - {0}
    if network is None or not others or not ports or subject.known or not subject.runs_kubelet:
        return None
    expected = f"datagrams to UDP port {max(ports)} of the other nodes to come back refused"
    lost = [name for name in network.silent if name in others]
    if not lost:
        return ok(expected, "all did")
    return warn(
        expected,
        f"nothing came back from {shown(lost)}",
        "Accept this port between the nodes: pods of different nodes meet by it. If their filters "
        "keep refusals back, and only those, nothing is wrong.",
    )


JUDGEMENTS: Final = (
    Judgement("address", "Has it its own address?", "network", judge_address),
    Judgement("unique-mac", "Has no other node its MAC address?", "network", judge_mac),
    Judgement("mtu", "Do packets of full size pass?", "network", judge_mtu),
    Judgement("networks", "Are the cluster's networks free?", "network", judge_overlap),
    Judgement("ports", "Are the cluster's ports free?", "network", judge_ports),
    Judgement("firewall", "Does a filter drop packets?", "network", judge_firewall),
    Judgement("reach-nodes", "Does it reach the other nodes?", "network", judge_reach),
    Judgement("reach-tunnel", "Would packets between pods arrive?", "network", judge_tunnel),
)
