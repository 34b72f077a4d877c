from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import digest_of
from bundle.base.errors import AuditError, StorageError
from installer.records.journal import (
    JOURNAL_NAME,
    Event,
    Journal,
    Record,
    StepEvent,
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
        journal.write(
            WHEN, StepEvent("run", step, event, INPUTS), milliseconds=1500, result={"n": [1, "é"]}
        )
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


def test_a_line_that_a_power_cut_left_unfinished_is_completed(tmp_path: Path) -> None:
    """The head is on the disk before the line is; what it tells of had happened."""
    path = filled(tmp_path, ("verify", "began"), ("verify", "finished"))
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in (*range(first, first + 4), *range(first + 4, len(whole) - 1, 50), len(whole) - 1):
        path.write_bytes(whole[:end])
        assert [r.event for r in read_journal(path)] == ["began", "finished"]
        assert path.read_bytes() == whole[:end]
        assert Journal(path).records[-1].event == "finished"
        assert path.read_bytes() == whole


def test_a_power_cut_before_the_very_first_line(tmp_path: Path) -> None:
    path = filled(tmp_path, ("verify", "began"))
    whole = path.read_bytes()
    path.unlink()
    assert [r.event for r in read_journal(path)] == ["began"]
    filled(tmp_path, ("verify", "finished"))
    assert path.read_bytes().startswith(whole)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "journal.key").write_bytes((tmp_path / "journal.key").read_bytes())
    assert read_journal(filled(tmp_path / "other", ("verify", "began")))


LAST = (b'"failed"', b'"finished"')


def test_a_last_line_that_was_changed_does_not_count(tmp_path: Path) -> None:
    path = filled(tmp_path, ("hosts", "began"), ("hosts", "failed"))
    good = path.read_bytes()
    lines = good.splitlines(keepends=True)
    forged = {
        "changed": [lines[0], lines[1].replace(*LAST)],
        "the only one that is left, changed": [lines[0].replace(b'"began"', b'"finished"')],
        "one more": [*lines, _after(lines[1], "finished")],
        "exchanged": [lines[0], _after(lines[0], "finished")],
        "none left": [],
    }
    for what, now in forged.items():
        path.write_bytes(b"".join(now))
        for read in (read_journal, Journal):
            with pytest.raises(AuditError) as caught:
                read(path)
            assert str(path) in caught.value.message, what
    path.write_bytes(good)
    assert read_journal(path)[-1].event == "failed"


def _after(line: bytes, event: Event) -> bytes:
    """Make the line that follows another, by the rules of the chain alone."""
    before = decode_canonical(line.rstrip(b"\n"), Record, "line")
    record = msgspec.structs.replace(
        before, sequence=before.sequence + 1, previous=digest_of(line.rstrip(b"\n")), event=event
    )
    return canonical_json(record) + b"\n"


@pytest.mark.parametrize("what", ["head", "key", "head and line", "mode", "link"])
def test_a_head_that_was_changed_counts_for_nothing(tmp_path: Path, what: str) -> None:
    path = filled(tmp_path, ("hosts", "began"), ("hosts", "failed"))
    head, key = path.with_suffix(".head"), path.with_suffix(".key")
    assert head.stat().st_mode & 0o777 == key.stat().st_mode & 0o777 == 0o600
    if what == "head":
        head.unlink()
    elif what == "key":
        key.write_bytes(bytes(32))
    elif what == "head and line":
        head.write_bytes(head.read_bytes().replace(b'\\"failed\\"', b'\\"finished\\"'))
        path.write_bytes(path.read_bytes().replace(*LAST))
        assert b"finished" in head.read_bytes()
    elif what == "mode":
        key.chmod(0o666)
    else:
        key.rename(tmp_path / "elsewhere")
        key.symlink_to(tmp_path / "elsewhere")
    with pytest.raises((AuditError, StorageError)):
        read_journal(path)
    with pytest.raises((AuditError, StorageError)):
        Journal(path)


def test_a_full_disk_leaves_no_half_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path, ("hosts", "began"))
    journal = Journal(path)
    real = os.fsync

    def full(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == path:
            monkeypatch.setattr(os, "fsync", real)
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError):
        journal.write(WHEN, StepEvent("run", "hosts", "finished", INPUTS))
    journal.write(WHEN, StepEvent("run", "hosts", "failed", INPUTS))
    assert [r.event for r in read_journal(path)] == ["began", "failed"]
    assert [r.event for r in Journal(path).records] == ["began", "failed"]


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
