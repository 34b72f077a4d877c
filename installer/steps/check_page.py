"""The answers of a site's machines as one page that needs nothing else, for a screen or paper."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from bundle.model.finding import Finding, Verdict
from installer.kubespray.inventory import render_html
from installer.preflight.answers import Report

_TEMPLATE: Final = "preflight.html.j2"


def render_page(site: str, report: Report, when: datetime) -> str:
    """Return the page.

    Args:
        site: Its name.
        report: What was answered; nodes may have said anything, and all of it is escaped.
        when: When they were asked, UTC.
    """
    marked: list[dict[str, Any]] = [
        {
            "name": node.node,
            "address": node.address,
            "answers": [_marked(answer) for answer in node.answers],
        }
        for node in report.nodes
    ]
    todo = [
        (node["name"], answer)
        for mark in ("fail", "warn")
        for node in marked
        for answer in node["answers"]
        if answer["mark"] == mark
    ]
    answers = [answer["mark"] for node in marked for answer in node["answers"]]
    return render_html(
        _TEMPLATE,
        site=site,
        when=f"{when:%Y-%m-%d %H:%M}",
        ready="fail" not in answers,
        counts=[(mark, answers.count(mark)) for mark in ("ok", "warn", "fail")],
        nodes=marked,
        todo=todo,
    )


def _marked(answer: Finding) -> dict[str, Any]:
    mark = Verdict.WARN if answer.verdict is Verdict.NEED else answer.verdict
    return {**answer.data("asked"), "mark": mark.value}
