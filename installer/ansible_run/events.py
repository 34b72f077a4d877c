"""Reading Ansible's events: what a person follows, and how a run ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bundle.base.progress import Progress

_FAILED: Final = "runner_on_failed"
_UNREACHABLE: Final = "runner_on_unreachable"
_OK: Final = "runner_on_ok"
_GOES_ON: Final = frozenset({_OK, "runner_on_start", "runner_on_skipped"})
_STATS: Final = "playbook_on_stats"
_RUN_TASK: Final = "run the image"
# These think, here; they do nothing on a node, unless they fail.
_SILENT: Final = frozenset({"assert", "group_by", "include_tasks", "set_fact"})
_SAYING_NOTHING: Final = "non-zero return code"
_MAX_OUTPUT: Final = 4096
_MAX_REASON: Final = 600
_MAX_WORDS: Final = 16_384


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong on a node.

    Attributes:
        node: Its name.
        task: As the playbook calls it.
        reason: A line for a person.
        unreachable: Whether the node was lost.
        role: That the task is of; empty for none.
        words: All that was said, as far as it is kept.
        item: What the task was about, where that was told before.
    """

    node: str
    task: str
    reason: str
    unreachable: bool
    role: str = ""
    words: str = ""
    item: str = ""

    @property
    def where(self) -> str:
        """The task with its role."""
        return f"{self.role} : {self.task}" if self.role else self.task


class EventLog:
    """Collects the events of one run; tells of each task as it ends."""

    def __init__(self, progress: Progress) -> None:
        """Start empty."""
        self._progress = progress
        self._failures: list[Failure] = []
        self._rescued: list[Failure] = []
        self.outputs: dict[str, str] = {}
        """What the first image said, by node."""
        self.changed: dict[str, list[str]] = {}
        """The tasks that changed something, by node."""
        self._items: dict[str, str] = {}
        self._stats: Mapping[str, Mapping[str, int]] | None = None

    @property
    def failures(self) -> list[Failure]:
        """What went wrong and was not made good by the playbook itself, in order."""
        if self._failures or self._bad is None:
            return self._failures
        return [failure for failure in self._rescued if failure.node in self._bad]

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take one event, as ansible-runner hands it over; true keeps its file."""
        kind = event.get("event", "")
        data: Mapping[str, Any] = event.get("event_data") or {}
        if kind == _STATS:
            self._stats = data
        elif kind in _GOES_ON:
            self._goes_on(str(data.get("host", "")))
        if kind in {_OK, _FAILED, _UNREACHABLE}:
            self._take_result(kind, data)
        return True

    def is_complete(self, nodes: Sequence[str]) -> bool:
        """Say whether the run reached its end on every node without a failure."""
        stats, bad = self._stats, self._bad
        if stats is None or bad is None:
            return False
        return not bad and set(nodes) <= set(stats.get("ok", {}))

    @property
    def _bad(self) -> set[str] | None:
        """The nodes that did not reach the end; None while that is not known."""
        if self._stats is None:
            return None
        return {*self._stats.get("failures", {}), *self._stats.get("dark", {})}

    def _goes_on(self, node: str) -> None:
        """Take a failure for made good, once the node goes on to another task."""
        self._rescued += [failure for failure in self._failures if failure.node == node]
        self._failures = [failure for failure in self._failures if failure.node != node]

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
            item = (result.get("ansible_facts") or {}).get("file_path_cached")
            if item:
                # Kubespray's downloads hide what they are about, but not where it would be cached.
                self._items[node] = str(item).rpartition("/")[2]
            if action not in _SILENT:
                self._note_result(node, task, "changed" if is_changed else "ok", seconds)
        elif not data.get("ignore_errors"):
            self._failures.append(
                Failure(
                    node,
                    task,
                    reason_of(result),
                    unreachable=kind == _UNREACHABLE,
                    role=str(data.get("role") or ""),
                    words=words_of(result),
                    item=self._items.get(node, ""),
                )
            )
            self._progress.note(f"{node}: {task} ... FAILED {seconds:.1f} s")

    def _note_result(self, node: str, task: str, word: str, seconds: float) -> None:
        self._progress.note(f"{node}: {task} ... {word} {seconds:.1f} s")


def reason_of(result: Mapping[str, Any]) -> str:
    """Return why a task failed, as far as its result says."""
    bad = _bad_item(result)
    if bad is not None:
        return reason_of(bad)
    keys = ("msg", "stderr", "censored")
    parts = [str(result[key]).strip() for key in keys if result.get(key)]
    if result.get("stdout") and parts in ([], [_SAYING_NOTHING]):
        parts.append(str(result["stdout"]).strip())
    if parts and parts[0] == _SAYING_NOTHING and "rc" in result:
        parts[0] = f"exit code {result['rc']}"
    text = " | ".join(" ".join(part.split()) for part in parts)
    # The end says most: programs explain themselves last.
    return text if len(text) <= _MAX_REASON else f"...{text[-_MAX_REASON:]}"


def words_of(result: Mapping[str, Any]) -> str:
    """Return all that a failed task said: its end, where that is too long."""
    return "\n".join(_words(result))[-_MAX_WORDS:]


def _words(result: Mapping[str, Any]) -> Iterator[str]:
    bad = _bad_item(result)
    if bad is not None:
        yield from _words(bad)
    for key in ("stdout", "module_stdout", "stderr", "module_stderr", "exception", "msg",
                "censored"):  # fmt: skip
        if isinstance(result.get(key), str):
            yield result[key]
    if "rc" in result:
        yield f"exit code {result['rc']}"


def _bad_item(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for item in result.get("results") or ():
        if isinstance(item, Mapping) and (item.get("failed") or item.get("unreachable")):
            return item
    return None
