from __future__ import annotations

from typing import Any

import pytest

from bundle.base.progress import NO_PROGRESS
from installer.ansible_run.events import EventLog, reason_of


class Notes:
    """Remembers what a person would have seen."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def start(self, title: str, total: int, unit: str = "B") -> None: ...

    def advance(self, amount: int) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finish(self) -> None: ...


def _event(kind: str, **data: Any) -> dict[str, Any]:
    return {
        "event": kind,
        "event_data": {"host": "node1", "task": "pull", "duration": 2.12, **data},
    }


def _stats(**fields: dict[str, int]) -> dict[str, Any]:
    return {"event": "playbook_on_stats", "event_data": {"ok": {"node1": 3}, **fields}}


def test_each_task_is_one_line() -> None:
    seen = Notes()
    log = EventLog(seen)
    log.take(_event("runner_on_ok", res={"changed": True}))
    log.take(_event("runner_on_ok", res={}))
    log.take(_event("runner_on_ok", res={}, task_action="ansible.builtin.set_fact"))
    log.take(_event("runner_on_failed", res={"msg": "no"}))
    assert seen.notes == [
        "node1: pull ... changed 2.1 s",
        "node1: pull ... ok 2.1 s",
        "node1: pull ... FAILED 2.1 s",
    ]
    assert log.changed == {"node1": ["pull"]}


def test_the_run_is_complete_only_with_the_stats_of_every_node() -> None:
    log = EventLog(NO_PROGRESS)
    assert not log.is_complete(["node1"])
    log.take(_stats())
    assert log.is_complete(["node1"])
    assert not log.is_complete(["node1", "node2"])


@pytest.mark.parametrize("field", ["failures", "dark"])
def test_stats_with_a_failure_are_no_success(field: str) -> None:
    log = EventLog(NO_PROGRESS)
    log.take(_stats(**{field: {"node1": 1}}))
    assert not log.is_complete(["node1"])


def test_an_ignored_failure_is_none() -> None:
    log = EventLog(NO_PROGRESS)
    log.take(_event("runner_on_failed", res={"msg": "no"}, ignore_errors=True))
    log.take(_stats())
    assert log.is_complete(["node1"])


def test_a_lost_node_is_told_from_a_failed_task() -> None:
    log = EventLog(NO_PROGRESS)
    log.take(_event("runner_on_unreachable", res={"msg": "Connection timed out"}))
    assert log.failures[0].unreachable
    assert log.failures[0].reason == "Connection timed out"


def test_what_the_image_said_is_kept_within_limits() -> None:
    log = EventLog(NO_PROGRESS)
    log.take(_event("runner_on_ok", task="run the image", res={"stdout": "x" * 10_000}))
    assert len(log.outputs["node1"]) == 4096


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"msg": "non-zero return code", "stderr": "ctr: not\n found"},
         "non-zero return code | ctr: not found"),
        ({"msg": "non-zero return code", "rc": 137, "stdout": "last words"},
         "exit code 137 | last words"),
        ({"stdout": "only this"}, "only this"),
        ({"results": [{"msg": "fine"}, {"failed": True, "msg": "the second"}]}, "the second"),
        ({}, ""),
    ],
)  # fmt: skip
def test_reasons(result: dict[str, Any], reason: str) -> None:
    assert reason_of(result) == reason


def test_a_long_reason_keeps_its_end() -> None:
    reason = reason_of({"stderr": "a" * 2000 + " the cause"})
    assert reason.endswith("the cause")
    assert len(reason) < 700


def test_events_without_data_are_no_trouble() -> None:
    assert EventLog(NO_PROGRESS).take({"event": "verbose"})
