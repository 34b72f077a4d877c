"""Much of everything is refused in little memory and time, by commands of their own process."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.documents.refusal import MOST_MEMORY, arguments, check_left, check_refusal, tree
from tests.support.programs.measured import Measured, measured
from tests.vectors.hostile.base import BOTH, Hostile, Stage
from tests.vectors.hostile.families import large_cases

ISOWARD = (sys.executable, "-m", "bundle.cli.main")


@pytest.fixture(scope="module")
def taken() -> Iterator[list[tuple[Measured, str]]]:
    """Collect what each took; the largest are said in the end."""
    runs: list[tuple[Measured, str]] = []
    yield runs
    if runs:
        slow, slow_name = max(runs, key=lambda one: one[0].seconds)
        large, large_name = max(runs, key=lambda one: one[0].memory)
        print(
            f"\n{len(runs)} runs; slowest: {slow.seconds:.2f} s, {slow_name}; "
            f"most memory: {large.memory >> 20} MiB, {large_name}"
        )


@pytest.mark.parametrize("bad", large_cases(), ids=str)
def test_much_of_everything_is_refused_in_little_memory(
    bad: Hostile, stage: Stage, taken: list[tuple[Measured, str]]
) -> None:
    bad.make(stage)
    before = tree(stage.folder)
    for command in bad.commands:
        done = measured([*ISOWARD, *arguments(command, bad, stage)])
        taken.append((done, f"{bad} {command}"))
        assert done.code >= 0, "it hung and was killed"
        check_refusal(bad, done.code, done.out, done.err)
        assert done.memory < MOST_MEMORY
    check_left(before, tree(stage.folder))


@pytest.mark.parametrize("command", BOTH)
def test_the_good_one_is_accepted(command: str, stage: Stage) -> None:
    done = measured([*ISOWARD, command, str(stage.bundle), "--depot", str(stage.depot)])
    assert done.code == 0, done.err
    assert done.memory < MOST_MEMORY
