"""`python -m bench`: measure, print the table, and with --write keep it in docs/BENCHMARKS.md."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.content import source
from bench.journey import (
    Kit,
    build_rows,
    depot_rows,
    import_rows,
    inspect_seconds,
    prepare,
    verify_rows,
)
from bench.measure import Row

MIB = 1024 * 1024
_REPORT = Path(__file__).parent.parent / "docs" / "BENCHMARKS.md"
_SHARED_MEMORY = Path("/dev/shm")


def main() -> int:
    """Measure and return 0 when every goal is met, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--size-mib", type=int, default=2048, help="content of the bundle")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many runs counts")
    parser.add_argument("--write", action="store_true", help="keep the table in docs/BENCHMARKS.md")
    arguments = parser.parse_args()
    for tool in ("docker-registry", "skopeo", "nginx", "curl", "sha256sum"):
        if shutil.which(tool) is None:
            raise SystemExit(f"bench: {tool} is needed and not here")
    rows, inspect = _measure(arguments.size_mib * MIB, arguments.images, arguments.rounds)
    table = _table(rows, inspect, arguments.size_mib, arguments.images, arguments.rounds)
    print(table)
    if arguments.write:
        _REPORT.write_text(table)
    missed = [row for row in rows if not row.met]
    for row in missed:
        print(f"bench: goal missed: {row.what} against {row.peer_name}: {row.ratio:.2f}")
    return 1 if missed else 0


def _measure(size: int, images: int, rounds: int) -> tuple[list[Row], float]:
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isoward-bench-")))
        medium = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="isoward-", dir=_SHARED_MEMORY))
        )
        kit = Kit(work, medium, rounds)
        with source(work / "upstream", images, size) as upstream:
            prepare(kit, upstream)
            rows = build_rows(kit, upstream)
        shutil.rmtree(work / "upstream")
        rows += verify_rows(kit)
        inspect = inspect_seconds(kit)
        rows += import_rows(kit)
        rows += depot_rows(kit)
    return rows, inspect


_INTRODUCTION = """\
# Benchmarks

Made by `make bench`: each command against a peer or against the limit, in turn, on one machine in
one run. {size} MiB of content that does not compress, in {images} images of 4 layers; medians of
{rounds} rounds; files in the page cache; the work folder on the machine's disk, the medium of the
import on another filesystem, so that it has to copy. isoward syncs what it writes; skopeo does not.

| command | isoward | peer | | ratio | goal | memory |
|---|---|---|---|---|---|---|
{rows}

`isoward inspect` answers in {inspect:.2f} s (goal: under 0.3 s).

Measured on {date:%Y-%m-%d}: {cores} cores, {system}, Python {python}.
"""


def _table(rows: list[Row], inspect: float, size: int, images: int, rounds: int) -> str:
    return _INTRODUCTION.format(
        size=size,
        images=images,
        rounds=rounds,
        rows="\n".join(_line(row) for row in rows),
        inspect=inspect,
        date=datetime.now(UTC),
        cores=os.cpu_count(),
        system=platform.system(),
        python=platform.python_version(),
    )


def _line(row: Row) -> str:
    sign = "≤" if row.unit == "s" else "≥"
    cells = [
        row.what,
        f"{row.ours:.2f} {row.unit}",
        f"{row.peer:.2f} {row.unit}",
        row.peer_name,
        f"**{row.ratio:.2f}**",
        f"{sign} {row.goal}",
        f"{row.memory:.0f} MiB" if row.memory else "",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
