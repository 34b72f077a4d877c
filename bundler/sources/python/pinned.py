"""Pinning requirements that are not complete: by uv, for a machine that is not this one.

pip would judge markers by the Python that runs it. uv resolves for any Python and C library, and
writes what it found as requirements with hashes, which then go the way of all others.

Source: uv, "Resolution", "Platform-specific resolution"; `uv pip compile --help`.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Final

from bundle.base.errors import MissingProgramError
from bundle.base.extras import VENDOR, how_to_install
from bundle.store.atomic import storage_errors
from bundle.store.programs import Runner, require_success
from bundler.sources.common.context import PythonWant
from bundler.sources.python.target import Target

_GLIBC: Final[tuple[int, ...]] = (17, 28, *range(31, 41))
"""The second numbers of the C libraries that uv can be asked for."""


_UNSET: Final = (
    "CONFIG_FILE",
    "CONSTRAINT",
    "DEFAULT_INDEX",
    "EXCLUDE_NEWER",
    "EXTRA_INDEX_URL",
    "FIND_LINKS",
    "INDEX",
    "INDEX_URL",
    "OVERRIDE",
    "PRERELEASE",
    "RESOLUTION",
)
"""Of uv's variables, those that could change which versions are found."""


def pin_requirements(want: PythonWant, target: Target, index: str, run: Runner) -> str:
    """Resolve what some content wants for one kind of machine.

    Args:
        want: Its requirements, which may lack pins, hashes and what they need in turn.
        target: The machine.
        index: Address of the only index that counts.
        run: Runs uv.
    Returns:
        Requirements with pins and hashes.
    Raises:
        MissingProgramError: There is no uv.
        ProgramError: uv failed; its words say what does not fit together.
    """
    with storage_errors("make a temporary folder"), tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.in"
        asked.write_text(want.requirements, encoding="utf-8")
        done = run(
            [
                *_uv(),
                "pip",
                "compile",
                str(asked),
                "--no-config",
                "--quiet",
                "--color=never",
                "--no-header",
                "--no-annotate",
                "--generate-hashes",
                "--only-binary=:all:",
                "--native-tls",
                # Whatever uv has kept of the index, it counts as the index has it now.
                "--refresh",
                f"--default-index={index}",
                f"--python={sys.executable}",
                f"--python-version={target.python}",
                f"--python-platform={target.machine}-manylinux_2_{_glibc(target)}",
            ],
            folder=Path(folder),
            environment={f"UV_{name}": "" for name in _UNSET},
        )
    what = f"pin the requirements of {want.by} for {target}"
    hint = "Its output says which packages conflict, or are not on the index."
    return require_success(done, what, hint).decode("utf-8", "replace")


def _uv() -> list[str]:
    """Return uv as it is installed with us, wherever the PATH leads."""
    if importlib.util.find_spec("uv") is None:
        raise MissingProgramError(
            "unpinned requirements need uv, which is not installed here",
            how_to_install(VENDOR),
            {"program": "uv"},
        )
    return [sys.executable, "-m", "uv"]


def _glibc(target: Target) -> int:
    """Return the newest C library that uv knows and the machine surely has."""
    newest = int(target.glibc.partition(".")[2])
    return max([known for known in _GLIBC if known <= newest] or [_GLIBC[0]])
