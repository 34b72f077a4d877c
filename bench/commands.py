"""Each command of the journey against a peer or against the limit."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
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
from bench.measure import MIB, Row
from bench.report import Section, Stamp, table

TOOLS = ("docker-registry", "skopeo", "nginx", "curl", "sha256sum")
_SHARED_MEMORY = Path("/dev/shm")
_TEXT = """\
Each command against a peer or against the limit, in turn. {size} MiB of content that does not
compress, in {images} images of 4 layers; medians of {rounds} rounds; files in the page cache; the
work folder on the machine's disk, the medium of the import on another filesystem, so that it has to
copy. isoward syncs what it writes; skopeo does not.

{table}

`isoward inspect` answers in {inspect:.2f} s (goal: under 0.3 s).

{stamp}
"""


def commands(work: Path, stamp: Stamp, size_mib: int, images: int, rounds: int) -> Section:
    """Measure the commands."""
    rows, inspect = _measure(work, size_mib * MIB, images, rounds)
    lines = table(
        ("command", "isoward", "peer", "", "ratio", "goal", "memory"), [_line(row) for row in rows]
    )
    text = _TEXT.format(
        size=size_mib, images=images, rounds=rounds, table=lines, inspect=inspect, stamp=stamp
    )
    missed = [f"{r.what} against {r.peer_name}: {r.ratio:.2f}" for r in rows if not r.met]
    return Section("Commands", text, tuple(missed))


def _measure(work: Path, size: int, images: int, rounds: int) -> tuple[list[Row], float]:
    with ExitStack() as stack:
        medium = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="isoward-", dir=_SHARED_MEMORY))
        )
        kit = Kit(work, medium, rounds)
        with source(work / "upstream", images, size) as upstream:
            prepare(kit, upstream.references)
            rows = build_rows(kit, upstream)
        shutil.rmtree(work / "upstream")
        rows += verify_rows(kit)
        inspect = inspect_seconds(kit)
        rows += import_rows(kit)
        rows += depot_rows(kit)
    return rows, inspect


def _line(row: Row) -> list[str]:
    sign = "≤" if row.unit == "s" else "≥"
    return [
        row.what,
        f"{row.ours:.2f} {row.unit}",
        f"{row.peer:.2f} {row.unit}",
        row.peer_name,
        f"**{row.ratio:.2f}**",
        f"{sign} {row.goal}",
        f"{row.memory:.0f} MiB" if row.memory else "",
    ]
