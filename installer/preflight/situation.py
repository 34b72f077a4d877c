"""A site that becomes a cluster: facts of all nodes side by side, judged when all are known."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bundle.base.plain import visible
from bundle.model.finding import Finding
from installer.preflight.facts import Facts
from installer.preflight.question import Wanted
from installer.site.cluster_part import Kubernetes
from installer.site.document import Node, Site

MOST_SHOWN = 300
"""Characters of what a node said that an answer shows."""


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a node's clock is from the installer's, in seconds; positive is ahead.

    Attributes:
        seconds: Measured halfway through the question.
        unsure: Half of the time that the question took.
        trouble: Why it is not known; empty when it is.
    """

    seconds: float
    unsure: float
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """All that is known of a site.

    Attributes:
        site: The nodes, and what they are to be.
        wanted: What the installation is about to do.
        facts: By node, of those that could be asked.
        offsets: Of their clocks, by node.
    """

    site: Site
    wanted: Wanted
    facts: Mapping[str, Facts] = field(default_factory=dict)
    offsets: Mapping[str, Offset] = field(default_factory=dict)

    @property
    def options(self) -> Kubernetes:
        """The options of the cluster."""
        return self.site.kubernetes or Kubernetes(version="1.0.0", network_plugin="")

    @property
    def usual_offset(self) -> float:
        """The middle of all clocks, the installer's among them."""
        known = [offset.seconds for offset in self.offsets.values() if not offset.trouble]
        return statistics.median([0.0, *known])


@dataclass(frozen=True, slots=True)
class Subject:
    """One node, to be judged.

    Attributes:
        node: As the site file has it.
        facts: What it said.
        cluster: What is known of all others.
    """

    node: Node
    facts: Facts
    cluster: Cluster

    @property
    def known(self) -> bool:
        """Whether this site has been installed on it before, or was begun to be."""
        left = self.facts.leftovers
        return left is not None and left.site == self.cluster.site.metadata.name

    @property
    def runs_kubelet(self) -> bool:
        """Whether it becomes a node of the cluster, and not only a member of etcd."""
        return not {"control-plane", "worker"}.isdisjoint(self.node.roles)


@dataclass(frozen=True, slots=True)
class Judgement:
    """One question that facts answer.

    Attributes:
        id: Stable, for machines.
        asked: For a person.
        part: The part of the facts that it needs; empty for none.
        judge: Gives the answer; None when it is not a question for this node.
    """

    id: str
    asked: str
    part: str
    judge: Callable[[Subject], Finding | None]


def shown(parts: object) -> str:
    """Return what a node said as one short line; it may be anything."""
    text = ", ".join(str(part) for part in parts) if isinstance(parts, list) else str(parts)
    text = visible(text[: MOST_SHOWN + 1])
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
