"""How long a step should take: as it last took here, or as it took where it was recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from installer.records.journal import Record

_RECORDED: Final = "recorded.json"
_MINUTE: Final = 60


@dataclass(frozen=True, slots=True)
class Expected:
    """How long a step should take.

    Attributes:
        seconds: Of wall time.
        recorded_here: Whether that is from a run of this depot's sites, or from our own.
    """

    seconds: float
    recorded_here: bool


def expected_time(
    step: str, nodes: int, size: int, histories: Sequence[Sequence[Record]]
) -> Expected | None:
    """Return how long a step should take; nothing where nobody has ever recorded it.

    Args:
        step: Its name.
        nodes: Of the site.
        size: Of the bundle, in bytes.
        histories: Journals of this depot, the site's own first.
    """
    figures = _recorded().get(step)
    for records in histories:
        for record in reversed(records):
            if record.step == step and record.event == "finished":
                more = nodes - _nodes_of(record, nodes)
                grown = more * figures["secondsPerNode"] if figures is not None else 0.0
                return Expected(max(record.seconds + grown, 0.0), recorded_here=True)
    if figures is None:
        return None
    seconds = figures["seconds"] + figures["secondsPerNode"] * nodes
    return Expected(seconds + figures["secondsPerGiB"] * size / 2**30, recorded_here=False)


def _nodes_of(record: Record, otherwise: int) -> int:
    """Return on how many nodes a step ran, where it says so."""
    named = record.result.get("nodes")
    return len(named) if isinstance(named, list | dict) and named else otherwise


def duration(seconds: float) -> str:
    """Return a time as a person reads it, such as `12 min 5 s`."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s" if seconds >= 1 else "less than a second"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < _MINUTE:
        return f"{minutes} min {rest} s"
    return f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def _recorded() -> dict[str, dict[str, float]]:
    text = resources.files(__package__).joinpath(_RECORDED).read_text(encoding="utf-8")
    figures: dict[str, dict[str, float]] = json.loads(text)["steps"]
    return figures
