"""Wheels of a locked requirements file, and pip of a certain version: brought once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from bundle.store.programs import run_program
from bundler.sources.python.simple_index import pip_index
from tests.support.programs.needs import requires_index

_SECONDS = 900


def locked_wheels(requirements: Path) -> Path:
    """Return a folder with the wheels that a complete requirements file pins."""
    key = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    return _brought(f"wheels-{key}", ["--no-deps", "--require-hashes", "-r", str(requirements)])


def pip_wheel(version: str) -> Path:
    """Return the wheel of pip, of a version or, when that is empty, the newest."""
    wanted = f"pip=={version}" if version else "pip"
    (wheel,) = _brought(f"pip-{version or 'newest'}", ["--no-deps", wanted]).glob("pip-*.whl")
    return wheel


def _brought(name: str, asked: list[str]) -> Path:
    requires_index(pip_index(run_program))
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isoward" / "pip"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / name
    # Two test processes must not bring the same at once.
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            partial = base / f"{name}.partial"
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(partial)]
            subprocess.run(
                [*command, "--only-binary", ":all:", *asked], check=True, timeout=_SECONDS
            )
            partial.rename(folder)
    return folder
