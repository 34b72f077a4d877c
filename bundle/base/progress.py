"""How long work tells of itself; the commands decide how it looks."""

from __future__ import annotations

from typing import Final, Protocol


class Progress(Protocol):
    """Told by use cases, shown by commands. Implementations are safe to call from threads."""

    def start(self, title: str, total: int, unit: str = "B") -> None:
        """Begin a phase of `total` units; bytes unless `unit` says otherwise, in the singular."""

    def advance(self, amount: int) -> None:
        """Say that `amount` more units are done."""

    def note(self, text: str) -> None:
        """Say one line that a person may want to see."""

    def finish(self) -> None:
        """End the phase."""


def counted(count: int, one: str) -> str:
    """Return `1 chart` or `2 charts`; `one` is what a single one is called."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


class _NoProgress:
    def start(self, title: str, total: int, unit: str = "B") -> None:
        """Ignore."""

    def advance(self, amount: int) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""


NO_PROGRESS: Final[Progress] = _NoProgress()
"""For callers who do not want to know."""
