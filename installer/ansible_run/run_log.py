"""What is kept of a run of Ansible: every event, and what it printed, without secrets.

    events.jsonl   one event of ansible-runner a line
    ansible.log    what Ansible printed
    rc, status     how it ended, in ansible-runner's words

Events pass by the redactor before they are written, so nothing has to be cleaned up after a run
that was killed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from bundle.base.plain import visible, visible_json
from bundle.store.atomic import make_directory, storage_errors, write_atomic
from installer.base.redact import REDACTED, Redactor

EVENTS_NAME: Final = "events.jsonl"
LOG_NAME: Final = "ansible.log"
CR: Final = "\r"
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
"""Ansible colours whole lines, and a log is no terminal."""
_KEY_BEGINS: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")
_KEY_ENDS: Final = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")


class RunLog:
    """Writes events as they come."""

    def __init__(self, events: TextIO, log: TextIO, redactor: Redactor) -> None:
        """Write to two files."""
        self._events = events
        self._log = log
        self._redactor = redactor
        self._within_key = False

    def take(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep an event; return it without secrets."""
        said = str(event.get("stdout") or "")
        if self._is_of_key(said):
            event = {**event, "stdout": REDACTED}
        line, clean = self._redactor.event(event)
        self._events.write(f"{visible_json(line)}\n")
        self._events.flush()
        if clean.get("stdout"):
            lines = _COLOUR.sub("", str(clean["stdout"])).split("\n")
            # Carriage returns of progress and tabs of indents say nothing.
            self._log.writelines(f"{visible(part.strip(CR).expandtabs())}\n" for part in lines)
            self._log.flush()
        return clean

    def _is_of_key(self, said: str) -> bool:
        """Say whether a line is within a private key that is printed line by line."""
        if self._within_key:
            self._within_key = _KEY_ENDS.search(said) is None
            return True
        self._within_key = bool(_KEY_BEGINS.search(said)) and not _KEY_ENDS.search(said)
        return False


@contextmanager
def kept_in(folder: Path, redactor: Redactor) -> Iterator[RunLog]:
    """Keep a run in a new folder, its owner's alone.

    Raises:
        StorageError: The disk refuses.
    """
    make_directory(folder, 0o700)
    folder.chmod(0o700)
    with storage_errors(f"write into {folder}"):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with (
            os.fdopen(os.open(folder / EVENTS_NAME, flags, 0o600), "w", encoding="utf-8") as events,
            os.fdopen(os.open(folder / LOG_NAME, flags, 0o600), "w", encoding="utf-8") as log,
        ):
            yield RunLog(events, log, redactor)


def write_end(folder: Path, status: str, code: int | None) -> None:
    """Write how a run ended.

    Raises:
        StorageError: The disk refuses.
    """
    for name, word in (("status", status), ("rc", "" if code is None else str(code))):
        write_atomic(folder / name, f"{word}\n".encode(), 0o600)
