"""What fuzzing found, and began with, is parsed again: nothing comes out but errors of ours.

`make fuzz` looks for more, with atheris, which is not needed here. An input that once crashed is
kept in fuzz/corpus under a name that says so.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.mutate import mutate_json
from fuzz.network import forget_depot
from fuzz.registry import CORPUS, TARGETS, check

ROOT = Path(__file__).resolve().parents[3]
MIB = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def depot() -> Iterator[None]:
    yield
    forget_depot()


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_crashes_nothing(name: str) -> None:
    accepted = []
    for path in sorted((CORPUS / name).iterdir()):
        if check(TARGETS[name], path.read_bytes()):
            accepted.append(path.name)
    # The good inputs are good, else fuzzing would begin at a closed door.
    assert any(found.startswith("seed-") for found in accepted)


@pytest.mark.parametrize("name", [n for n, target in TARGETS.items() if target.mutate == "json"])
def test_a_little_fuzzing_of_what_is_json(name: str) -> None:
    """Without feedback, but each time: a parser that was broken just now shows it here."""
    dice = random.Random(name)
    target = TARGETS[name]
    for path in sorted((CORPUS / name).glob("seed-*")):
        data = path.read_bytes()
        for _ in range(40):
            check(target, mutate_json(data, target.max_length, dice.randrange(1 << 30)))


def test_the_corpus_is_of_the_targets_and_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) < MIB


def test_make_fuzz_reaches_a_million_executions() -> None:
    runs = next(
        line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("RUNS ")
    )
    assert int(runs.partition("=")[2]) >= 1_000_000
