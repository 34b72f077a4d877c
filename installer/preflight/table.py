"""The answers as a table that a person can read."""

from __future__ import annotations

from bundle.model.finding import READINESS, Finding, Verdict
from installer.preflight.answers import Report


def by_question(report: Report) -> list[str]:
    """Return the report, a line for each question: of many nodes, mostly the same is to be said."""
    asked: dict[str, list[tuple[str, Finding]]] = {}
    for node in report.nodes:
        for answer in node.answers:
            asked.setdefault(answer.id, []).append((node.node, answer))
    width = max((len(id_) for id_ in asked), default=0)
    lines = []
    for id_, answers in asked.items():
        for verdict in READINESS:
            given = [(node, answer) for node, answer in answers if answer.verdict is verdict]
            if verdict is Verdict.OK and given:
                lines.append(f"  {_mark(verdict)}  {id_:<{width}}  {_alike(given)}")
            elif given:
                lines += _alarm(f"  {_mark(verdict)}  {id_:<{width}}  ", given)
    counts = [f"{report.count(v)} {v.value}" for v in READINESS if report.count(v)]
    nodes = len(report.nodes)
    return [*lines, f"{nodes} node{'' if nodes == 1 else 's'}: {', '.join(counts)}"]


def _alike(given: list[tuple[str, Finding]]) -> str:
    found = {answer.found for _, answer in given}
    return found.pop() if len(found) == 1 else f"{len(given)} nodes"


def _alarm(head: str, given: list[tuple[str, Finding]]) -> list[str]:
    indent = " " * len(head)
    lines = [f"{indent}{node}: {answer.found}" for node, answer in given]
    lines[0] = head + lines[0].lstrip()
    said = dict.fromkeys((a.expected, a.advice) for _, a in given)
    for expected, advice in said:
        lines += [f"{indent}expected: {expected}", f"{indent}{advice}"]
    return lines


def _mark(verdict: Verdict) -> str:
    return "need" if verdict is Verdict.NEED else f"{verdict.value:<4}"
