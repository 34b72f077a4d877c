"""The answers as a table that a person can read."""

from __future__ import annotations

from installer.preflight.answers import Report, Verdict

_MARKS = {
    Verdict.OK: "ok  ",
    Verdict.WARN: "WARN",
    Verdict.NEED: "need",
    Verdict.FAIL: "FAIL",
}


def table(report: Report) -> str:
    """Return the report, a line for each answer; what is not ok also has what to do."""
    answers = [answer for node in report.nodes for answer in node.answers]
    width = max((len(answer.id) for answer in answers), default=0)
    lines = []
    for node in report.nodes:
        lines.append(f"{node.node} ({node.address})")
        for answer in node.answers:
            lines.append(f"  {_MARKS[answer.verdict]}  {answer.id:<{width}}  {answer.found}")
            if answer.verdict is not Verdict.OK:
                indent = " " * (10 + width)
                lines.append(f"{indent}expected: {answer.expected}")
                lines.append(f"{indent}{answer.advice}")
    counts = [f"{report.count(v)} {v.value}" for v in Verdict if report.count(v)]
    return "\n".join([*lines, ", ".join(counts)])
