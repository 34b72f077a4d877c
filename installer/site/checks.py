"""What is wrong with a site beyond its structure: contradictions, each by its field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bundle.base.errors import DefinitionError
from bundle.base.paths import is_inner_path
from bundle.base.problem import Problem
from bundle.base.reference import parse_reference
from installer.base.networks import address_of, name_problem, same_machine
from installer.site.cluster_checks import cluster_problems
from installer.site.cluster_part import ZONE_LABEL, Zone
from installer.site.document import Site
from installer.site.network_checks import network_problems

_OURS: Final = ZONE_LABEL.partition("/")[0]
_GROUP_NAMES: Final = ("all", "bastion", "etcd", "localhost", "ungrouped")
"""Names that mean something else in an inventory, of Ansible's or of Kubespray's."""
_KUBERNETES: Final = ("kubernetes.io", "k8s.io")
"""Domains below which keys of labels and taints are Kubernetes' own."""


def site_problems(site: Site) -> Iterator[Problem]:
    """Yield everything that is wrong with a site, by field."""
    yield from _depots(site)
    yield from _zones(site.all_zones)
    yield from _nodes(site)
    yield from network_problems(site)
    yield from cluster_problems(site)
    yield from _first_image(site)
    yield from _servers(site)
    if site.secrets is not None and not is_inner_path(site.secrets):
        yield Problem(
            "secrets",
            f"expected the name of a file beside this one, found {site.secrets[:100]!r}",
            "Write it as secrets.sops.yaml, relative, without '..'.",
        )


def _first_image(site: Site) -> Iterator[Problem]:
    field = "firstImage.reference"
    if site.first_image is not None:
        try:
            parse_reference(site.first_image.reference, field)
        except DefinitionError as error:
            yield Problem(field, error.message.removeprefix(f"{field}: "), error.hint)
    elif site.kubernetes is None:
        yield Problem(
            "firstImage",
            "expected an image of the bundle to run on every node, found none",
            "Name one; only a site with kubernetes: does not need one.",
        )


def _servers(site: Site) -> Iterator[Problem]:
    for field, servers in (("timeServers", site.time_servers), ("dnsServers", site.dns_servers)):
        texts = [str(address_of(text) or text) for text in servers]
        yield from _unique(texts, f"{field}[{{}}]", "server")
    nodes = {node.name: node.address for node in site.nodes}
    for name, text in site.names.items():
        path, problem = f"names.{name}", name_problem(name)
        if problem:
            yield Problem(path, problem, "Write it as api.hospital.example.")
        elif name in nodes and not same_machine(nodes[name], text):
            yield Problem(
                path,
                f"expected {nodes[name]}, the address of the node {name}, found {text}",
                "Leave it out: every node knows the names of all nodes.",
            )


def _depots(site: Site) -> Iterator[Problem]:
    second = site.second_depot
    if (
        second is not None
        and same_machine(site.depot.address, second.address)
        and site.depot.port == second.port
    ):
        yield Problem(
            "secondDepot",
            f"expected another depot, found {site.depot.address!r} again",
            "Name the other machine, or leave secondDepot out.",
        )


def _zones(zones: Sequence[Zone]) -> Iterator[Problem]:
    yield from _unique([zone.name for zone in zones], "zones[{}]", "zone")
    for i, zone in enumerate(zones):
        for key in zone.labels:
            yield from _key(key, f"zones[{i}].labels", "labels")
        for k, taint in enumerate(zone.taints):
            yield from _key(taint.key, f"zones[{i}].taints[{k}].key", "a key")
        marks = [f"{taint.key}:{taint.effect}" for taint in zone.taints]
        yield from _unique(marks, f"zones[{i}].taints[{{}}]", "taint")


def _key(key: str, path: str, what: str) -> Iterator[Problem]:
    """Yield a key whose prefix is not the site's to use."""
    prefix, slash, _ = key.partition("/")
    theirs = any(prefix == domain or prefix.endswith(f".{domain}") for domain in _KUBERNETES)
    if slash and (theirs or prefix == _OURS):
        yield Problem(
            path,
            f"expected {what} of your own, found {key!r}",
            f"Those below {_OURS}/ are set by isoward itself, those below "
            f"{' and '.join(_KUBERNETES)} by Kubernetes; use your own domain before the '/'.",
        )


def _nodes(site: Site) -> Iterator[Problem]:
    nodes = site.nodes
    yield from _unique([node.name for node in nodes], "nodes[{}].name", "name")
    places = [
        f"{address_of(node.address) or node.address}:{node.port or site.ssh.port}" for node in nodes
    ]
    yield from _unique(places, "nodes[{}].address", "address")
    yield from _unique([node.host_key for node in nodes], "nodes[{}].hostKey", "hostKey")
    known = [zone.name for zone in site.all_zones]
    for i, node in enumerate(nodes):
        if name_problem(node.name) or node.name in _GROUP_NAMES:
            yield Problem(
                f"nodes[{i}].name",
                f"expected a name that a node can have, found {node.name!r}",
                "Take letters, digits and dashes, in parts between single dots, the last one no "
                f"number, and none of {', '.join(_GROUP_NAMES)}.",
            )
        yield from _unique(list(node.roles), f"nodes[{i}].roles[{{}}]", "role")
        if node.zone not in known:
            yield Problem(
                f"nodes[{i}].zone",
                f"expected one of {', '.join(known)}, found {node.zone!r}",
                "Name the zone under zones: or correct the node.",
            )


def _unique(values: Sequence[str], path: str, what: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for i, value in enumerate(values):
        if value in first:
            other = path.format(first[value])
            yield Problem(
                path.format(i),
                f"duplicate {what} {value[:80]!r}, first at {other}",
                "Each must be different.",
            )
        first.setdefault(value, i)
