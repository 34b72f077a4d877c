"""Reading Ansible's events: what a person follows, and how a run ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bundle.model.progress import Progress

_FAILED: Final = "runner_on_failed"
_UNREACHABLE: Final = "runner_on_unreachable"
_OK: Final = "runner_on_ok"
_STATS: Final = "playbook_on_stats"
_RUN_TASK: Final = "run the image"
# These think, here; they do nothing on a node, unless they fail.
_SILENT: Final = frozenset({"assert", "group_by", "include_tasks", "set_fact"})
_MAX_OUTPUT: Final = 4096
_MAX_REASON: Final = 600


@dataclass(frozen=True, slots=True)
class Failure:
    """The first thing that went wrong on a node."""

    node: str
    task: str
    reason: str
    unreachable: bool


class EventLog:
    """Collects the events of one run; tells of each task as it ends."""

    def __init__(self, progress: Progress) -> None:
        """Start empty."""
        self._progress = progress
        self.failures: list[Failure] = []
        self.outputs: dict[str, str] = {}
        """What the first image said, by node."""
        self.changed: dict[str, list[str]] = {}
        """The tasks that changed something, by node."""
        self._stats: Mapping[str, Mapping[str, int]] | None = None

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take one event, as ansible-runner hands it over; true keeps its file."""
        kind = event.get("event", "")
        data: Mapping[str, Any] = event.get("event_data") or {}
        if kind == _STATS:
            self._stats = data
        elif kind in {_OK, _FAILED, _UNREACHABLE}:
            self._take_result(kind, data)
        return True

    def is_complete(self, nodes: Sequence[str]) -> bool:
        """Say whether the run reached its end on every node without a failure."""
        stats = self._stats
        if stats is None or self.failures:
            return False
        bad = {*stats.get("failures", {}), *stats.get("dark", {})}
        return not bad and set(nodes) <= set(stats.get("ok", {}))

    def _take_result(self, kind: str, data: Mapping[str, Any]) -> None:
        node, task = str(data.get("host", "")), str(data.get("task", ""))
        result: Mapping[str, Any] = data.get("res") or {}
        seconds = float(data.get("duration") or 0.0)
        if kind == _OK:
            action = str(data.get("task_action", "")).rpartition(".")[2]
            is_changed = bool(result.get("changed")) and action not in _SILENT
            if is_changed:
                self.changed.setdefault(node, []).append(task)
            if task == _RUN_TASK and "stdout" in result:
                self.outputs[node] = str(result["stdout"])[:_MAX_OUTPUT]
            if action not in _SILENT:
                self._note_result(node, task, "changed" if is_changed else "ok", seconds)
        elif not data.get("ignore_errors"):
            reason = reason_of(result)
            self.failures.append(Failure(node, task, reason, kind == _UNREACHABLE))
            self._progress.note(f"{node}: {task} ... FAILED {seconds:.1f} s")

    def _note_result(self, node: str, task: str, word: str, seconds: float) -> None:
        self._progress.note(f"{node}: {task} ... {word} {seconds:.1f} s")


def reason_of(result: Mapping[str, Any]) -> str:
    """Return why a task failed, as far as its result says."""
    for item in result.get("results") or ():
        if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable")):
            return reason_of(item)
    parts = [str(result[key]).strip() for key in ("msg", "stderr") if result.get(key)]
    if not parts and result.get("stdout"):
        parts = [str(result["stdout"]).strip()]
    text = " | ".join(" ".join(part.split()) for part in parts)
    # The end says most: programs explain themselves last.
    return text if len(text) <= _MAX_REASON else f"...{text[-_MAX_REASON:]}"
