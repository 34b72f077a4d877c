"""What `/healthz` says of the depot's blobs."""

from __future__ import annotations

from typing import Any, Final

from installer.depot.check_pass import PassRecord
from installer.depot.directory import DepotDirectory
from installer.depot.marks import Marks
from installer.serving.watch import WATCH_RECORD

_MAX_LISTED: Final = 100
"""Blobs; `isoward depot check` lists them all."""


class Health:
    """The state of one depot's blobs, as far as they were read."""

    def __init__(self, depot: DepotDirectory) -> None:
        """Look at `depot` when asked."""
        self._marks = Marks(depot)
        self._record = PassRecord(depot, WATCH_RECORD)

    def facts(self) -> dict[str, Any]:
        """Return which blobs are damaged and what they are of, and how far the check has come."""
        marks = self._marks.standing()
        reached = self._record.load()
        return {
            "damaged": len(marks),
            "damagedBlobs": [
                {"digest": mark.digest, "problem": mark.problem, "of": list(mark.of)}
                for mark in marks[:_MAX_LISTED]
            ],
            "check": {
                "finished": reached.finished or None,
                "began": reached.began or None,
                "blobs": reached.blobs,
            },
        }
