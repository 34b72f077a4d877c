"""The report: a section for each part, of which those are written anew that were measured."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_HEAD = """\
# Benchmarks

Made by `make bench`, on one machine in one run for each section; `isoward` runs as a user runs it.
"""
_QUIET = 0.5
"""The load average of a machine on which nothing else runs, at most."""


@dataclass(frozen=True)
class Section:
    """One part of the report.

    Attributes:
        heading: Its name.
        text: In Markdown.
        missed: Which goals were not met, and by what.
    """

    heading: str
    text: str
    missed: tuple[str, ...] = ()


class Stamp:
    """When and where it was measured; made first, for it looks at the load of the others alone."""

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]

    def __str__(self) -> str:
        """Say it in one sentence."""
        shared = (
            f"\nThe machine was shared: load average {self._load:.1f} before the first measurement."
        )
        return (
            f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, "
            f"{platform.system()}, Python {platform.python_version()}."
            f"{shared if self._load > _QUIET else ''}"
        )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write(report: Path, sections: Iterable[Section]) -> None:
    """Put sections into the report, in the place of older ones of the same name."""
    old = report.read_text(encoding="utf-8") if report.exists() else ""
    kept = dict(re.findall(r"^## (.+)\n\n((?:(?!^## ).*\n?)*)", old, re.MULTILINE))
    kept |= {section.heading: section.text for section in sections}
    parts = [f"## {heading}\n\n{text.strip()}\n" for heading, text in kept.items()]
    report.write_text("\n".join([_HEAD, *parts]), encoding="utf-8")
