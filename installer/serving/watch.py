"""Reading the depot's blobs again while it is being served, slowly, and for ever.

One of the server's processes does it, whichever holds the lock; when it ends, another one goes on
where it was.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from bundle.base.errors import IsowardError
from bundle.base.limits import CHECK_BYTES_PER_SECOND, CHECK_INTERVAL_SECONDS, MIB
from bundle.store.atomic import make_directory
from installer.depot.check_pass import (
    CHECKS,
    TIME_FORMAT,
    CheckResult,
    Clock,
    PassRecord,
    Settings,
    run_pass,
)
from installer.depot.directory import DepotDirectory
from installer.depot.marks import PROBLEM_WORDS
from installer.serving.content import logger

WATCH_RECORD: Final = "serve"
_BATCH_BYTES: Final = 256 * MIB
_LOOK_SECONDS: Final = 60.0
"""How often it looks whether a pass is due, or whether the process that has the lock is gone."""

Sleep = Callable[[float], None]


class Pace:
    """Lets through so many bytes a second; a pause earns nothing."""

    def __init__(self, rate: float, monotonic: Callable[[], float], sleep: Sleep) -> None:
        """Take bytes a second, a clock and a way to wait, in seconds."""
        self._rate = rate
        self._monotonic = monotonic
        self._sleep = sleep
        self._due = monotonic()

    def __call__(self, count: int) -> None:
        """Wait until `count` bytes more may have been read."""
        now = self._monotonic()
        self._due = max(self._due, now) + count / self._rate
        if self._due > now:
            self._sleep(self._due - now)


class Watch:
    """The checks of one server process."""

    def __init__(
        self,
        depot: DepotDirectory,
        *,
        clock: Clock = lambda: dt.datetime.now(dt.UTC),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Sleep = time.sleep,
    ) -> None:
        """Watch `depot` from `start` on; the clock is in UTC, `sleep` takes seconds."""
        self._depot = depot
        self._clock = clock
        self._sleep = sleep
        self._record = PassRecord(depot, WATCH_RECORD)
        self._settings = Settings(
            threads=1,
            batch_bytes=_BATCH_BYTES,
            pace=Pace(CHECK_BYTES_PER_SECOND, monotonic, sleep),
        )
        self._said = ""

    def start(self) -> None:
        """Begin, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="depot-check", daemon=True).start()

    def _run(self) -> None:
        while True:
            with contextlib.suppress(BlockingIOError), self._lock():
                while True:
                    self.look()
                    self._sleep(_LOOK_SECONDS)
            self._sleep(_LOOK_SECONDS)

    def look(self) -> CheckResult | None:
        """Do a pass, or the rest of one, if it is due; what goes wrong is logged."""
        if not self._is_due():
            return None
        try:
            result = run_pass(self._depot, self._record, self._clock, self._settings)
        except (IsowardError, OSError) as error:
            self._say(f"the depot could not be checked: {error}")
            return None
        for mark in result.marks:
            of = ", ".join(mark.of) or "nothing in the catalog"
            logger.error("blob %s is %s: %s", mark.digest, PROBLEM_WORDS[mark.problem], of)
        if result.unwritten:
            self._say(f"the result of the depot's check was not recorded: {result.unwritten}")
        return result

    def _is_due(self) -> bool:
        reached = self._record.load()
        if reached.began or not reached.finished:
            return True
        with contextlib.suppress(ValueError):
            ended = dt.datetime.strptime(reached.finished, TIME_FORMAT).replace(tzinfo=dt.UTC)
            since = (self._clock() - ended).total_seconds()
            # A clock that was set back does not put it off.
            return not 0 <= since < CHECK_INTERVAL_SECONDS
        return True

    def _say(self, text: str) -> None:
        """Log what may come again every minute once."""
        if text != self._said:
            self._said = text
            logger.error("%s", text)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Be the one that checks; in a depot that cannot be written to, each process may be.

        Raises:
            BlockingIOError: Another process is.
        """
        folder = self._depot.path / CHECKS
        try:
            make_directory(folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(folder / ".lock", flags, 0o600)
        except (IsowardError, OSError) as error:
            self._say(f"the result of the depot's check was not recorded: {error}")
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)
