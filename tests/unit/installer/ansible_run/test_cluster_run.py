"""Where a long run is, as a person is told: little, but enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from installer.ansible_run.followed import (
    EXPECTED_NAME,
    Expected,
    PlayLog,
    expected_of,
    readable_time,
)
from tests.support.sites.cluster_step import Notes


class _Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def _event(kind: str, **data: Any) -> dict[str, Any]:
    return {"event": kind, "event_data": data}


def _task(log: PlayLog, name: str, nodes: tuple[str, ...] = ("node1", "node2")) -> None:
    log.take(_event("playbook_on_task_start", task=name, role="etcd"))
    for node in nodes:
        log.take(_event("runner_on_ok", host=node, task=name, res={"changed": True}))


def test_a_thousand_tasks_are_a_few_lines() -> None:
    seen, clock = Notes(), _Clock()
    log = PlayLog(seen, Expected(1000, 500), clock, ["node1", "node2"])
    log.take(_event("playbook_on_play_start", name="Install etcd"))
    for i in range(1000):
        clock.pass_by(0.5)
        _task(log, f"task {i}")
    log.end()
    assert seen.started == [("cluster", 1000, "task")]
    assert seen.advanced == 1000
    assert 40 < len(seen.lines) < 60
    assert seen.lines[0] == "0:00: task 0 of about 1000, Install etcd"
    assert seen.lines[1].startswith("0:10: task 20 of about 1000, Install etcd; etcd: task 19 (")
    assert seen.lines[1].endswith(" of 2 machines); about 8:10 to go")
    assert log.as_expected() == Expected(1000, 500)


def test_a_slower_machine_is_given_more_time_as_it_shows() -> None:
    seen, clock = Notes(), _Clock()
    log = PlayLog(seen, Expected(100, 100), clock, ["node1"])
    for i in range(50):
        clock.pass_by(3)
        _task(log, f"task {i}", ("node1",))
    assert log._left(150) == pytest.approx(50)


def test_a_failure_is_told_at_once() -> None:
    seen = Notes()
    log = PlayLog(seen, Expected(), _Clock(), ["node1"])
    log.take(_event("runner_on_failed", host="node1", task="t", duration=1.0, res={"msg": "no"}))
    assert seen.lines == ["node1: t ... FAILED 1.0 s"]


def test_nothing_is_promised_that_is_not_known() -> None:
    seen, clock = Notes(), _Clock()
    log = PlayLog(seen, Expected(), clock, ["node1"])
    log.take(_event("playbook_on_play_start", name="Install etcd"))
    clock.pass_by(20)
    _task(log, "one", ())
    assert seen.lines[-1] == "0:20: task 1, Install etcd; etcd: one (0 of 1 machines)"


@pytest.mark.parametrize("content", [b"", b"{", b'{"tasks": "many"}', b"[]"])
def test_a_damaged_record_is_no_trouble(tmp_path: Path, content: bytes) -> None:
    (tmp_path / EXPECTED_NAME).write_bytes(content)
    assert expected_of(tmp_path) == Expected()


def test_what_the_last_run_took_counts(tmp_path: Path) -> None:
    assert isinstance(expected_of(tmp_path).tasks, int)
    (tmp_path / EXPECTED_NAME).write_bytes(b'{"seconds":600,"tasks":1000}')
    assert expected_of(tmp_path) == Expected(1000, 600)


@pytest.mark.parametrize(("seconds", "said"), [(4, "0:04"), (245, "4:05"), (3723, "1:02:03")])
def test_a_duration_is_readable(seconds: float, said: str) -> None:
    assert readable_time(seconds) == said
