"""The journal of a site: a record before and after each step, which no stop at any moment loses.

One JSON document a line, canonical, each with the digest of the line before it; the last one
stands in the head as well (`journal_head.py`). A line is on the disk before what it announces
begins, and after what it tells of has ended.

Source: docs/FORMAT.md, "Journal".
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import Digest, digest_of
from bundle.base.documents import Document, Text
from bundle.base.errors import AuditError, BusyError, FormatError, StorageError
from bundle.base.limits import MAX_JOURNAL_BYTES
from bundle.base.plain import seen_in
from bundle.store.atomic import fsync_directory, storage_errors
from bundle.store.reading import read_bounded
from installer.records.journal_head import JournalHead, Randomness

JOURNAL_NAME: Final = "journal.jsonl"
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_FIRST: Final = digest_of(b"")
"""What stands in for the line before the first one."""
_TRIES: Final = 20

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


@dataclass(frozen=True, slots=True)
class StepEvent:
    """What happened to a step.

    Attributes:
        run: The run's folder.
        step: Its name.
        event: What.
        inputs: The digest of what the step depends on.
    """

    run: str
    step: str
    event: Event
    inputs: str


class Journal:
    """A journal that is open for one process; the site's lock must be held."""

    def __init__(self, path: Path, randomness: Randomness = secrets.token_bytes) -> None:
        """Read what is there, and complete a last line that a power cut left unfinished.

        Args:
            path: Of the journal; its head lies beside it.
            randomness: For the key of a new one.
        Raises:
            AuditError: A line was changed, taken out or put in, also the last one.
            StorageError: It cannot be read or written.
        """
        self._path = path
        self._head = JournalHead(path, randomness)
        found = _read(path, self._head)
        self.records, self._previous = found.records, found.last
        self._size = found.whole
        if found.file_size > found.whole:
            self._cut()
        if found.unwritten:
            self._append(found.unwritten)

    def write(
        self,
        when: datetime,
        what: StepEvent,
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
            run=what.run,
            step=what.step,
            event=what.event,
            inputs=what.inputs,
            milliseconds=milliseconds,
            result=seen_in(dict(result or {})),
        )
        line = canonical_json(record)
        try:
            # First, so that the journal never ends with a line that nothing vouches for.
            self._head.write(line)
        except FormatError as error:
            raise _broken(error.message) from error
        self._append(line + b"\n")
        self.records.append(record)
        self._previous = digest_of(line)
        return record

    def _append(self, data: bytes) -> None:
        new = not self._path.exists()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with storage_errors(f"write {self._path}"):
                descriptor = os.open(self._path, flags, 0o600)
                with os.fdopen(descriptor, "ab") as file:
                    os.fchmod(file.fileno(), 0o600)
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                if new:
                    fsync_directory(self._path.parent)
        except StorageError:
            # Half of a line would be in the way of the next one.
            with contextlib.suppress(StorageError):
                self._cut()
            raise
        self._size += len(data)

    def _cut(self) -> None:
        with storage_errors(f"repair {self._path}"), self._path.open("r+b") as file:
            file.truncate(self._size)
            os.fsync(file.fileno())


def read_journal(path: Path) -> list[Record]:
    """Return the records of a journal, the oldest first; none where there is no file.

    Raises:
        AuditError: A line was changed, taken out or put in, also the last one.
        StorageError: It cannot be read.
    """
    return _read(path, JournalHead(path)).records


def last_of(records: list[Record], step: str) -> Record | None:
    """Return the newest record of a step."""
    return next((record for record in reversed(records) if record.step == step), None)


def is_finished(records: list[Record], step: str, inputs: str) -> bool:
    """Say whether the last that happened to a step is that it finished, with these inputs."""
    last = last_of(records, step)
    return last is not None and last.event == "finished" and last.inputs == inputs


@dataclass(frozen=True, slots=True)
class _Found:
    """What is on the disk.

    Attributes:
        records: All, the newest of which may stand in the head alone.
        last: The digest of the last line.
        whole: The length of all whole lines.
        file_size: Of the file, which a cut line makes longer.
        unwritten: A line that stands in the head alone, with its newline.
    """

    records: list[Record]
    last: str
    whole: int
    file_size: int
    unwritten: bytes


def _read(path: Path, head: JournalHead) -> _Found:
    for _ in range(_TRIES):
        before = _head_line(head)
        data = _bytes_of(path)
        # A run that goes on meanwhile may have written between the two.
        if _head_line(head) == before:
            return _parsed(path, data, before)
    raise BusyError(f"{path}: another process keeps writing to it", "Run the command again.")


def _head_line(head: JournalHead) -> bytes | None:
    try:
        return head.read()
    except FormatError as error:
        raise _broken(error.message) from error


def _bytes_of(path: Path) -> bytes:
    if not path.exists():
        return b""
    larger = AuditError(
        f"{path}: expected at most {MAX_JOURNAL_BYTES} bytes, found more",
        "Keep it as evidence, then move it aside; the next run starts over.",
    )
    return read_bounded(path, MAX_JOURNAL_BYTES, larger)


def _parsed(path: Path, data: bytes, head: bytes | None) -> _Found:
    lines = data.split(b"\n")
    # What follows the last newline was never finished; the head has it whole.
    whole = len(data) - len(lines.pop())
    if head is None and lines:
        raise _broken(f"{path}: its head, which records its end, is gone")
    last = lines[-1] if lines else None
    ahead = head is not None and head != last
    if head is not None and ahead:
        lines.append(head)
    records: list[Record] = []
    previous = _FIRST
    for number, line in enumerate(lines, start=1):
        is_head = ahead and number == len(lines)
        where = f"{path}: its head" if is_head else f"{path}, line {number}"
        try:
            record = decode_canonical(line, Record, where)
        except FormatError as error:
            raise _broken(error.message) from error
        if record.previous != previous or record.sequence != number:
            before = "the last line" if is_head else "the line before"
            raise _broken(f"{where}: it does not follow {before}")
        records.append(record)
        previous = digest_of(line)
    unwritten = head + b"\n" if head is not None and ahead else b""
    return _Found(records, previous, whole, len(data), unwritten)


def _broken(message: str) -> AuditError:
    return AuditError(
        message,
        "Somebody or something changed the journal. Keep it as evidence with its head and its key, "
        "then move all three aside; the next run begins anew, and changes only what differs.",
    )
