"""Child processes that never leak: started with a captured log, ended by their own id."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_POLL_SECONDS = 0.02
_READY_SECONDS = 30.0
_STOP_SECONDS = 10.0


class ProcessFailedError(RuntimeError):
    """A child ended before it was ready, or never became ready."""


@dataclass(frozen=True)
class Child:
    """A running child process.

    Attributes:
        name: For messages.
        process: The process; signals go to its id only.
        log: Its standard error, and its standard output unless that was sent elsewhere.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def tail(self, lines: int = 20) -> str:
        """Return the end of the log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, patience: float = _STOP_SECONDS) -> int:
        """End it: ask, wait, then kill; return its exit code."""
        if self.alive:
            self.process.terminate()
            try:
                return self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def kill(self) -> int:
        """End it with SIGKILL, as a power cut would; return its exit code."""
        if self.alive:
            self.process.kill()
        return self.process.wait()


def start(
    name: str,
    argv: Sequence[str | Path],
    log: Path,
    *,
    output: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Child:
    """Start a child; the caller must `stop` it.

    Args:
        name: For messages.
        argv: Program and arguments; no shell.
        log: Appended to with what it writes.
        output: Where its standard output goes, if not to the log.
        env: Set on top of this process's environment.
        cwd: Its working directory.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as err, (output or log).open("ab") as out:
        process = _popen(argv, out, err, env, cwd)
    return Child(name, process, log)


def _popen(
    argv: Sequence[str | Path],
    out: BinaryIO,
    err: BinaryIO,
    env: Mapping[str, str] | None,
    cwd: Path | None,
) -> subprocess.Popen[bytes]:
    # Its own session, so that Ctrl-C reaches us first and the children are ended in order.
    return subprocess.Popen(
        [str(part) for part in argv],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        start_new_session=True,
    )


@contextmanager
def running(
    name: str,
    argv: Sequence[str | Path],
    log: Path,
    *,
    ready: Callable[[], bool],
    timeout: float = _READY_SECONDS,
    output: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Child]:
    """Run a child until the end of the block, entering it once `ready` says so.

    Raises:
        ProcessFailedError: It ended or stayed unready; the message has the end of its log.
    """
    child = start(name, argv, log, output=output, env=env, cwd=cwd)
    try:
        wait_ready(child, ready, timeout)
        yield child
    finally:
        child.stop()


def wait_ready(child: Child, ready: Callable[[], bool], timeout: float = _READY_SECONDS) -> None:
    """Wait until `ready` says so.

    Raises:
        ProcessFailedError: The child ended, or the time is over.
    """
    deadline = time.monotonic() + timeout
    while True:
        if not child.alive:
            code = child.process.returncode
            raise ProcessFailedError(f"{child.name} ended with {code}:\n{child.tail()}")
        if ready():
            return
        if time.monotonic() > deadline:
            raise ProcessFailedError(
                f"{child.name} was not ready after {timeout:.0f} s:\n{child.tail()}"
            )
        time.sleep(_POLL_SECONDS)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that was free just now, for programs that cannot be given port 0."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
