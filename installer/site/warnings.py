"""What a person should look at in a site that is right in itself."""

from __future__ import annotations

from collections.abc import Iterator

from bundle.base.problem import Problem
from installer.base.networks import address_of, is_documentation
from installer.site.cluster_part import REPELS
from installer.site.document import Site
from installer.site.network_checks import issuer_host, machines


def site_warnings(site: Site) -> Iterator[Problem]:
    """Yield what may be meant, and may be forgotten."""
    yield from _examples(site)
    if site.kubernetes is None:
        return
    yield from _idle_zones(site)
    yield from _tainted_workers(site)
    yield from _unknown_names(site)


def _examples(site: Site) -> Iterator[Problem]:
    for path, text in machines(site):
        if is_documentation(text):
            yield Problem(
                path,
                f"{text} is in a range reserved for documentation, which no network uses",
                "Write the machine's real address.",
            )


def _idle_zones(site: Site) -> Iterator[Problem]:
    used = {node.zone for node in site.nodes if "worker" in node.roles}
    for i, zone in enumerate(site.all_zones):
        if zone.name not in used:
            yield Problem(
                f"zones[{i}]",
                f"the zone {zone.name!r} has no worker, so its workloads have nowhere to run",
                "Add a node to it, or leave the zone out until there is one.",
            )


def _tainted_workers(site: Site) -> Iterator[Problem]:
    tainted = {
        zone.name for zone in site.all_zones if any(taint.effect in REPELS for taint in zone.taints)
    }
    workers = site.nodes_with("worker")
    if workers and all(node.zone in tainted for node in workers):
        yield Problem(
            "zones",
            "every worker is tainted, so pods without tolerations have nowhere to run",
            "Leave the taints out of one zone, for services of the cluster as a whole.",
        )


def _unknown_names(site: Site) -> Iterator[Problem]:
    """Yield names that nodes must resolve, where the file says nothing that would."""
    options = site.kubernetes
    fields = [("depot.address", site.depot.address)]
    if site.second_depot is not None:
        fields.append(("secondDepot.address", site.second_depot.address))
    if options is not None and options.control_plane is not None:
        fields.append(("kubernetes.controlPlane.address", options.control_plane.address))
    if options is not None and options.oidc is not None:
        fields.append(("kubernetes.oidc.issuer", issuer_host(options.oidc.issuer)))
    fields += [(f"timeServers[{i}]", text) for i, text in enumerate(site.time_servers)]
    for path, text in fields:
        if address_of(text) is None and text not in site.names:
            yield Problem(
                path,
                f"nodes must know the address of {text}, and it is not under names:",
                f"Write names: {{{text}: its address}}, or see to it that the DNS servers in the "
                "nodes' resolv.conf know it.",
            )
