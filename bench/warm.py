"""A build whose content is in the cache already: links, checks and signatures, and no request."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from bench.content import LAYERS, write_layout
from bench.journey import Kit, prepare
from bench.measure import MIB, Run, isoward_result, median_of
from bench.report import Section, Stamp, table
from tests.support.registries.content import content_of_layout
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry

_GOAL_SECONDS = 3.0
_GOAL_BYTES = 10_000 * MIB
"""For so many bytes or less that is the goal."""

_TEXT = """\
{size} MiB of content that does not compress, in {images} images of {layers} layers, all of it in
the cache, on the filesystem of the bundle; medians of {rounds} rounds. What has its name in the
cache matched its digest before it got it, and becomes the bundle's by a hard link; `isoward verify`
reads all of it again.

{table}

{stamp}
"""


def warm(work: Path, stamp: Stamp, size_mib: int, images: int, rounds: int) -> Section:
    """Measure builds from a cache of so much content.

    Raises:
        SystemExit: The disk has no room for it.
    """
    size = size_mib * MIB
    if shutil.disk_usage(work).free < size * 5 // 4:
        raise SystemExit(f"bench: {work} has no room for {size_mib} MiB; choose --warm-mib")
    kit = Kit(work, work, rounds)
    layout = work / "layout"
    names = [f"bench/image-{i}:1" for i in range(images)]
    write_layout(layout, names, size // images // LAYERS)
    runs, fetched, blobs, asked = [], 0, 0, 0
    with faulty_registry(content_of_layout(layout)) as registry:
        prepare(kit, [f"{registry.host}/{name}" for name in names])
        _fill_cache(layout, work / "cache")
        for _ in range(rounds):
            shutil.rmtree(kit.bundle, ignore_errors=True)
            # What was written before must not be written during the measurement.
            os.sync()
            took, said = _build(kit, registry)
            runs.append(took)
            fetched += said["fetched"]
            blobs = said["blobs"]
            asked += len(registry.log.entries)
    found = median_of(runs)
    goal = f"≤ {_GOAL_SECONDS:.0f} s"
    line = [f"{blobs}", f"{fetched}", f"{asked}", f"**{found.seconds:.2f} s**", goal]
    head = ("blobs", "fetched", "requests", "time", "goal", "memory")
    lines = table(head, [[*line, f"{found.memory:.0f} MiB"]])
    missed = [f"build: {fetched} blobs fetched, {asked} requests"] if fetched or asked else []
    if found.seconds > _GOAL_SECONDS and size <= _GOAL_BYTES:
        missed.append(f"build from a warm cache: {found.seconds:.2f} s")
    text = _TEXT.format(
        size=size_mib, images=images, layers=LAYERS, rounds=rounds, table=lines, stamp=stamp
    )
    return Section("Build from a warm cache", text, tuple(missed))


def _fill_cache(layout: Path, cache: Path) -> None:
    """Put all that the registry has into the cache; links, so that it is on the disk once."""
    for blob in (layout / "blobs" / "sha256").iterdir():
        target = cache / "blobs" / "sha256" / blob.name
        if not target.exists():
            os.link(blob, target)


def _build(kit: Kit, registry: FaultyRegistry) -> tuple[Run, dict[str, Any]]:
    registry.log.clear()
    return isoward_result(
        *("build", kit.lock, "-o", kit.bundle, "--cache", kit.work / "cache"),
        *("--release", kit.work / "release", "--key", kit.key("builder")),
    )
