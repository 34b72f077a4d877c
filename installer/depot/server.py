"""Running granian over the depot, in the foreground, until a signal ends it.

Source: docs/adr/0005-granian.md, which has the measurements behind the settings.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, RuntimeModes, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer

from bundle.model.errors import IsowardError, StorageError, UsageError
from installer.depot.app import DepotApp
from installer.depot.directory import DepotDirectory
from installer.depot.log_lines import AccessFormatter, LineFormatter
from installer.depot.tls import Identity

DEFAULT_PORT: Final = 5443
DEFAULT_WORKERS: Final = 2
_RUNTIME_THREADS: Final = 2
"""Of each worker: two downloads that the kernel gave to one worker do not share one core."""
_BACKLOG: Final = 1024
_GRACE_SECONDS: Final = 5
"""How long downloads under way may go on after a signal."""
_ACCESS_FORMAT: Final = '%(time)s %(addr)s "%(method)s %(path)s" %(status)d %(dt_ms).1f ms'
_LOGGING: Final[dict[str, Any]] = {
    "formatters": {
        "generic": {"()": LineFormatter, "fmt": "isoward: %(levelname)s: %(message)s"},
        "access": {"()": AccessFormatter, "fmt": "%(message)s"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "generic",
            "stream": "ext://sys.stderr",
        },
        "access": {
            "class": "logging.StreamHandler",
            "formatter": "access",
            "stream": "ext://sys.stderr",
        },
    },
    "loggers": {
        "_granian": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "granian.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
        "isoward.depot": {"handlers": ["console"], "level": "WARNING", "propagate": False},
    },
}


@dataclass(frozen=True, slots=True)
class Listen:
    """Where and how to serve.

    Attributes:
        address: An IP address of this machine.
        port: 0 for any that is free.
        workers: Processes.
        access_log: Whether each request is logged.
    """

    address: str = "0.0.0.0"  # noqa: S104 - nodes are other machines
    port: int = DEFAULT_PORT
    workers: int = DEFAULT_WORKERS
    access_log: bool = False


def serve(
    depot: DepotDirectory, identity: Identity, listen: Listen, ready: Callable[[int], None]
) -> int:
    """Serve `depot` until SIGTERM or SIGINT.

    Args:
        depot: Checked and open.
        identity: The certificate to show.
        listen: Where and how.
        ready: Called once, from a thread, with the port, when requests are answered.
    Returns:
        The signal that ended it.
    Raises:
        UsageError: The address is not this machine's, or the port is taken.
        StorageError: The worker processes ended by themselves.
    """
    with reserved_port(listen.address, listen.port) as port, _worker_link(listen.workers) as link:
        # Workers inherit the pipes, which takes a fork; from 3.14 on it is not the default.
        multiprocessing.set_start_method("fork", force=True)
        server = _server(identity, listen, port)
        received: list[int] = []

        def on_signal(number: int, frame: FrameType | None) -> None:
            received.append(number)
            server.signal_handler_interrupt(number, frame)

        def on_startup() -> None:
            # After granian has set its own handlers, which do not tell one signal from another.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, on_signal)
            # A thread that only reads until every worker has been forked and has reported.
            waiter = threading.Thread(target=link.wait_ready, args=(partial(ready, port),))
            waiter.daemon = True
            waiter.start()

        server.on_startup(on_startup)
        try:
            server.serve(target_loader=partial(_load, depot, link), wrap_loader=False)
        except SystemExit as error:
            raise StorageError(
                "the depot's server processes ended by themselves",
                "The log above says why; check memory and the depot's disk.",
            ) from error
    return received[0] if received else signal.SIGTERM


def _server(identity: Identity, listen: Listen, port: int) -> Any:
    return MPServer(
        "isoward-depot",
        address=listen.address,
        port=port,
        interface=Interfaces.RSGI,
        workers=listen.workers,
        runtime_mode=RuntimeModes.mt,
        runtime_threads=_RUNTIME_THREADS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(),
        websockets=False,
        backlog=_BACKLOG,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGGING,
        log_access=listen.access_log,
        log_access_format=_ACCESS_FORMAT,
        ssl_cert=identity.certificate,
        ssl_key=identity.key,
        ssl_protocol_min=SSLProtocols.tls13,
        respawn_failed_workers=True,
        workers_kill_timeout=_GRACE_SECONDS,
    )


def _load(depot: DepotDirectory, link: WorkerLink) -> DepotApp:
    """Make the application; runs in a worker process."""
    link.enter_worker()
    return DepotApp(depot, link.report)


class WorkerLink:
    """Two pipes between this process and its workers: who is ready, and whether we still live.

    A worker whose parent was killed would go on serving and hold the port, with nothing left to
    stop it; the read end of `alive` tells it.
    """

    def __init__(self, workers: int) -> None:
        """Make the pipes."""
        self._workers = workers
        self._ready_read, self._ready_write = os.pipe()
        self._alive_read, self._alive_write = os.pipe()

    def close(self) -> None:
        """Close what this process holds."""
        for descriptor in (self._ready_write, self._alive_read, self._alive_write):
            os.close(descriptor)

    def wait_ready(self, ready: Callable[[], None]) -> None:
        """Call `ready` once every worker has reported; ends quietly if they never do."""
        seen = 0
        while seen < self._workers:
            data = os.read(self._ready_read, self._workers)
            if not data:
                break
            seen += len(data)
        os.close(self._ready_read)
        if seen >= self._workers:
            ready()

    def enter_worker(self) -> None:
        """Let go of the end that only the parent may hold."""
        os.close(self._alive_write)

    def report(self, loop: Any) -> None:
        """Report this worker, and end it when the parent is gone."""
        loop.add_reader(self._alive_read, self._orphaned, loop)
        # The loop runs only once the socket listens.
        loop.call_soon(self._tell)

    def _orphaned(self, loop: Any) -> None:
        loop.remove_reader(self._alive_read)
        os.kill(os.getpid(), signal.SIGTERM)

    def _tell(self) -> None:
        # A worker that took the place of a failed one finds nobody reading any more.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._ready_write, b"+")


@contextlib.contextmanager
def _worker_link(workers: int) -> Iterator[WorkerLink]:
    link = WorkerLink(workers)
    try:
        yield link
    finally:
        link.close()


@contextlib.contextmanager
def reserved_port(address: str, port: int) -> Iterator[int]:
    """Hold a port that nobody else listens on, and yield its number.

    Workers share the port (SO_REUSEPORT), so that a second server of the same user would be let in
    without an error and take half of the connections; the first bind here asks without sharing.

    Raises:
        UsageError: The address is not this machine's, or the port is taken or privileged.
    """
    try:
        # Not a host name: it may stand for several addresses, and granian takes none.
        ipaddress.ip_address(address)
    except ValueError as error:
        raise UsageError(
            f"--address: expected an IP address, found {address[:100]!r}",
            "Give --address an address of this machine, or 0.0.0.0 for all of them.",
        ) from error
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            free = int(probe.getsockname()[1])
        held = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _cannot_listen(address, port, error) from error
    with held:
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((address, free))
        except OSError as error:
            raise _cannot_listen(address, port, error) from error
        yield free


def _cannot_listen(address: str, port: int, error: OSError) -> IsowardError:
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    if error.errno == errno.EADDRINUSE:
        hint = "Stop what listens there, or choose another port with --port."
    elif error.errno == errno.EACCES:
        hint = "Choose a port of 1024 or more with --port."
    else:
        hint = "Give --address an address of this machine, or 0.0.0.0 for all of them."
    return UsageError(f"cannot listen on {where}: {error.strerror or error}", hint)


def url_of(address: str, port: int) -> str:
    """Return the URL for a person: where a client on this machine finds the depot."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - not bound
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def key_paths(certificate: Path | None, key: Path | None) -> tuple[Path, Path] | None:
    """Return both paths or none.

    Raises:
        UsageError: One was given without the other.
    """
    if certificate is not None and key is not None:
        return certificate, key
    if certificate is None and key is None:
        return None
    raise UsageError(
        "--tls-cert and --tls-key go together: one was given without the other",
        "Give both for the site's own certificate, or neither for one that isoward makes.",
    )
