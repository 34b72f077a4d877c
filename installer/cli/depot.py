"""`isoward depot`: looking after the depot."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from bundle.base.errors import (
    DigestMismatchError,
    IntegrityError,
    MissingBlobError,
    SizeMismatchError,
)
from bundle.base.limits import MIB
from bundle.base.progress import counted
from bundle.checks.damage import told
from bundle.cli.depots import depot_option
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.progress_bar import readable_size
from bundle.store.hashing import HASH_THREADS
from installer.depot.check_pass import CheckResult, PassRecord, Settings, run_pass
from installer.depot.directory import open_depot
from installer.depot.marks import PROBLEM_WORDS, Mark

_RECORD = "command"
_BATCH_BYTES = 1024 * MIB
_CODES = {
    "missing": MissingBlobError.exit_code,
    "size": SizeMismatchError.exit_code,
    "digest": DigestMismatchError.exit_code,
}
_RESTORE = "Import it again from a good medium: `isoward import` restores damaged content."


@click.group("depot")
@output_options
def command() -> None:
    """Look after the depot."""


@command.command("check")
@depot_option()
@click.option("--restart", is_flag=True, help="Start over, even if a check was interrupted.")
@output_options
@pass_output
def check(output: Output, depot: Path, restart: bool) -> int:
    """Read every blob of the depot and report damage.

    What is damaged is not served until an import restores it. Stopped and run again, it goes on
    where it was. The exit code is 0 only if all is well.
    """
    opened = open_depot(depot)
    record = PassRecord(opened, _RECORD)
    if restart:
        record.forget()
    settings = Settings(threads=HASH_THREADS, batch_bytes=_BATCH_BYTES)
    result = run_pass(opened, record, _now, settings=settings, progress=output.progress)
    if result.unwritten:
        output.warn(f"the result of this check cannot be recorded: {result.unwritten}")
    output.result(_facts(result), *_page(result))
    return _exit_code(result)


def _facts(result: CheckResult) -> dict[str, Any]:
    return {
        "good": not result.marks and not result.content.broken,
        "blobs": len(result.content.targets),
        "bytes": result.content.size,
        "resumed": result.resumed,
        "damaged": [
            {"digest": mark.digest, "problem": mark.problem, "of": list(mark.of)}
            for mark in result.marks
        ],
        "broken": [
            {"bundle": broken.name, "problem": broken.problem} for broken in result.content.broken
        ],
    }


def _page(result: CheckResult) -> list[str]:
    count = counted(len(result.content.targets), "blob")
    bundles = counted(len(result.content.bundles), "bundle")
    checked = f"{count} with {readable_size(result.content.size)}, of {bundles}"
    bad = len(result.marks) + len(result.content.broken)
    if not bad:
        return [f"the depot is intact: {checked}"]
    lines = [f"the depot is damaged: {counted(bad, 'thing')} of {checked}"]
    lines += [_line(mark) for mark in result.marks]
    lines += [f"  bundle {found.name}: {found.problem}" for found in result.content.broken]
    return [*lines, _RESTORE]


def _line(mark: Mark) -> str:
    return f"  blob {mark.digest} is {PROBLEM_WORDS[mark.problem]}: {told(mark.of)}"


def _exit_code(result: CheckResult) -> int:
    codes = {_CODES.get(mark.problem, IntegrityError.exit_code) for mark in result.marks}
    codes |= {IntegrityError.exit_code for _ in result.content.broken}
    if not codes:
        return 0
    return codes.pop() if len(codes) == 1 else IntegrityError.exit_code


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
