"""Running the programs of this machine: git, helm, apt, dnf, and what else does a job best.

Everything that starts a program takes a `Runner`, so that what is asked of it can be seen.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from bundle.model.errors import MissingProgramError, ProgramError

DEFAULT_SECONDS: Final = 600.0
"""For one run; what may take longer says so."""

_SHOWN: Final = 1200
"""Characters of a program's own words within an error: the last lines say what went wrong."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended.

    Attributes:
        code: Its exit code; negative for a signal.
        output: Its standard output; empty where it went into a file.
        errors: Its standard error.
    """

    code: int
    output: bytes
    errors: bytes


class Runner(Protocol):
    """Runs a program to its end."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        into: BinaryIO | None = None,
        seconds: float = DEFAULT_SECONDS,
    ) -> Finished:
        """Run it.

        Args:
            command: The program and its arguments; never a shell's line, never a secret.
            folder: Where it works; this process's own folder when left out.
            environment: Added to this process's own; an empty value takes a variable away.
            into: Where its standard output goes, instead of into memory.
            seconds: After which it is ended.
        Raises:
            MissingProgramError: There is no such program here.
            ProgramError: It did not end in time.
        """


def run_program(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    into: BinaryIO | None = None,
    seconds: float = DEFAULT_SECONDS,
) -> Finished:
    """Run a program of this machine; the `Runner` that is not a test's."""
    wanted = {**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}
    try:
        done = subprocess.run(
            list(command),
            cwd=folder,
            env={name: value for name, value in wanted.items() if value},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if into is None else into,
            stderr=subprocess.PIPE,
            check=False,
            timeout=seconds,
        )
    except (FileNotFoundError, PermissionError) as error:
        if folder is not None and not folder.is_dir():
            raise ProgramError(
                f"{command[0]}: {folder} is not a folder it could work in", "Check the path."
            ) from error
        raise MissingProgramError(
            f"this machine has no {command[0]!r} that can be run",
            f"Install {Path(command[0]).name}, and see that it is on the PATH.",
            {"program": command[0]},
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ProgramError(
            f"{command[0]}: expected an end within {seconds:.0f} s, and ended it then",
            "Run it by hand to see what it waits for.",
            {"program": command[0]},
        ) from error
    return Finished(done.returncode, done.stdout or b"", done.stderr)


def require_success(done: Finished, what: str, hint: str) -> bytes:
    """Return what a program printed.

    Args:
        done: How it ended.
        what: What it was to do, such as `helm template web`.
        hint: What to do when it failed.
    Raises:
        ProgramError: It failed; the error has its last words.
    """
    if done.code == 0:
        return done.output
    words = done.errors.decode("utf-8", "replace").strip() or "it said nothing"
    raise ProgramError(
        f"{what}: expected exit code 0, found {done.code}: {words[-_SHOWN:]}",
        hint,
        {"exitCode": done.code},
    )
