"""The depot's worker processes: granian's, that share one socket and can be replaced unnoticed.

Source: docs/adr/0034-the-depot-under-load.md.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from granian._granian import SocketHolder
from granian.server.mp import MPServer

from installer.serving.content import logger
from installer.serving.listening import BACKLOG

_START_SECONDS: Final = 120.0
"""For new workers to load the depot and answer, before the old ones stay instead."""
_RETIRE_SECONDS: Final = 3600.0
"""How long downloads that a replaced worker began may go on."""
_LOOK_SECONDS: Final = 0.5
_GENERATIONS: Final = 4
"""Replaced workers whose downloads go on, at most; older ones end."""


class WorkerLink:
    """What the parent and its workers tell each other.

    Workers report when they are ready. A worker whose parent was killed would go on serving and
    hold the port, with nothing left to stop it; the read end of `alive` tells it. A worker that is
    replaced takes no new connection and ends when its last one has.
    """

    def __init__(self, listening: int) -> None:
        """Make the pipes.

        Args:
            listening: The descriptor from which workers accept connections.
        """
        self.retired = False
        self.settled = threading.Event()
        self._listening = listening
        self._ready_read = self._ready_write = -1
        self._alive_read, self._alive_write = os.pipe()
        self._deadline = 0.0

    def close(self) -> None:
        """Close what this process holds."""
        for descriptor in (self._alive_read, self._alive_write):
            os.close(descriptor)
        self._close_ready()

    def expect(self) -> None:
        """Make ready for reports of workers that are to be started."""
        self._close_ready()
        self._ready_read, self._ready_write = os.pipe()

    def wait_ready(self, workers: int, go_on: Callable[[], bool]) -> bool:
        """Wait until so many workers have reported; false if they do not, or `go_on` is false."""
        seen = 0
        deadline = time.monotonic() + _START_SECONDS
        while seen < workers and go_on() and time.monotonic() < deadline:
            readable, _, _ = select.select([self._ready_read], [], [], _LOOK_SECONDS)
            if readable:
                seen += len(os.read(self._ready_read, workers - seen))
        self.settled.set()
        return seen >= workers

    def enter_worker(self) -> None:
        """Let go of the ends that only the parent may hold."""
        os.close(self._alive_write)
        os.close(self._ready_read)

    def report(self, loop: Any) -> None:
        """Report this worker, and see to its end when the parent is gone or wants another."""
        loop.add_reader(self._alive_read, self._orphaned, loop)
        loop.add_signal_handler(signal.SIGUSR1, self._retire, loop)
        # The loop runs only once the socket is accepted from.
        loop.call_soon(self._tell)

    def _close_ready(self) -> None:
        if self._ready_read >= 0:
            os.close(self._ready_read)
            os.close(self._ready_write)
            self._ready_read = self._ready_write = -1

    def _orphaned(self, loop: Any) -> None:
        loop.remove_reader(self._alive_read)
        os.kill(os.getpid(), signal.SIGTERM)

    def _tell(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self._ready_write, b"+")

    def _retire(self, loop: Any) -> None:
        """Accept from a socket that nobody knows, so that new connections go to other workers.

        Closing ours would do the same, but granian ends handshakes under way when it stops
        listening; they are a client's first words and are answered here.
        """
        if self.retired:
            return
        self.retired = True
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            deaf.settimeout(0)
            os.dup2(deaf.fileno(), self._listening)
        self._deadline = time.monotonic() + _RETIRE_SECONDS
        loop.call_later(_LOOK_SECONDS, self._end_when_idle, loop)

    def _end_when_idle(self, loop: Any) -> None:
        if open_connections() and time.monotonic() < self._deadline:
            loop.call_later(_LOOK_SECONDS, self._end_when_idle, loop)
        else:
            os.kill(os.getpid(), signal.SIGTERM)


def open_connections() -> int:
    """Count this process's connections over IP."""
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(path.stat().st_mode):
                continue
            with socket.socket(fileno=os.dup(int(path.name))) as found:
                over_ip = found.family in (socket.AF_INET, socket.AF_INET6)
                count += over_ip and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return count


_Supervisor: Any = MPServer
_OwnSocket: Any = SocketHolder
"""Their types do not reach as far as what is used here."""
_NOT_A_PATH: Final = False


class WorkerPool(_Supervisor):  # type: ignore[misc]
    """granian's supervisor over one listening socket.

    Replaced are: which socket and which files workers get, what SIGHUP does, and which workers are
    stopped in the end.
    """

    def attach(
        self,
        accepting: socket.socket,
        link: WorkerLink,
        renew: Callable[[], tuple[Path, Path] | None],
    ) -> None:
        """Say what the workers share.

        Args:
            accepting: A socket that listens.
            link: Between this process and its workers.
            renew: Called at SIGHUP; returns the certificate and the key that new workers show, or
                nothing if the workers are to stay.
        """
        self._accepting = accepting
        self._link = link
        self._renew = renew
        self._replaced: list[Any] = []
        self.wrks: list[Any] = []

    def build_ssl_context(self, cert: Path, key: Path, *rest: Any) -> None:
        """Take paths as they are: those of files in memory lead nowhere when they are resolved."""
        password, protocol, *_ = rest
        self.ssl_ctx: tuple[Any, ...] = (
            True,
            str(cert),
            str(key),
            password,
            str(protocol),
            None,
            [],
            False,
        )

    def _init_shared_socket(self) -> None:
        self._ssp = None
        self._sso = None
        self._sfd = self._accepting.fileno()
        self._shd = _OwnSocket(self._sfd, _NOT_A_PATH, BACKLOG)
        self._link.expect()

    def _drop_shared_socket(self) -> None:
        self._accepting.close()

    def _reload(self, spawn_target: Any, target_loader: Any) -> None:
        """Start workers with the certificate that there is now, then retire the others."""
        self._link.settled.wait()
        self.reload_signal = False
        self.respawned_wrks.clear()
        self.main_loop_interrupt.clear()
        found = self._renew()
        if found is None:
            return
        certificate, key = found
        self.ssl_ctx = (self.ssl_ctx[0], str(certificate), str(key), *self.ssl_ctx[3:])
        self._link.expect()
        started = []
        for number in range(self.workers):
            worker = self._spawn_worker(
                idx=number, target=spawn_target, callback_loader=target_loader
            )
            worker.start()
            started.append(worker)

        def go_on() -> bool:
            return not self.interrupt_signal and all(worker.is_alive() for worker in started)

        if not self._link.wait_ready(len(started), go_on):
            logger.error("new workers did not start; the old ones continue")
            for worker in started:
                worker.terminate()
        else:
            self._retire(self.wrks)
            self.wrks = started
        # Which of the two a worker was that ended meanwhile, its number does not say.
        ended = [number for number, worker in enumerate(self.wrks) if not worker.is_alive()]
        self.interrupt_children[:] = ended

    def _retire(self, workers: list[Any]) -> None:
        self._replaced = [worker for worker in self._replaced if worker.is_alive()]
        for worker in workers:
            worker.interrupt_by_parent = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker._id(), signal.SIGUSR1)  # noqa: SLF001 - its process number
        self._replaced += workers
        for worker in self._replaced[: -_GENERATIONS * self.workers]:
            worker.terminate()

    def _stop_workers(self) -> None:
        self.wrks += [worker for worker in self._replaced if worker.is_alive()]
        super()._stop_workers()
