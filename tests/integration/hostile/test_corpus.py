"""Every hostile bundle and state of the corpus is refused, as documented, and leaves nothing.

Each case is made from a good bundle by a function in tests/vectors/hostile. `make e2e` gives each
to every command that must refuse it, `make test` to one of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from zlib import crc32

import pytest

from bundle.cli.main import run
from tests.support.documents.refusal import CODES, arguments, check_left, check_refusal, tree
from tests.vectors.hostile import upstream
from tests.vectors.hostile.base import BOTH, Hostile, Stage
from tests.vectors.hostile.families import large_cases, small_cases

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def slowest() -> Iterator[list[tuple[float, str]]]:
    """Collect how long each took; the longest is said in the end."""
    taken: list[tuple[float, str]] = []
    yield taken
    if taken:
        seconds, name = max(taken)
        print(f"\n{len(taken)} runs; slowest: {seconds:.2f} s, {name}")


@pytest.fixture
def commands(bad: Hostile, whole: bool) -> tuple[str, ...]:
    """Which of its commands a case is given to."""
    turn = crc32(str(bad).encode()) % len(bad.commands)
    return bad.commands if whole else bad.commands[turn : turn + 1]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("bad", small_cases(), ids=str)
def test_a_hostile_bundle_or_state_is_refused(
    bad: Hostile,
    commands: tuple[str, ...],
    stage: Stage,
    capsys: Said,
    slowest: list[tuple[float, str]],
) -> None:
    bad.make(stage)
    before = tree(stage.folder)
    for command in commands:
        line = arguments(command, bad, stage)
        began = time.monotonic()
        code = run(line)
        slowest.append((time.monotonic() - began, f"{bad} {command}"))
        said = capsys.readouterr()
        check_refusal(bad, code, said.out, said.err)
        after = tree(stage.folder)
        if command == "verify":
            assert after == before
        else:
            check_left(before, after)


@pytest.mark.parametrize("command", BOTH)
def test_the_good_one_is_accepted(command: str, stage: Stage, capsys: Said) -> None:
    """Else every case above could be refused for another reason than its own."""
    assert run([command, str(stage.bundle), "--depot", str(stage.depot), "--json"]) == 0
    capsys.readouterr()


def test_signing_anew_alone_spoils_nothing(stage: Stage, capsys: Said) -> None:
    """The cases change bundle.json and get it signed: that alone must leave it good."""
    stage.manifest(lambda body: None)
    assert run(["verify", str(stage.bundle), "--depot", str(stage.depot), "--json"]) == 0
    capsys.readouterr()


def test_a_signed_image_is_accepted(stage: Stage, capsys: Said) -> None:
    """Else the images of the family `upstream` could be refused whoever signed them."""
    upstream.build(stage)
    assert run(["verify", str(stage.bundle), "--depot", str(stage.depot), "--json"]) == 0
    capsys.readouterr()


def test_the_corpus_is_as_large_as_promised_and_names_each_case_once() -> None:
    cases = small_cases() + large_cases()
    names = [str(bad) for bad in cases]
    assert len(set(names)) == len(names)
    assert len(names) >= 100
    assert {bad.error for bad in cases} <= CODES.keys()


def test_every_error_of_trust_and_integrity_is_among_them() -> None:
    """An error that nothing hostile leads to would be an error that nobody has seen."""
    elsewhere = {
        "could-not-verify",  # of `isoward serve` and `approve`
        "integrity",  # the parent of the others
        "key-file",  # of the commands that sign
        "recovery",  # of `isoward recover`
    }
    seen = {bad.error for bad in small_cases() + large_cases()}
    wanted = {name for name, code in CODES.items() if 20 <= code < 40}
    assert wanted - seen <= elsewhere
