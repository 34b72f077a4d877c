"""The step `report`: what was installed, by whom, how it went and what was proven, on one page."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.documents import API_VERSION
from bundle.base.limits import MIB
from bundle.store.atomic import storage_errors, write_atomic
from installer.core.step import Change, Context
from installer.records.journal import JOURNAL_NAME, TIME_FORMAT, Record, last_of, read_journal
from installer.records.report_data import ReportInput, report_data
from installer.records.report_page import render_report
from installer.steps.check_machines import ANSWERS_NAME

DATA_NAME: Final = "report.json"
PAGE_NAME: Final = "report.html"
_MAX_ANSWERS: Final = 64 * MIB


class ReportStep:
    """Writes the report into the run's folder, and again into the site's."""

    name = "report"
    title = "Write the report"

    def __init__(self, *, who: Callable[[], str] | None = None) -> None:
        """Ask `who` for the person at the keyboard; this machine's user when left out."""
        self._who = who or _user

    def changes(self, context: Context) -> Sequence[Change]:
        """Say what is written."""
        return [Change("this machine", f"writes {context.state / PAGE_NAME}")]

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return the form of the report; the steps before say what is in it."""
        del context
        return {"form": API_VERSION}

    def run(self, context: Context) -> Mapping[str, Any]:
        """Write it, from the journal.

        Raises:
            AuditError: The journal was changed.
            StorageError: Something cannot be read or written.
        """
        records = read_journal(context.state / JOURNAL_NAME)
        data = report_data(
            ReportInput(
                site=context.site,
                bundle=context.bundle,
                records=records,
                preflight=_preflight(context, records),
                who=self._who(),
                when=context.now().strftime(TIME_FORMAT),
                run=context.run.name,
            )
        )
        text, page = canonical_json(data), render_report(data).encode()
        for folder in (context.run, context.state):
            write_atomic(folder / DATA_NAME, text, 0o600)
            write_atomic(folder / PAGE_NAME, page, 0o600)
        context.progress.note(f"the report is {context.state / PAGE_NAME}")
        return {
            "report": str(context.run / DATA_NAME),
            "page": str(context.state / PAGE_NAME),
            "digest": digest_of(text),
        }


def _preflight(context: Context, records: Sequence[Record]) -> Mapping[str, Any]:
    """Return the answers of the run that asked last, as long as its folder is kept."""
    last = last_of([record for record in records if record.event == "finished"], "preflight")
    if last is None:
        return {}
    path = context.depot.runs / Path(last.run).name / ANSWERS_NAME
    if not path.is_file():
        return {}
    with storage_errors(f"read {path}"), path.open("rb") as file:
        data = file.read(_MAX_ANSWERS)
    try:
        return dict(json.loads(data))
    except (ValueError, TypeError):
        return {}


def _user() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
