"""The step `zones`: nodes bear the marks of their zone, and nothing leads from zone to zone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bundle.base.canonical import canonical_digest
from bundle.base.errors import StepError
from installer.core.step import Change, Context
from installer.kube.kubectl import (
    KUBECTL,
    MANAGED_BY,
    OURS,
    Kubectl,
    complaint,
    first_control_plane,
    machine_of,
)
from installer.kube.zone_manifests import Document, key_of, zone_documents
from installer.kube.zone_marks import (
    RECORD_KEY,
    RECORD_NAMESPACE,
    FoundNode,
    Marks,
    describe,
    node_patch,
    read_record,
    record_document,
    record_name,
    taint_text,
    wanted_marks,
)
from installer.kubespray.settings import cluster_options
from installer.site.cluster_part import ZONE_LABEL
from installer.site.document import Node, Site

_TRIES: Final = 5
"""How often a node is asked again because somebody else changed it in between."""

_CONFLICT: Final = "the object has been modified"
# What a namespace has of its own accord is not among these, but for one ConfigMap.
_WORKLOADS: Final = (
    "pods,persistentvolumeclaims,services,secrets,configmaps,deployments.apps,statefulsets.apps,"
    "daemonsets.apps,replicasets.apps,jobs.batch,cronjobs.batch"
)
_OWN_ACCORD: Final = "kube-root-ca.crt"


class ZonesStep:
    """Marks nodes, and makes each zone's namespace with its policies."""

    name = "zones"
    title = "Separate the zones"

    def __init__(self, *, kubectl: Sequence[str] = KUBECTL) -> None:
        """Use kubectl with these credentials, on the first control-plane node."""
        self._kubectl = kubectl

    def changes(self, context: Context) -> Sequence[Change]:
        """Say which marks and which objects there will be."""
        site = context.site
        changes = [Change(node.name, _marks_text(site, node)) for node in site.nodes]
        where = first_control_plane(site).name
        for zone in site.all_zones:
            open_to = ", ".join(egress.to for egress in zone.egress) or "nothing"
            changes.append(
                Change(
                    where,
                    f"makes the namespace {zone.name}, closed except for DNS, itself and {open_to}",
                )
            )
        return changes

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return the marks of each node, and the digest of all objects."""
        site = context.site
        return {
            "documents": canonical_digest(zone_documents(site, cluster_options(site))),
            "marks": {node.name: wanted_marks(site, node).text() for node in site.nodes},
        }

    def run(self, context: Context) -> Mapping[str, Any]:
        """Mark the nodes first: a namespace's pods are placed by the marks.

        Raises:
            UnreachableError: The first control-plane node does not answer.
            StepError: The cluster lacks a node, or refuses an object.
        """
        site = context.site
        node = first_control_plane(site)
        with context.connect(node) as shell:
            kubectl = Kubectl(node.name, machine_of(shell), self._kubectl)
            marked = mark_nodes(kubectl, site)
            documents = zone_documents(site, cluster_options(site))
            _require_ours(kubectl, site)
            kubectl.apply(documents, "-o", "name")
            removed, left = _prune(kubectl, site, documents)
        for name, lines in marked.items():
            context.progress.note(f"{name}: {', '.join(lines) or 'marked already'}")
        for name in left:
            context.progress.note(
                f"the namespace {name} of a former zone is not empty, so it stays, closed as before"
            )
        return {
            "marked": marked,
            "objects": [f"{document['kind']} {key_of(document)}" for document in documents],
            "removed": removed,
            "leftBehind": left,
        }


def mark_nodes(kubectl: Kubectl, site: Site) -> dict[str, list[str]]:
    """Bring labels and taints of every node to what the site says; return what was changed.

    Raises:
        StepError: The cluster lacks a node, or somebody changes it all the time.
    """
    wanted = {node.name: wanted_marks(site, node) for node in site.nodes}
    records = {name: _record(kubectl, name) for name in wanted}
    # Before any node: stopped anywhere, what we gave it is known to be ours.
    joined = {name: records[name].joined(marks) for name, marks in wanted.items()}
    _write_records(kubectl, joined)
    done = {name: _mark(kubectl, name, wanted[name], joined[name]) for name in wanted}
    _write_records(kubectl, wanted)
    return done


def find_node(kubectl: Kubectl, name: str) -> FoundNode:
    """Return a node as the cluster has it.

    Raises:
        StepError: The cluster lacks it.
    """
    paths = (".metadata.resourceVersion", ".metadata.labels", ".spec.taints")
    values = kubectl.values("node", name, *paths)
    if not values:
        raise StepError(
            f"{name}: expected a node of the cluster, found none of that name",
            "Did the step `cluster` finish for it? `kubectl get nodes` shows who joined.",
            {"node": name},
        )
    return FoundNode(str(values[0]), values[1] or {}, values[2] or [])


def _mark(kubectl: Kubectl, name: str, wanted: Marks, record: Marks) -> list[str]:
    for _ in range(_TRIES):
        found = find_node(kubectl, name)
        patch = node_patch(found, wanted, record)
        if patch is None:
            return []
        text = json.dumps(patch)
        result = kubectl.ask("patch", "node", name, "--type=merge", "-p", text, "-o", "name")
        if result.code == 0:
            return describe(found, patch)
        if _CONFLICT not in result.err:
            raise StepError(
                f"{name}: expected to set its labels and taints, found {complaint(result)}",
                "Correct the cause, then run the same command again.",
                {"node": name},
            )
    raise StepError(
        f"{name}: expected to set its labels and taints, found it changed {_TRIES} times meanwhile",
        "Find out who changes the node, then run the same command again.",
        {"node": name},
    )


def _record(kubectl: Kubectl, name: str) -> Marks:
    path = ".data." + RECORD_KEY.replace(".", "\\.")
    values = kubectl.values("configmap", record_name(name), "-n", RECORD_NAMESPACE, ".kind", path)
    if not values:
        return Marks()
    return read_record(json.dumps(values[1]) if values[1] else "", name)


def _write_records(kubectl: Kubectl, records: Mapping[str, Marks]) -> None:
    kubectl.apply([record_document(name, marks) for name, marks in records.items()], "-o", "name")


def _require_ours(kubectl: Kubectl, site: Site) -> None:
    """Refuse to take over a namespace that somebody else made."""
    ((label, value),) = MANAGED_BY.items()
    for zone in site.all_zones:
        values = kubectl.values("namespace", zone.name, ".kind", ".metadata.labels")
        if values and (values[1] or {}).get(label) != value:
            raise StepError(
                f"the namespace {zone.name}: expected none, or ours, found one without the label "
                f"{label}={value}",
                "Rename the zone or the namespace; or label it so, and it becomes the zone's.",
            )


def _prune(
    kubectl: Kubectl, site: Site, documents: Sequence[Document]
) -> tuple[list[str], list[str]]:
    """Remove what is ours and of no zone; return it, and the namespaces that are in use."""
    zones = {zone.name for zone in site.all_zones}
    wanted = {key_of(document) for document in documents}
    removed = []
    for key in kubectl.names("networkpolicies", "--all-namespaces", "-l", OURS):
        namespace, _, name = key.partition("/")
        # Those of a former zone go with its namespace, and not before it.
        if namespace in zones and key not in wanted:
            kubectl.run("delete", "networkpolicy", name, "-n", namespace, "--ignore-not-found")
            removed.append(f"NetworkPolicy {key}")
    left = []
    for key in kubectl.names("namespaces", "-l", f"{OURS},{ZONE_LABEL}"):
        name = key.partition("/")[2]
        if name in zones:
            continue
        if _is_empty(kubectl, name):
            kubectl.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")
            removed.append(f"Namespace /{name}")
        else:
            left.append(name)
    return removed, left


def _is_empty(kubectl: Kubectl, namespace: str) -> bool:
    found = kubectl.names(_WORKLOADS, "-n", namespace)
    return all(key.partition("/")[2] == _OWN_ACCORD for key in found)


def _marks_text(site: Site, node: Node) -> str:
    marks = wanted_marks(site, node)
    labels = ", ".join(f"{key}={value}" for key, value in sorted(marks.labels))
    taints = ", ".join(taint_text(taint) for taint in sorted(marks.taints))
    return f"labels it {labels}" + (f"; taints it {taints}" if taints else "")
