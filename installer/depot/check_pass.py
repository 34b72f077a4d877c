"""One pass over a depot's blobs, in the order of their digests, which goes on where it was."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import Digest
from bundle.base.documents import API_VERSION, Document, Text
from bundle.base.errors import IsowardError, StorageError
from bundle.base.limits import KIB
from bundle.base.progress import NO_PROGRESS, Progress
from bundle.store.atomic import make_directory, write_atomic
from bundle.store.hashing import StoppedError, run_parallel
from installer.depot.check import DepotContent, Target, check_blob, look_at, with_names
from installer.depot.directory import DepotDirectory
from installer.depot.marks import Mark, Marks

CHECKS: Final = "check"
"""The folder in a depot of how far each check has come."""
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"

Clock = Callable[[], dt.datetime]
Pace = Callable[[int], None]
_MAX_BYTES: Final = 64 * KIB


class Reached(Document, frozen=True, kw_only=True):
    """`check/<name>.json`: how far a pass has come, and when the last whole one ended."""

    api_version: Literal["isoward/v1"] = API_VERSION
    kind: Literal["DepotCheck"] = "DepotCheck"
    began: Text = ""
    """UTC, RFC 3339; empty when no pass is under way."""
    last: Digest | None = None
    """The last blob that was read; those before it were too."""
    blobs: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many were read so far."""
    finished: Text = ""
    """When the last whole pass ended."""


class PassRecord:
    """Where a pass of one name keeps how far it has come."""

    def __init__(self, depot: DepotDirectory, name: str) -> None:
        """Name the file; nothing is touched yet."""
        self._path: Path = depot.path / CHECKS / f"{name}.json"

    def load(self) -> Reached:
        """Return how far it has come; from the beginning if that is not known."""
        with suppress(OSError, IsowardError), self._path.open("rb") as file:
            return decode_canonical(file.read(_MAX_BYTES), Reached, self._path.name)
        return Reached()

    def forget(self) -> None:
        """Begin anew the next time."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def save(self, reached: Reached) -> None:
        """Keep it.

        Raises:
            StorageError: The disk refused.
        """
        make_directory(self._path.parent)
        write_atomic(self._path, canonical_json(reached))


@dataclass(frozen=True, slots=True)
class Settings:
    """How a pass reads.

    Attributes:
        threads: At a time.
        batch_bytes: After how much it is kept how far the pass has come.
        pace: Told of bytes as they are read; it may wait.
    """

    threads: int
    batch_bytes: int
    pace: Pace = lambda _: None


@dataclass(slots=True)
class CheckResult:
    """What a pass found.

    Attributes:
        content: What there is.
        marks: What is damaged, also what was found before this pass was interrupted.
        resumed: Whether an interrupted pass was gone on with.
        unwritten: Why nothing could be kept, if it could not.
    """

    content: DepotContent
    marks: list[Mark] = field(default_factory=list)
    resumed: bool = False
    unwritten: str = ""


def run_pass(
    depot: DepotDirectory,
    record: PassRecord,
    clock: Clock,
    settings: Settings,
    progress: Progress = NO_PROGRESS,
) -> CheckResult:
    """Read every blob that an interrupted pass has not read yet, and mark what is damaged.

    Args:
        depot: Open.
        record: How far it has come.
        clock: UTC.
        settings: How to read.
        progress: Told of bytes.
    Raises:
        StorageError: The depot cannot be listed.
    """
    before, marks = record.load(), Marks(depot)
    result = CheckResult(look_at(depot), resumed=before.last is not None)
    began = before.began or _text(clock())
    rest = [t for t in result.content.targets if before.last is None or t.digest > before.last]
    blobs = before.blobs if before.last is not None else 0
    reached = Reached(began=began, last=before.last, blobs=blobs, finished=before.finished)
    progress.start("checking", sum(target.size or 0 for target in rest))
    try:
        for batch in _batches(rest, settings.batch_bytes):
            found = _read(depot, batch, _text(clock()), settings=settings, progress=progress)
            made = with_names(depot, result.content, found)
            reached = msgspec.structs.replace(
                reached, last=batch[-1].digest, blobs=reached.blobs + len(batch)
            )
            _keep(result, lambda m=made, b=batch: _mark(marks, m, b))  # type: ignore[misc]
            _keep(result, lambda r=reached: record.save(r))  # type: ignore[misc]
    finally:
        progress.finish()
    _keep(result, lambda: record.save(Reached(finished=_text(clock()))))
    result.marks = list(marks.standing())
    return result


def _keep(result: CheckResult, write: Callable[[], None]) -> None:
    """Write; a depot that cannot be written to is checked all the same."""
    try:
        write()
    except StorageError as error:
        result.unwritten = result.unwritten or error.message


def _mark(marks: Marks, made: Sequence[Mark], batch: Sequence[Target]) -> None:
    bad = {mark.digest for mark in made}
    for digest in marks.names() & {target.digest for target in batch} - bad:
        marks.clear(digest)
    for mark in made:
        marks.add(mark)


def _batches(targets: Sequence[Target], size: int) -> Iterator[list[Target]]:
    batch: list[Target] = []
    held = 0
    for target in targets:
        batch.append(target)
        held += target.size or 0
        if held >= size:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _read(
    depot: DepotDirectory,
    batch: Sequence[Target],
    when: str,
    settings: Settings,
    progress: Progress,
) -> list[Mark]:
    marks: list[Mark] = []
    stopped = Event()

    def advance(count: int) -> None:
        if stopped.is_set():
            raise StoppedError
        settings.pace(count)
        progress.advance(count)

    def check(target: Target) -> None:
        found = None if stopped.is_set() else check_blob(depot, target, when, advance)
        if found is not None:
            marks.append(found)

    run_parallel(check, batch, settings.threads, stopped.set)
    return sorted(marks, key=lambda mark: mark.digest)


def _text(moment: dt.datetime) -> str:
    return moment.strftime(TIME_FORMAT)
