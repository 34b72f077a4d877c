"""The receipt: who installed what where, when, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bundle.base.documents import API_VERSION
from bundle.base.errors import InterruptedByUserError, IsowardError
from bundle.store.atomic import storage_errors, write_atomic

RECEIPT_NAME: Final = "receipt.json"
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_MAX_SAME_SECOND: Final = 100


@dataclass(slots=True)
class Receipt:
    """The record of one run, filled while it goes on.

    Attributes:
        directory: The run's folder; the receipt ends up there.
        facts: Everything but the steps and the result.
        steps: One entry a step, in order.
    """

    directory: Path
    now: Callable[[], datetime]
    facts: dict[str, Any]
    steps: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Record one step; what the block puts into the dictionary is part of it."""
        entry: dict[str, Any] = {"step": name, "started": self.now().strftime(_TIME)}
        self.steps.append(entry)
        try:
            yield entry
        except BaseException:
            entry |= {"ended": self.now().strftime(_TIME), "result": "failed"}
            raise
        entry |= {"ended": self.now().strftime(_TIME), "result": "ok"}

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write the receipt at the end of the block, however it ends."""
        self.facts["started"] = self.now().strftime(_TIME)
        try:
            yield
        except (InterruptedByUserError, KeyboardInterrupt):
            self._write({"result": "interrupted"})
            raise
        except IsowardError as error:
            problem = {"id": error.id, "exitCode": error.exit_code, "message": error.message}
            self._write({"result": "failed", "error": problem})
            raise
        self._write({"result": "ok"})

    def data(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """Return the whole receipt."""
        return {
            "apiVersion": API_VERSION,
            "kind": "Receipt",
            **self.facts,
            "ended": self.now().strftime(_TIME),
            "steps": self.steps,
            **outcome,
        }

    def _write(self, outcome: dict[str, Any]) -> None:
        text = json.dumps(self.data(outcome), indent=2, ensure_ascii=False) + "\n"
        write_atomic(self.directory / RECEIPT_NAME, text.encode(), 0o600)


def make_run_directory(runs: Path, site: str, now: datetime) -> Path:
    """Make a fresh folder for a run, readable by its owner alone.

    Raises:
        StorageError: It cannot be made.
    """
    name = f"{now.strftime(_STAMP)}-{site}"
    with storage_errors(f"create {runs / name}"):
        runs.mkdir(mode=0o700, exist_ok=True)
        for count in range(1, _MAX_SAME_SECOND):
            directory = runs / (name if count == 1 else f"{name}-{count}")
            try:
                directory.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return directory
        raise FileExistsError(17, "too many runs in one second", str(runs / name))
