"""Answers: what was asked of a machine, what was expected, what was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What an answer means for the installation."""

    OK = "ok"
    WARN = "warn"
    NEED = "would need"
    """A failure in a rehearsal on this machine, where nothing is going to be changed."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one question found out."""

    expected: str
    found: str
    verdict: Verdict
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A finding with its question.

    Attributes:
        id: Stable, for machines.
        asked: For a person.
    """

    id: str
    asked: str
    expected: str
    found: str
    verdict: Verdict
    advice: str = ""


@dataclass(frozen=True, slots=True)
class NodeAnswers:
    """All answers of one node; only the first one when it could not be reached."""

    node: str
    address: str
    reachable: bool
    answers: tuple[Answer, ...]

    @property
    def failed(self) -> tuple[Answer, ...]:
        """The answers that forbid the installation."""
        return tuple(answer for answer in self.answers if answer.verdict is Verdict.FAIL)


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
                "answers": [asdict(answer) for answer in node.answers],
            }
            for node in self.nodes
        ]


def _as_need(answer: Answer) -> Answer:
    return replace(answer, verdict=Verdict.NEED) if answer.verdict is Verdict.FAIL else answer


def ok(expected: str, found: str) -> Finding:
    """Say that it is as it should be."""
    return Finding(expected, found, Verdict.OK)


def warn(expected: str, found: str, advice: str) -> Finding:
    """Say that the installation may go on, but somebody should know."""
    return Finding(expected, found, Verdict.WARN, advice)


def fail(expected: str, found: str, advice: str) -> Finding:
    """Say that the installation may not go on."""
    return Finding(expected, found, Verdict.FAIL, advice)
