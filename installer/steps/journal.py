"""The journal of a site: a record before and after each step, which no stop at any moment loses.

One JSON document a line, canonical, each with the digest of the line before it. A line is on the
disk before what it announces begins, and after what it tells of has ended.

Source: docs/FORMAT.md, "Journal".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from bundle.model.canonical import canonical_json, decode_canonical
from bundle.model.digest import Digest, digest_of
from bundle.model.documents import Document, Text
from bundle.model.errors import AuditError, FormatError
from bundle.model.limits import MAX_JOURNAL_BYTES
from bundle.store.atomic import fsync_directory, storage_errors

JOURNAL_NAME: Final = "journal.jsonl"
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_FIRST: Final = digest_of(b"")
"""What stands in for the line before the first one."""

Event = Literal["began", "finished", "failed", "interrupted"]


class Record(Document, frozen=True, kw_only=True):
    """One line."""

    sequence: Annotated[int, msgspec.Meta(ge=1)]
    previous: Digest
    """Of the line before, without its newline; of nothing for the first one."""
    when: Text
    """UTC, RFC 3339."""
    run: Text
    """The name of the run's folder."""
    step: Text
    event: Event
    inputs: Digest
    """Of what the step depends on, and of the steps before it."""
    milliseconds: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How long it took, when it has ended."""
    result: dict[str, Any] = msgspec.field(default_factory=dict)
    """What the step says of itself."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.milliseconds / 1000


class Journal:
    """A journal that is open for one process; the site's lock must be held."""

    def __init__(self, path: Path) -> None:
        """Read what is there, and cut off a last line that a power cut left unfinished.

        Raises:
            AuditError: A line was changed, taken out or put in.
            StorageError: It cannot be read or written.
        """
        self._path = path
        self.records, whole, last = _read(path)
        self._previous = last
        if path.exists() and path.stat().st_size > whole:
            with storage_errors(f"repair {path}"), path.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())

    def write(
        self,
        when: datetime,
        run: str,
        step: str,
        event: Event,
        inputs: str,
        *,
        milliseconds: int = 0,
        result: Mapping[str, Any] | None = None,
    ) -> Record:
        """Append a record; it is on the disk when this returns.

        Raises:
            StorageError: The disk refuses.
        """
        record = Record(
            sequence=len(self.records) + 1,
            previous=self._previous,
            when=when.strftime(TIME_FORMAT),
            run=run,
            step=step,
            event=event,
            inputs=inputs,
            milliseconds=milliseconds,
            result=dict(result or {}),
        )
        line = canonical_json(record)
        new = not self._path.exists()
        with storage_errors(f"write {self._path}"), self._path.open("ab") as file:
            self._path.chmod(0o600)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if new:
            fsync_directory(self._path.parent)
        self.records.append(record)
        self._previous = digest_of(line)
        return record


def read_journal(path: Path) -> list[Record]:
    """Return the records of a journal, the oldest first; none where there is no file.

    Raises:
        AuditError: A line was changed, taken out or put in.
        StorageError: It cannot be read.
    """
    return _read(path)[0]


def last_of(records: list[Record], step: str) -> Record | None:
    """Return the newest record of a step."""
    return next((record for record in reversed(records) if record.step == step), None)


def is_finished(records: list[Record], step: str, inputs: str) -> bool:
    """Say whether the last that happened to a step is that it finished, with these inputs."""
    last = last_of(records, step)
    return last is not None and last.event == "finished" and last.inputs == inputs


def _read(path: Path) -> tuple[list[Record], int, str]:
    """Return the records, the length of all whole lines, and the digest of the last one."""
    if not path.exists():
        return [], 0, _FIRST
    with storage_errors(f"read {path}"), path.open("rb") as file:
        data = file.read(MAX_JOURNAL_BYTES + 1)
    if len(data) > MAX_JOURNAL_BYTES:
        raise AuditError(
            f"{path}: expected at most {MAX_JOURNAL_BYTES} bytes, found more",
            "Keep it as evidence, then move it aside; the next run begins anew.",
        )
    lines = data.split(b"\n")
    # What follows the last newline was never finished: the step that it tells of is done again.
    whole = len(data) - len(lines[-1])
    records: list[Record] = []
    previous = _FIRST
    for number, line in enumerate(lines[:-1], start=1):
        where = f"{path}, line {number}"
        try:
            record = decode_canonical(line, Record, where)
        except FormatError as error:
            raise _broken(error.message) from error
        if record.previous != previous or record.sequence != number:
            raise _broken(f"{where}: it does not follow the line before")
        records.append(record)
        previous = digest_of(line)
    return records, whole, previous


def _broken(message: str) -> AuditError:
    return AuditError(
        message,
        "Somebody or something changed the journal. Keep it as evidence, then move it aside; the "
        "next run begins anew, and changes only what differs.",
    )
