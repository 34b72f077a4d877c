"""How long-running work reports progress; the commands decide how it looks."""

from __future__ import annotations

from typing import Final, Protocol


class Progress(Protocol):
    """Called by use cases, displayed by commands. Implementations are thread-safe."""

    def start(self, title: str, total: int, unit: str = "B") -> None:
        """Begin a phase of `total` units: bytes, or what `unit` names in the singular."""

    def advance(self, amount: int) -> None:
        """Report that `amount` more units are done."""

    def note(self, text: str) -> None:
        """Report one line of information for the user."""

    def finish(self) -> None:
        """End the phase."""


def counted(count: int, one: str) -> str:
    """Return `1 chart` or `2 charts`; `one` is the singular."""
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
"""Discards all progress."""
