"""Answers: what each node of a site was asked, what was expected and what was found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bundle.model.finding import Finding, Verdict


@dataclass(frozen=True, slots=True)
class NodeAnswers:
    """All answers of one node; only the first one when it could not be reached."""

    node: str
    address: str
    reachable: bool
    answers: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The answers that forbid the installation."""
        return tuple(answer for answer in self.answers if answer.verdict.blocks)


@dataclass(frozen=True, slots=True)
class Report:
    """All answers of a site, in the order of its nodes."""

    nodes: tuple[NodeAnswers, ...]

    def count(self, verdict: Verdict) -> int:
        """Count the answers with a verdict."""
        return sum(a.verdict is verdict for node in self.nodes for a in node.answers)

    def rehearsed(self) -> Report:
        """Tell every failure as a need, for a rehearsal on this machine."""
        return Report(
            tuple(
                replace(node, answers=tuple(_as_need(answer) for answer in node.answers))
                for node in self.nodes
            )
        )

    def data(self) -> list[dict[str, Any]]:
        """Return plain data, for `--json` and for the receipt."""
        return [
            {
                "node": node.node,
                "address": node.address,
                "reachable": node.reachable,
                "answers": [answer.data("asked") for answer in node.answers],
            }
            for node in self.nodes
        ]


def _as_need(answer: Finding) -> Finding:
    return replace(answer, verdict=Verdict.NEED) if answer.verdict.blocks else answer
