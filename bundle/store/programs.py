"""Running the programs of this machine: git, helm, apt, dnf, and what else does a job best.

Everything that starts a program takes a `Runner`, so that what is asked of it can be seen.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, Final, Protocol, cast

from bundle.base.errors import MissingProgramError, ProgramError
from bundle.base.limits import KIB, MAX_PROGRAM_BYTES

DEFAULT_SECONDS: Final = 600.0
"""For one run; what may take longer says so."""

_READ: Final = 64 * KIB
_SHOWN: Final = 1200
"""Characters of a program's own words within an error: the last lines say what went wrong."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ended.

    Attributes:
        code: Its exit code; negative for a signal.
        output: Its standard output, which may be a secret; empty where it went into a file.
        errors: Its standard error.
    """

    code: int
    output: bytes = field(repr=False)
    errors: bytes = field(repr=False)


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
        file_bytes: int | None = None,
        given: bytes = b"",
    ) -> Finished:
        """Run it.

        Args:
            command: The program and its arguments; never a shell's line, never a secret.
            folder: Where it works; this process's own folder when left out.
            environment: Added to this process's own; an empty value takes a variable away.
            into: Where its standard output goes, instead of into memory.
            seconds: After which it is ended, with what it started.
            file_bytes: The largest file that it may write; no limit when left out.
            given: On its standard input; in memory only, so it may be a secret.
        Raises:
            MissingProgramError: There is no such program here.
            ProgramError: It did not end in time, or printed without end.
        """


def run_program(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    into: BinaryIO | None = None,
    seconds: float = DEFAULT_SECONDS,
    file_bytes: int | None = None,
    given: bytes = b"",
) -> Finished:
    """Run a program of this machine; the `Runner` that is not a test's."""
    wanted = {**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}
    source = _in_memory(given) if given else subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={name: value for name, value in wanted.items() if value},
            stdin=source,
            stdout=subprocess.PIPE if into is None else into,
            stderr=subprocess.PIPE,
            # What it starts itself ends with it; git leaves its work to others.
            process_group=0,
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
    finally:
        if source != subprocess.DEVNULL:
            os.close(source)
    try:
        if file_bytes is not None:
            # It has not started a program of its own yet, so none of them is without the limit.
            with suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        output, errors = _listen(process, command[0], seconds)
    finally:
        _end(process)
    return Finished(process.returncode, output, errors)


def _in_memory(given: bytes) -> int:
    """Return the descriptor of a file in memory, which unlike a pipe needs nobody to fill it."""
    descriptor = os.memfd_create("given")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(given)
        file.seek(0)
    return descriptor


def _listen(process: subprocess.Popen[bytes], name: str, seconds: float) -> tuple[bytes, bytes]:
    """Read what a program prints until it ends, and no more than anybody would read.

    Raises:
        ProgramError: It does not end in time, or prints without end.
    """
    end = time.monotonic() + seconds
    heard = {pipe: bytearray() for pipe in (process.stdout, process.stderr) if pipe is not None}
    with selectors.DefaultSelector() as ready:
        for pipe in heard:
            ready.register(pipe, selectors.EVENT_READ)
        while ready.get_map():
            for key, _ in ready.select(max(0.0, end - time.monotonic())):
                data = os.read(key.fd, _READ)
                if not data:
                    ready.unregister(key.fileobj)
                said = heard[cast("IO[bytes]", key.fileobj)]
                said += data
                if len(said) > MAX_PROGRAM_BYTES:
                    raise ProgramError(
                        f"{name}: expected at most {MAX_PROGRAM_BYTES} bytes of what it prints, "
                        "and ended it then",
                        "Run it by hand to see what it says; a server may send it messages "
                        "without end.",
                        {"program": name},
                    )
            if time.monotonic() >= end:
                raise _late(name, seconds)
    try:
        process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise _late(name, seconds) from error
    output = heard[process.stdout] if process.stdout is not None else b""
    errors = heard[process.stderr] if process.stderr is not None else b""
    return bytes(output), bytes(errors)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind: neither the program, unless it has ended, nor what it started."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _late(name: str, seconds: float) -> ProgramError:
    return ProgramError(
        f"{name}: expected an end within {seconds:.0f} s, and ended it then",
        "Run it by hand to see what it waits for.",
        {"program": name},
    )


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
