"""Following a long run of Ansible: where it is, and how long it should still take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from bundle.base.limits import KIB
from bundle.base.progress import Progress
from installer.ansible_run.events import EventLog

EXPECTED_NAME: Final = "cluster-run.json"
"""In a site's folder: how many tasks the last whole run had, and how long it took."""

_SHIPPED: Final = "cluster_expected.json"
_EVERY_SECONDS: Final = 10.0
_MINUTE: Final = 60
_HOUR: Final = 3600
_RESULTS: Final = frozenset({"runner_on_ok", "runner_on_failed", "runner_on_skipped",
                             "runner_on_unreachable"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run takes, as far as one is known.

    Attributes:
        tasks: How many of them; 0 when nothing is known.
        seconds: Wall time.
    """

    tasks: int = 0
    seconds: float = 0.0

    def data(self) -> dict[str, int]:
        """Return it as plain data."""
        return {"tasks": self.tasks, "seconds": round(self.seconds)}


def expected_of(state: Path) -> Expected:
    """Return what a site's last whole run took, or else what one took that we recorded."""
    try:
        data = (state / EXPECTED_NAME).read_bytes()[:KIB]
    except OSError:
        data = resources.files("installer.records").joinpath(_SHIPPED).read_bytes()
    try:
        return msgspec.json.decode(data, type=Expected)
    except msgspec.DecodeError:
        # Only a bar's length depends on it.
        return Expected()


class PlayLog(EventLog):
    """Says where a run is, now and then, and whatever fails; not a line for each task."""

    def __init__(
        self,
        progress: Progress,
        expected: Expected,
        now: Callable[[], datetime],
        nodes: Sequence[str],
    ) -> None:
        """Expect a run of so many tasks on these nodes."""
        super().__init__(progress)
        self._expected = expected
        self._now = now
        self._nodes = len(nodes)
        self._began = self._said = now()
        self._tasks = 0
        self._play = self._task = ""
        self._done: set[str] = set()
        self._is_shown = False

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take one event, as ansible-runner hands it over."""
        kind = event.get("event", "")
        data: Mapping[str, Any] = event.get("event_data") or {}
        if not self._is_shown:
            self._is_shown = True
            self._progress.start("cluster", self._expected.tasks, "task")
        if kind == "playbook_on_play_start":
            self._play = str(data.get("name", ""))
            self._say()
        elif kind == "playbook_on_task_start":
            self._tasks += 1
            self._task = _name_of(data)
            self._done.clear()
            self._progress.advance(1)
        elif kind in _RESULTS:
            self._done.add(str(data.get("host", "")))
        if (self._now() - self._said).total_seconds() >= _EVERY_SECONDS:
            self._say()
        return super().take(event)

    def end(self) -> None:
        """Say that nothing more comes."""
        if self._is_shown:
            self._progress.finish()

    def as_expected(self) -> Expected:
        """Return what this run took, for the next one."""
        return Expected(self._tasks, (self._now() - self._began).total_seconds())

    def _note_result(self, node: str, task: str, word: str, seconds: float) -> None:
        """Keep quiet: what happens to each task is in the run's log."""

    def _say(self) -> None:
        self._said = self._now()
        took = (self._said - self._began).total_seconds()
        of_all = f" of about {self._expected.tasks}" if self._expected.tasks else ""
        parts = [f"{readable_time(took)}: task {self._tasks}{of_all}, {self._play}"]
        if self._task:
            parts.append(f"{self._task} ({len(self._done)} of {self._nodes} machines)")
        left = self._left(took)
        if left:
            parts.append(f"about {readable_time(left)} to go")
        self._progress.note("; ".join(parts))

    def _left(self, took: float) -> float:
        """Return the seconds still to go: what is known, stretched by how this run does."""
        expected = self._expected
        if not expected.tasks or not self._tasks or self._tasks > expected.tasks:
            return 0.0
        share = self._tasks / expected.tasks
        # At first the recorded run says more than the few tasks that this one has done.
        whole = expected.seconds * (1 - share) + took / share * share
        return max(whole - took, 0.0)


def readable_time(seconds: float) -> str:
    """Return a duration as a person reads it, such as `4:05` or `1:02:03`."""
    whole = round(seconds)
    hours, rest = divmod(whole, _HOUR)
    minutes, left = divmod(rest, _MINUTE)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _name_of(data: Mapping[str, Any]) -> str:
    role, task = str(data.get("role") or ""), str(data.get("task") or data.get("name") or "")
    return f"{role}: {task}" if role else task
