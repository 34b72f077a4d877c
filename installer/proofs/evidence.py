"""What a proof is, and what it may look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bundle.model.finding import Finding, failed, proven
from installer.core.step import Context
from installer.kube.api_client import Place
from installer.kube.kubectl import Kubectl
from installer.preflight.question import Machine
from installer.site.document import Node, Site

T = TypeVar("T")

PAUSE_SECONDS: Final = 2.0
PROOF_LABEL: Final = "isoward/proof"
"""On everything that a proof makes and that outlives one request."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a proof may look at.

    Attributes:
        context: Of the installation.
        kubectl: On the first control-plane node.
        machine: Opens a node, once.
        namespace: Ours alone, for this run; it goes afterwards.
        token: Unlike any other run's, of letters and digits; names of what is made end with it.
        etcdctl: The program with its credentials; `{node}` stands for the node's name.
        audit_log: Path of the audit log on a control-plane node.
        places: Where API servers are asked from this machine; the first one must answer.
        sleep: Waits, in seconds.
        tries: How often is asked for what takes a while, such as an image that is pulled.
    """

    context: Context
    kubectl: Kubectl
    machine: Callable[[Node], Machine]
    namespace: str
    token: str
    etcdctl: Sequence[str]
    audit_log: str
    places: Sequence[Place]
    sleep: Callable[[float], None] = time.sleep
    tries: int = 90

    @property
    def site(self) -> Site:
        """The site."""
        return self.context.site

    def until(self, ask: Callable[[], T | None], tries: int | None = None) -> T | None:
        """Ask until there is an answer; nothing when there never was one."""
        for attempt in range(tries or self.tries):
            if attempt:
                self.sleep(PAUSE_SECONDS)
            if (answer := ask()) is not None:
                return answer
        return None


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof.

    Attributes:
        id: Stable, for machines.
        proves: What holds when it succeeds, for a person.
        controls: The paragraphs of 45 CFR that it is evidence for.
        ask: Finds it out, and takes away what it made.
    """

    id: str
    proves: str
    controls: tuple[str, ...]
    ask: Callable[[Bench], Finding]

    def data(self, finding: Finding) -> dict[str, Any]:
        """Return what it found as plain data."""
        return {**finding.data("proves"), "controls": list(self.controls)}


def judged(expected: str, troubles: Sequence[str], good: str, advice: str) -> Finding:
    """Say that it holds unless there are troubles."""
    return failed(expected, "; ".join(troubles), advice) if troubles else proven(expected, good)
