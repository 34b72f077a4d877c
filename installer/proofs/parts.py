"""Proofs about the cluster's parts: nodes, their marks, the zones' objects, etcd."""

from __future__ import annotations

import json
from typing import Any, Final

from bundle.base.errors import StepError
from bundle.kinds.kubespray import plain_version
from bundle.model.finding import Finding, failed, not_proven, proven
from installer.kube.kubectl import FIELD_MANAGER, as_list, complaint
from installer.kube.zone_manifests import key_of, zone_documents
from installer.kube.zone_marks import Marks, describe, node_patch, wanted_marks
from installer.kubespray.settings import cluster_options
from installer.preflight.shell import Result
from installer.proofs.evidence import Bench, Proof, judged
from installer.site.document import Node
from installer.steps.separate_zones import find_node

_NODE_TRIES: Final = 30
"""A node is not ready for a moment when its network plugin starts again."""

_DIFFERS: Final = 1
"""How `kubectl diff` ends when there is a difference."""

_MAX_LINES: Final = 6
_PRESSURES: Final = ("DiskPressure", "MemoryPressure", "PIDPressure")
"""A node that says so is Ready and yet gets no pod."""


def ask_nodes(bench: Bench) -> Finding:
    """Ask whether every node of the site, and no other, is Ready and of the right version."""
    version = f"v{plain_version(cluster_options(bench.site).version)}"
    names = [node.name for node in bench.site.nodes]
    expected = f"{len(names)} node(s), Ready, with {version}"
    found: list[str] = []

    def ask() -> bool | None:
        known = {key.partition("/")[2] for key in bench.kubectl.names("nodes")}
        found[:] = [f"{name}: {t}" for name in names if (t := _trouble(bench, name, version))]
        found.extend(f"{name}: not in the site file" for name in sorted(known - set(names)))
        return True if not found else None

    bench.until(ask, _NODE_TRIES)
    advice = "`journalctl -u kubelet` on the node says why; kubectl describe node shows conditions."
    return judged(expected, found, ", ".join(names), advice)


def ask_marks(bench: Bench) -> Finding:
    """Ask whether the nodes' labels and taints are those of their zones."""
    troubles: list[str] = []
    for node in bench.site.nodes:
        found = find_node(bench.kubectl, node.name)
        patch = node_patch(found, wanted_marks(bench.site, node), Marks())
        if patch is not None:
            troubles.append(f"{node.name} lacks: {', '.join(describe(found, patch))}")
    advice = "Run `isoward install` with --from zones."
    return judged("the labels and taints of each node's zone", troubles, "all there", advice)


def ask_zones(bench: Bench) -> Finding:
    """Ask whether the zones' namespaces and policies are there, and no others that open them."""
    documents = zone_documents(bench.site, cluster_options(bench.site))
    expected = f"{len(documents)} namespaces and policies, as the site says"
    advice = "Run `isoward install` with --from zones."
    there = {
        *bench.kubectl.names("namespaces"),
        *bench.kubectl.names("networkpolicies", "--all-namespaces"),
    }
    lost = [f"{d['kind']} {key_of(d)}" for d in documents if key_of(d) not in there]
    if lost:
        return failed(expected, f"not there: {', '.join(lost[:_MAX_LINES])}", advice)
    result = bench.kubectl.ask(
        "diff", "--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts", "-f", "-",
        stdin=as_list(documents),
    )  # fmt: skip
    if result.code == _DIFFERS:
        lines = [
            line.strip()
            for line in result.out.splitlines()
            if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
        ]
        shown = "; ".join(lines[:_MAX_LINES]) or complaint(result)
        return failed(expected, f"they differ: {shown}", advice)
    if result.code != 0:
        return failed(expected, complaint(result), advice)
    wanted = {key_of(document) for document in documents}
    foreign = [
        key
        for zone in bench.site.all_zones
        for key in bench.kubectl.names("networkpolicies", "-n", zone.name)
        if key not in wanted
    ]
    if foreign:
        return not_proven(
            expected,
            f"they are there; so are {', '.join(foreign[:_MAX_LINES])}, which may open more",
            "Policies only ever open: write what they allow as the zone's egress, or remove them.",
        )
    return proven(expected, "they are there, and no others")


def ask_etcd(bench: Bench) -> Finding:
    """Ask each member of etcd whether it is healthy, and how many there are."""
    nodes = bench.site.nodes_with("etcd")
    expected = f"{len(nodes)} healthy member(s), without an alarm"
    troubles: list[str] = []
    for node in nodes:
        healthy = etcdctl(bench, node, "endpoint", "health")
        if healthy.code != 0:
            troubles.append(f"{node.name}: {complaint(healthy)}")
    first = nodes[0]
    members = etcdctl(bench, first, "member", "list", "-w", "json")
    count = len(read_json(members, first).get("members") or ())
    if count != len(nodes):
        troubles.append(f"{count} member(s)")
    alarms = etcdctl(bench, first, "alarm", "list")
    if alarms.out.strip() or alarms.code != 0:
        troubles.append(f"{first.name}: {complaint(alarms)}")
    advice = "`journalctl -u etcd` on the node says why."
    return judged(expected, troubles, f"{len(nodes)} healthy", advice)


def etcdctl(bench: Bench, node: Node, *arguments: str) -> Result:
    """Ask etcd on one of its nodes."""
    machine = bench.machine(node)
    command = [part.replace("{node}", node.name) for part in bench.etcdctl]
    return machine.shell.run(*machine.privileged, *command, *arguments)


def read_json(result: Result, node: Node) -> dict[str, Any]:
    """Read what a program on a node printed.

    Raises:
        StepError: It failed, or printed something else.
    """
    try:
        if result.code == 0:
            return dict(json.loads(result.out))
    except (ValueError, TypeError):
        pass
    raise StepError(
        f"{node.name}: expected an answer of etcd as JSON, found {complaint(result)}",
        "Is the node a member of etcd, and was it set up by Kubespray?",
        {"node": node.name},
    )


def _trouble(bench: Bench, name: str, version: str) -> str:
    values = bench.kubectl.values("node", name, ".status.conditions", ".status.nodeInfo")
    if not values:
        return "not in the cluster"
    conditions = {c.get("type"): c.get("status") for c in values[0] or ()}
    if conditions.get("Ready") != "True":
        return "not Ready"
    lacking = [name for name in _PRESSURES if conditions.get(name) == "True"]
    if lacking:
        return ", ".join(lacking)
    found = str((values[1] or {}).get("kubeletVersion", ""))[:40]
    return "" if found == version else f"has {found or 'no version'}"


PROOFS: Final = (
    Proof("nodes", "Every machine is a node of the cluster and ready", (), ask_nodes),
    Proof("etcd", "The cluster's memory is healthy", ("164.308(a)(7)(i)",), ask_etcd),
    Proof("marks", "Every node bears the marks of its zone", ("164.312(a)(1)",), ask_marks),
    Proof("zones", "Every zone is closed as the site says", ("164.312(a)(1)",), ask_zones),
)
