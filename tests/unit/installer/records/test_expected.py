"""How long an installation should take depends on how many machines there are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from installer.ansible_run.runner import MAX_FORKS, side_by_side
from installer.records.expected import expected_time
from installer.records.journal import Journal, StepEvent

GIB = 2**30


@pytest.mark.parametrize("step", ["preflight", "hosts", "cluster", "proofs", "first image"])
def test_sixty_machines_take_longer_than_two(step: str) -> None:
    few, many = (expected_time(step, nodes, GIB, ()) for nodes in (2, 60))
    assert few is not None
    assert many is not None
    assert many.seconds > few.seconds


def test_what_was_recorded_here_is_scaled_to_the_machines_there_are_now(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write(
        datetime(2026, 1, 1, tzinfo=UTC),
        StepEvent("run", "hosts", "finished", "sha256:" + "0" * 64),
        milliseconds=20_000,
        result={"nodes": {"n1": {}, "n2": {}}},
    )
    same, more, fewer = (
        expected_time("hosts", nodes, GIB, [journal.records]) for nodes in (2, 12, 1)
    )
    assert same is not None
    assert more is not None
    assert fewer is not None
    assert (same.seconds, same.recorded_here) == (20.0, True)
    assert more.seconds > same.seconds > fewer.seconds > 0


@pytest.mark.parametrize(("nodes", "forks"), [(0, 1), (1, 1), (6, 6), (60, MAX_FORKS)])
def test_ansible_works_on_all_machines_at_once(nodes: int, forks: int) -> None:
    assert side_by_side(nodes) == forks
