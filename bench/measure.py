"""Running commands and taking their time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

MIB = 1024 * 1024
ISOWARD = (sys.executable, "-m", "bundle.cli.main")


@dataclass(frozen=True)
class Run:
    """One run of a command: wall time in seconds, largest memory in MiB."""

    seconds: float
    memory: float


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What is measured.
        ours: Of Isoward, in `unit`.
        peer: Of the peer or the limit, in `unit`.
        peer_name: Which.
        unit: `s` or `MiB/s`.
        goal: The ratio ours/peer that is wanted; for seconds at most, for rates at least.
        memory: Largest memory of Isoward in MiB, or None.
    """

    what: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    goal: float
    memory: float | None = None

    @property
    def ratio(self) -> float:
        """Ours by the peer's."""
        return self.ours / self.peer

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.ratio <= self.goal if self.unit == "s" else self.ratio >= self.goal


def run(command: Sequence[str | Path], cwd: Path | None = None) -> Run:
    """Run a command to its end.

    Raises:
        RuntimeError: It failed; the message has what it wrote.
    """
    return _run(command, cwd)[0]


def _run(command: Sequence[str | Path], cwd: Path | None) -> tuple[Run, str]:
    """Run a command to its end and return what it wrote, too."""
    began = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = process.stdout.read().decode(errors="replace")
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    took = time.monotonic() - began
    if process.returncode != 0:
        raise RuntimeError(
            f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said}"
        )
    return Run(took, usage.ru_maxrss / 1024), said


def isoward(*arguments: str | Path) -> Run:
    """Run isoward as a user does."""
    return run([*ISOWARD, *arguments])


def isoward_result(*arguments: str | Path) -> tuple[Run, dict[str, Any]]:
    """Run isoward with --json and return its result, too."""
    took, said = _run([*ISOWARD, *arguments, "--json"], None)
    result: dict[str, Any] = json.loads(said[said.index("{") :])
    return took, result


def alternate(
    rounds: int, ours: Callable[[int], Run], peer: Callable[[int], Run]
) -> tuple[Run, Run]:
    """Measure both in turn, so that both meet the same machine; return the medians."""
    mine, theirs = [], []
    for i in range(rounds):
        # Writes of one must not be paid by the other.
        os.sync()
        theirs.append(peer(i))
        os.sync()
        mine.append(ours(i))
    return median_of(mine), median_of(theirs)


def median_of(runs: Sequence[Run]) -> Run:
    """Return the median time, and the largest memory."""
    return Run(median(r.seconds for r in runs), max(r.memory for r in runs))
