"""Running external programs: git, helm, apt, dnf, and others that do a job best.

Everything that starts a program takes a `Runner`, so that its calls can be observed.
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

_READ: Final = 64 * KIB
_SHOWN: Final = 1200
"""Characters of a program's own output in an error: the last lines tell what went wrong."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The result of a program.

    Attributes:
        code: Its exit code; negative for a signal.
        output: Its standard output, which may be a secret; empty where it went into a file.
        errors: Its standard error.
    """

    code: int
    output: bytes = field(repr=False)
    errors: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Streams:
    """The standard input and output of a program.

    Attributes:
        given: On its standard input; in memory only, so it may be a secret.
        into: Where its standard output goes, instead of to memory.
    """

    given: bytes = field(default=b"", repr=False)
    into: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits on a program.

    Attributes:
        seconds: Timeout, after which it is killed along with its children.
        file_bytes: The largest file that it may write; unlimited if omitted.
    """

    seconds: float = 600.0
    file_bytes: int | None = None


USUAL_STREAMS: Final = Streams()
USUAL_BOUNDS: Final = Bounds()
"""For one run; callers that need longer say so."""


class Runner(Protocol):
    """Runs a program until it ends."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        streams: Streams = USUAL_STREAMS,
        bounds: Bounds = USUAL_BOUNDS,
    ) -> Finished:
        """Run it.

        Args:
            command: The program and its arguments; never a shell command line, never a secret.
            folder: Working directory; that of this process if omitted.
            environment: Added to this process's own; an empty value removes a variable.
            streams: Its standard input, and where its output goes.
            bounds: Limits on its time and its files.
        Raises:
            MissingProgramError: The program is not installed.
            ProgramError: It timed out, or printed too much.
        """


def run_program(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    streams: Streams = USUAL_STREAMS,
    bounds: Bounds = USUAL_BOUNDS,
) -> Finished:
    """Run a program on this machine; the production `Runner`."""
    wanted = {**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})}
    source = _in_memory(streams.given) if streams.given else subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={name: value for name, value in wanted.items() if value},
            stdin=source,
            stdout=subprocess.PIPE if streams.into is None else streams.into,
            stderr=subprocess.PIPE,
            # Its children are killed with it; git leaves its work to others.
            process_group=0,
        )
    except (FileNotFoundError, PermissionError) as error:
        if folder is not None and not folder.is_dir():
            raise ProgramError(
                f"{command[0]}: {folder} is not a usable working directory", "Check the path."
            ) from error
        raise MissingProgramError(
            f"cannot find the program {command[0]!r} on this machine",
            f"Install {Path(command[0]).name}, and make sure that it is on the PATH.",
            {"program": command[0]},
        ) from error
    finally:
        if source != subprocess.DEVNULL:
            os.close(source)
    try:
        if (most := bounds.file_bytes) is not None:
            # It has not started any child yet, so none escapes the limit.
            with suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))
        output, errors = _listen(process, command[0], bounds.seconds)
    finally:
        _end(process)
    return Finished(process.returncode, output, errors)


def _in_memory(given: bytes) -> int:
    """Return the descriptor of a file in memory, which unlike a pipe needs no writer."""
    descriptor = os.memfd_create("given")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(given)
        file.seek(0)
    return descriptor


def _listen(process: subprocess.Popen[bytes], name: str, seconds: float) -> tuple[bytes, bytes]:
    """Read what a program prints until it ends, up to the limit.

    Raises:
        ProgramError: It timed out, or printed too much.
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
                        f"{name}: expected at most {MAX_PROGRAM_BYTES} bytes of output, "
                        "found more, and stopped it",
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
    """Leave nothing behind: neither the program, unless it has ended, nor its children."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _late(name: str, seconds: float) -> ProgramError:
    return ProgramError(
        f"{name}: did not finish within {seconds:.0f} s, and was stopped",
        "Run it by hand to see what it is waiting for.",
        {"program": name},
    )


def require_success(done: Finished, what: str, hint: str) -> bytes:
    """Return the standard output of a program that succeeded.

    Args:
        done: How it ended.
        what: Its task, such as `helm template web`.
        hint: What to do if it failed.
    Raises:
        ProgramError: It failed; the error has the end of its standard error.
    """
    if done.code == 0:
        return done.output
    words = done.errors.decode("utf-8", "replace").strip() or "it printed nothing"
    raise ProgramError(
        f"{what}: expected exit code 0, found {done.code}: {words[-_SHOWN:]}",
        hint,
        {"exitCode": done.code},
    )
