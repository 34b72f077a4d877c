from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundle.model.digest import digest_of
from bundle.model.errors import AuditError
from installer.steps.journal import (
    JOURNAL_NAME,
    Event,
    Journal,
    is_finished,
    last_of,
    read_journal,
)

INPUTS = digest_of(b"inputs")
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def filled(folder: Path, *events: tuple[str, Event]) -> Path:
    path = folder / JOURNAL_NAME
    journal = Journal(path)
    for step, event in events:
        journal.write(WHEN, "run", step, event, INPUTS, milliseconds=1500, result={"n": [1, "é"]})
    return path


def test_a_record_is_there_again_when_the_journal_is_opened_again(tmp_path: Path) -> None:
    path = filled(tmp_path, ("verify", "began"), ("verify", "finished"))
    filled(tmp_path, ("hosts", "began"))
    records = read_journal(path)
    assert [(r.sequence, r.step, r.event) for r in records] == [
        (1, "verify", "began"),
        (2, "verify", "finished"),
        (3, "hosts", "began"),
    ]
    assert records[1].when == "2026-01-02T03:04:05Z"
    assert records[1].seconds == 1.5
    assert records[1].result == {"n": [1, "é"]}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().count(b"\n") == 3


def test_no_journal_has_no_records(tmp_path: Path) -> None:
    assert read_journal(tmp_path / JOURNAL_NAME) == []


def test_a_line_that_was_cut_at_any_byte_is_as_if_it_had_never_been_written(tmp_path: Path) -> None:
    path = filled(tmp_path, ("verify", "began"), ("verify", "finished"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in range(first, len(whole)):
        path.write_bytes(whole[:end])
        assert [r.event for r in read_journal(path)] == ["began"]
        journal = Journal(path)
        assert path.read_bytes() == whole[:first]
        journal.write(WHEN, "run", "verify", "finished", INPUTS, milliseconds=1500,
                      result={"n": [1, "é"]})  # fmt: skip
        assert path.read_bytes() == whole


def test_what_was_changed_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path, ("a", "began"), ("a", "finished"), ("b", "began"))
    lines = path.read_bytes().splitlines(keepends=True)
    spoiled = {
        "changed": [lines[0].replace(b'"a"', b'"x"'), *lines[1:]],
        "taken out": [lines[0], lines[2]],
        "the first taken out": lines[1:],
        "put in twice": [lines[0], *lines],
        "in another order": [lines[0], lines[2], lines[1]],
        "not JSON": [b"hello\n", *lines[1:]],
        "another spelling": [lines[0].replace(b":", b": ", 1), *lines[1:]],
    }
    for what, now in spoiled.items():
        path.write_bytes(b"".join(now))
        with pytest.raises(AuditError) as caught:
            Journal(path)
        assert str(path) in caught.value.message, what
        assert path.read_bytes() == b"".join(now), what


def test_a_step_is_finished_by_its_last_record_with_the_same_inputs(tmp_path: Path) -> None:
    path = filled(tmp_path, ("a", "began"), ("a", "finished"), ("b", "began"), ("b", "failed"))
    records = read_journal(path)
    assert is_finished(records, "a", INPUTS)
    assert not is_finished(records, "a", digest_of(b"other inputs"))
    assert not is_finished(records, "b", INPUTS)
    assert not is_finished(records, "c", INPUTS)
    again = read_journal(filled(tmp_path, ("a", "began")))
    assert not is_finished(again, "a", INPUTS)
    last = last_of(again, "a")
    assert last is not None
    assert last.sequence == 5
