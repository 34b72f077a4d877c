"""Runs on a node: the file systems below the folders that an installation writes to."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

_BLOCK = b"x" * 2300
"""As much as etcd writes at once (etcd's own advice on measuring a disk)."""
_MEASURED_SECONDS = 1.0
_MOST_WRITES = 4000


def facts(want: dict[str, Any]) -> dict[str, Any]:
    """Return where each folder would be, and how fast etcd's disk is, where it is asked for."""
    return {
        "places": {place: _place(Path(place)) for place in want["places"]},
        "sync": _sync(_existing(Path(want["etcd_folder"]))) if want["etcd_folder"] else None,
    }


def _place(path: Path) -> dict[str, Any]:
    at = _existing(path)
    system = os.statvfs(at)
    return {
        "at": str(at),
        "device": at.stat().st_dev,
        "free": system.f_bavail * system.f_frsize,
        "files": system.f_files,
        "files_free": system.f_favail,
        "read_only": bool(system.f_flag & os.ST_RDONLY),
        "no_exec": bool(system.f_flag & os.ST_NOEXEC),
    }


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _sync(folder: Path) -> dict[str, Any]:
    """Write small blocks, each of them to the disk itself; the file has no name and is gone after.

    Source: etcd, "Hardware recommendations": the 99th percentile of fdatasync.
    """
    taken: list[float] = []
    with tempfile.TemporaryFile(dir=str(folder), buffering=0) as file:
        end = time.monotonic() + _MEASURED_SECONDS
        while time.monotonic() < end and len(taken) < _MOST_WRITES:
            start = time.perf_counter()
            file.write(_BLOCK)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - start)
    taken.sort()
    slow = taken[min(len(taken) - 1, int(len(taken) * 0.99))]
    return {"at": str(folder), "writes": len(taken), "slow_ms": round(slow * 1000, 2)}
