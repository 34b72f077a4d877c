"""Progress as a bar on a terminal and as plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TextIO

from bundle.base.plain import visible
from bundle.base.progress import counted
from bundle.cli.writer import write_to

_EVERY_SECONDS: Final = 60.0
"""How often a long phase reports progress without a terminal."""


class TerminalProgress:
    """A tqdm bar; notes are written above it."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._bar: Any = None

    def start(self, title: str, total: int, unit: str = "B") -> None:
        """Begin a bar."""
        from tqdm import tqdm

        in_bytes = unit == "B"
        self._bar = tqdm(
            total=total,
            desc=visible(title),
            unit=unit if in_bytes else f" {visible(unit)}",
            unit_scale=in_bytes,
            unit_divisor=1024 if in_bytes else 1000,
            leave=True,
            dynamic_ncols=True,
        )

    def advance(self, amount: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(amount)

    def note(self, text: str) -> None:
        """Write a line above the bar."""
        from tqdm import tqdm

        with tqdm.external_write_mode(file=sys.stderr):
            write_to(sys.stderr, [text])

    def finish(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class LineProgress:
    """One line per phase, at its end; a long phase also reports once a minute."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        """Write to `stream`; `clock` is monotonic, in seconds."""
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._title = ""
        self._unit = "B"
        self._total = 0
        self._done = 0
        self._began = 0.0
        self._said = 0.0

    def start(self, title: str, total: int, unit: str = "B") -> None:
        """Begin a phase."""
        with self._lock:
            self._title, self._unit, self._total, self._done = title, unit, total, 0
            self._began = self._said = self._clock()

    def advance(self, amount: int) -> None:
        """Count, and say so once a minute."""
        with self._lock:
            self._done += amount
            now = self._clock()
            if now - self._said < _EVERY_SECONDS:
                return
            self._said = now
            done = self._done
        share = f" ({100 * done // self._total} %)" if self._total else ""
        self._write(f"{self._title}: {self._amount(done)} of {self._amount(self._total)}{share}")

    def note(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def finish(self) -> None:
        """Say how much was done and how long it took."""
        with self._lock:
            if not self._title:
                return
            title, done, took = self._title, self._done, self._clock() - self._began
            self._title = ""
        self._write(f"{title}: {self._amount(done)} in {took:.1f} s")

    def _amount(self, count: int) -> str:
        return readable_size(count) if self._unit == "B" else counted(count, self._unit)

    def _write(self, text: str) -> None:
        write_to(self._stream, [text])


def readable_size(count: int) -> str:
    """Return a size as a person reads it, such as `1.5 GiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 - the step between units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
