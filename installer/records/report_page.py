"""The report of an installation as one page that needs nothing else, for a screen or paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from installer.kubespray.inventory import render_html
from installer.records.expected import duration

_TEMPLATE: Final = "report.html.j2"
_MAX_FIGURE: Final = 60
_MARKS: Final = {"proven": "ok", "not proven": "warn", "failed": "fail"}
_ANSWERS: Final = {"ok": "ok", "warn": "warn", "fail": "fail"}
_GIB: Final = 2**30


def render_report(data: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        data: As `report_data` makes it; all of it is escaped, for nodes and pods said parts of it.
    """
    proofs = [proof | {"mark": _MARKS.get(proof["verdict"], "fail")} for proof in data["proofs"]]
    return render_html(
        _TEMPLATE,
        report=data,
        proofs=proofs,
        counts=[(word, _count(proofs, mark)) for word, mark in _MARKS.items()],
        whole=bool(proofs) and _count(proofs, "ok") == len(proofs),
        size=f"{data['bundle']['size'] / _GIB:.1f} GiB",
        total=duration(data["seconds"]),
        steps=[
            step | {"took": duration(step["seconds"]), "figures": figures(step["result"])}
            for step in data["steps"]
        ],
        answers=_answers(data["preflight"].get("nodes") or ()),
    )


def figures(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a step says of itself as far as it fits a line: short values, sizes of lists."""
    found = []
    for key, value in sorted(result.items()):
        if isinstance(value, bool | int | float):
            found.append((key, f"{value:g}" if isinstance(value, float) else str(value)))
        elif isinstance(value, str) and 0 < len(value) <= _MAX_FIGURE:
            found.append((key, value))
        elif isinstance(value, list | dict) and value:
            found.append((key, str(len(value))))
    return found


def _count(items: Sequence[Mapping[str, Any]], mark: str) -> int:
    return sum(item["mark"] == mark for item in items)


def _answers(nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return how often each node gave which answer, and those that were not ok."""
    rows = []
    for node in nodes:
        marked = [
            answer | {"mark": _ANSWERS.get(answer["verdict"], "warn")} for answer in node["answers"]
        ]
        rows.append(
            {
                "node": node["node"],
                "counts": {mark: _count(marked, mark) for mark in ("ok", "warn", "fail")},
                "open": [answer for answer in marked if answer["mark"] != "ok"],
            }
        )
    return rows
