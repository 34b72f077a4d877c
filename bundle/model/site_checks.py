"""What is wrong with a site beyond its structure: contradictions, each by its field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bundle.model.errors import DefinitionError
from bundle.model.networks import address_of
from bundle.model.paths import is_inner_path
from bundle.model.problems import Problem
from bundle.model.reference import is_host, parse_reference
from bundle.model.site import Site
from bundle.model.site_cluster import PINNING_LABEL, ZONE_LABEL, Zone
from bundle.model.site_cluster_checks import cluster_problems, network_problems

_OURS: Final = ZONE_LABEL.partition("/")[0] + "/"
_NOT_THEIRS: Final = (_OURS, PINNING_LABEL, "kubernetes.io/")


def check_site(site: Site) -> None:
    """Check what the structure alone cannot say.

    Raises:
        DefinitionError: For the first thing that is wrong.
    """
    for problem in site_problems(site):
        raise DefinitionError(problem.text, problem.hint)


def site_problems(site: Site) -> Iterator[Problem]:
    """Yield everything that is wrong with a site, by field."""
    yield from _depots(site)
    yield from _zones(site.all_zones)
    yield from _nodes(site)
    yield from network_problems(site)
    yield from cluster_problems(site)
    field = "firstImage.reference"
    try:
        parse_reference(site.first_image.reference, field)
    except DefinitionError as error:
        yield Problem(field, error.message.removeprefix(f"{field}: "), error.hint)
    if site.secrets is not None and not is_inner_path(site.secrets):
        yield Problem(
            "secrets",
            f"expected the name of a file beside this one, found {site.secrets[:100]!r}",
            "Write it as secrets.sops.yaml, relative, without '..'.",
        )


def _depots(site: Site) -> Iterator[Problem]:
    for field, depot in zip(("depot", "secondDepot"), site.depots, strict=False):
        yield from _address(depot.address, f"{field}.address")
    if site.depot == site.second_depot:
        yield Problem(
            "secondDepot",
            f"expected another depot, found {site.depot.address!r} again",
            "Name the other machine, or leave secondDepot out.",
        )


def _zones(zones: Sequence[Zone]) -> Iterator[Problem]:
    yield from _unique([zone.name for zone in zones], "zones[{}]", "zone")
    for i, zone in enumerate(zones):
        for key in zone.labels:
            if key.startswith(_NOT_THEIRS):
                yield Problem(
                    f"zones[{i}].labels",
                    f"expected labels of your own, found {key!r}",
                    f"Labels below {_OURS} are set by isoward itself, those below kubernetes.io/ "
                    "by Kubernetes.",
                )
        marks = [f"{taint.key}:{taint.effect}" for taint in zone.taints]
        yield from _unique(marks, f"zones[{i}].taints[{{}}]", "taint")


def _nodes(site: Site) -> Iterator[Problem]:
    nodes = site.nodes
    yield from _unique([node.name for node in nodes], "nodes[{}].name", "name")
    places = [f"{node.address}:{node.port or site.ssh.port}" for node in nodes]
    yield from _unique(places, "nodes[{}].address", "address")
    yield from _unique([node.host_key for node in nodes], "nodes[{}].hostKey", "hostKey")
    known = [zone.name for zone in site.all_zones]
    for i, node in enumerate(nodes):
        yield from _address(node.address, f"nodes[{i}].address")
        yield from _unique(list(node.roles), f"nodes[{i}].roles[{{}}]", "role")
        if node.zone not in known:
            yield Problem(
                f"nodes[{i}].zone",
                f"expected one of {', '.join(known)}, found {node.zone!r}",
                "Name the zone under zones: or correct the node.",
            )


def _address(text: str, path: str) -> Iterator[Problem]:
    if address_of(text) is not None:
        return
    # A last label of digits alone is a mistyped address, not a name (RFC 3696, section 2).
    if not is_host(text) or ":" in text or text.rpartition(".")[2].isdigit():
        yield Problem(
            path,
            f"expected an IP address or a host name, found {text[:100]!r}",
            "Write it as 10.0.0.11 or node1.hospital.example.",
        )


def _unique(values: Sequence[str], path: str, what: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for i, value in enumerate(values):
        if value in first:
            other = path.format(first[value])
            yield Problem(
                path.format(i),
                f"{what} {value[:80]!r} stands twice, first at {other}",
                "Each one must be different.",
            )
        first.setdefault(value, i)
