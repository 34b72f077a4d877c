"""The labels and taints of a node: what the site wants, what is there, and which are ours.

Ours is what we once put there, by a record that the cluster keeps in a ConfigMap of kube-system. It
is not kept on the node's own object, where a kubelet may write: one that was taken over could have
us remove the taint that guards a control plane.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bundle.base.errors import StepError
from installer.kube.kubectl import MANAGED_BY
from installer.site.cluster_part import PINNING_LABEL, ZONE_LABEL
from installer.site.document import Node, Site

RECORD_NAMESPACE: Final = "kube-system"
RECORD_KEY: Final = "marks.json"
_TAINT_FIELDS: Final = ("key", "value", "effect")

TaintParts = tuple[str, str, str]
"""Key, value and effect."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Labels and taints: those that a node shall have, or each one that we ever gave it.

    Attributes:
        labels: Pairs of key and value.
        taints: Each with key, value and effect.
    """

    labels: frozenset[tuple[str, str]] = field(default_factory=frozenset)
    taints: frozenset[TaintParts] = field(default_factory=frozenset)

    def joined(self, other: Marks) -> Marks:
        """Return what either has."""
        return Marks(self.labels | other.labels, self.taints | other.taints)

    def text(self) -> str:
        """Write the record."""
        return json.dumps({"labels": sorted(self.labels), "taints": sorted(self.taints)})


@dataclass(frozen=True, slots=True)
class FoundNode:
    """A node as the cluster has it.

    Attributes:
        version: Its resourceVersion; a change must be of this very one.
        labels: All of them.
        taints: All of them, each with the fields that it has.
    """

    version: str
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, Any]]


def wanted_marks(site: Site, node: Node) -> Marks:
    """Return what a node of a site shall have."""
    zone = next(zone for zone in site.all_zones if zone.name == node.zone)
    labels = {**zone.labels, ZONE_LABEL: zone.name, PINNING_LABEL: zone.name}
    taints = ((taint.key, taint.value, taint.effect) for taint in zone.taints)
    return Marks(frozenset(labels.items()), frozenset(taints))


def record_name(node: str) -> str:
    """Return the name of a node's record."""
    return f"isoward-marks-{node}"


def record_document(node: str, marks: Marks) -> dict[str, Any]:
    """Return a node's record as an object of the cluster."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": record_name(node),
            "namespace": RECORD_NAMESPACE,
            "labels": dict(MANAGED_BY),
        },
        "data": {RECORD_KEY: marks.text()},
    }


def read_record(text: str, node: str) -> Marks:
    """Read a record that `Marks.text` wrote; an empty text is an empty record.

    Raises:
        StepError: It is something else.
    """
    if not text:
        return Marks()
    try:
        data = json.loads(text)
        labels = frozenset((str(key), str(value)) for key, value in data["labels"])
        taints = frozenset((str(k), str(v), str(effect)) for k, v, effect in data["taints"])
    except (ValueError, TypeError, KeyError) as error:
        raise StepError(
            f"{node}: expected the record of our labels and taints in the ConfigMap "
            f"{RECORD_NAMESPACE}/{record_name(node)}, found something else",
            "Delete that ConfigMap: labels and taints of former runs then stay as they are.",
        ) from error
    return Marks(labels, taints)


def node_patch(found: FoundNode, wanted: Marks, record: Marks) -> dict[str, Any] | None:
    """Return the merge patch that brings a node to what is wanted, or nothing when it is there.

    Args:
        found: The node as it is.
        wanted: What the site says.
        record: What we ever gave it; of it goes what the site no longer says. A label or taint
            that somebody has changed since is theirs and stays.
    """
    labels: dict[str, str | None] = {
        key: None for key, value in record.labels if found.labels.get(key) == value
    }
    labels |= dict(wanted.labels)
    labels = {key: value for key, value in labels.items() if found.labels.get(key) != value}
    taints = _taints(found, wanted, record)
    patch: dict[str, Any] = {}
    if labels:
        patch["metadata"] = {"labels": labels}
    if taints != list(found.taints):
        patch["spec"] = {"taints": taints}
    if patch:
        # Whoever else changes the node between is not overruled: the API server refuses then.
        patch.setdefault("metadata", {})["resourceVersion"] = found.version
    return patch or None


def _taints(found: FoundNode, wanted: Marks, record: Marks) -> list[Mapping[str, Any]]:
    """Return all taints, in the order of the node and then ours that are new."""
    places = {(key, effect) for key, _, effect in wanted.taints}
    kept = [
        taint
        for taint in found.taints
        if _parts(taint) in wanted.taints
        or ((taint.get("key"), taint.get("effect")) not in places
            and _parts(taint) not in record.taints)
    ]  # fmt: skip
    there = {_parts(taint) for taint in kept}
    new = [dict(zip(_TAINT_FIELDS, taint, strict=True)) for taint in sorted(wanted.taints - there)]
    return [*kept, *new]


def _parts(taint: Mapping[str, Any]) -> TaintParts:
    return (str(taint.get("key", "")), str(taint.get("value", "")), str(taint.get("effect", "")))


def describe(found: FoundNode, patch: Mapping[str, Any]) -> list[str]:
    """Return what a patch does, one line each."""
    lines = []
    for key, value in sorted(patch["metadata"].get("labels", {}).items()):
        lines.append(f"label {key}={value}" if value is not None else f"no label {key}")
    if "spec" in patch:
        before = {_parts(taint) for taint in found.taints}
        after = {_parts(taint) for taint in patch["spec"]["taints"]}
        lines += [f"taint {taint_text(taint)}" for taint in sorted(after - before)]
        lines += [f"no taint {taint_text(taint)}" for taint in sorted(before - after)]
    return lines


def taint_text(taint: TaintParts) -> str:
    """Write a taint as kubectl does."""
    key, value, effect = taint
    return f"{key}={value}:{effect}" if value else f"{key}:{effect}"
