"""Running granian over the depot, in the foreground, until a signal ends it.

Source: docs/adr/0005-granian.md, which has the measurements behind the settings.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

from granian.constants import HTTPModes, Interfaces, RuntimeModes, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels

from bundle.base.errors import StorageError, UsageError
from installer.depot.directory import DepotDirectory
from installer.serving.app import DepotApp
from installer.serving.content import logger
from installer.serving.listening import BACKLOG, CONNECTIONS, listening, room_for_connections
from installer.serving.log_lines import AccessFormatter, LineFormatter
from installer.serving.shown import ShownIdentity
from installer.serving.workers import WorkerLink, WorkerPool

DEFAULT_PORT: Final = 5443
DEFAULT_WORKERS: Final = 2
_RUNTIME_THREADS: Final = 2
"""Of each worker: two downloads that the kernel gave to one worker do not share one core."""
_IDLE_SECONDS: Final = 15
"""How long a connection may have no whole request; clients open another without a word."""
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
        "isoward.depot": {"handlers": ["console"], "level": "INFO", "propagate": False},
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


class Shown(Protocol):
    """A certificate that workers show."""

    @property
    def certificate(self) -> Path:
        """The chain, PEM."""

    @property
    def key(self) -> Path:
        """Its key, PEM."""

    def renew(self) -> tuple[Path, Path] | None:
        """Take the certificate and the key that there are now, if they hold, and say where."""


def serve(
    depot: DepotDirectory, shown: ShownIdentity, listen: Listen, ready: Callable[[int], None]
) -> int:
    """Serve `depot` until SIGTERM or SIGINT; SIGHUP takes the certificate that there is by then.

    Args:
        depot: Checked and open.
        shown: The certificate to show, and where the next one comes from.
        listen: Where and how.
        ready: Called once, from a thread, with the port, when requests are answered.
    Returns:
        The signal that ended it.
    Raises:
        UsageError: The address is not this machine's, or the port is taken.
        StorageError: The worker processes ended by themselves.
    """
    with listening(listen.address, listen.port) as accepting:
        port = int(accepting.getsockname()[1])
        # Workers inherit the pipes, which takes a fork; from 3.14 on it is not the default.
        multiprocessing.set_start_method("fork", force=True)
        link = WorkerLink(accepting.fileno())
        server = worker_pool(accepting, link, shown, listen)
        received: list[int] = []

        def on_signal(number: int, frame: FrameType | None) -> None:
            received.append(number)
            server.signal_handler_interrupt(number, frame)

        def wait() -> None:
            if link.wait_ready(listen.workers, lambda: not received):
                ready(port)
                shown.watch(server.signal_handler_reload)

        def on_startup() -> None:
            # After granian has set its own handlers, which do not tell one signal from another.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, on_signal)
            # A thread that only reads until every worker has been forked and has reported.
            threading.Thread(target=wait, daemon=True).start()

        server.on_startup(on_startup)
        try:
            server.serve(target_loader=partial(_load, depot, link, shown), wrap_loader=False)
        except SystemExit as error:
            raise StorageError(
                "the depot's server processes ended by themselves",
                "The log above says why; check memory and the depot's disk.",
            ) from error
        finally:
            link.close()
    return received[0] if received else signal.SIGTERM


def worker_pool(accepting: socket.socket, link: WorkerLink, shown: Shown, listen: Listen) -> Any:
    """Make granian's server, as the depot runs it and as a certificate is tried with it."""
    address, port = accepting.getsockname()[:2]
    room = room_for_connections()
    pool = WorkerPool(
        "isoward-depot",
        address=address,
        port=port,
        interface=Interfaces.RSGI,
        workers=listen.workers,
        runtime_mode=RuntimeModes.mt,
        runtime_threads=_RUNTIME_THREADS,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=_IDLE_SECONDS * 1000),
        websockets=False,
        backlog=BACKLOG,
        backpressure=room,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGGING,
        log_access=listen.access_log,
        log_access_format=_ACCESS_FORMAT,
        ssl_cert=shown.certificate,
        ssl_key=shown.key,
        ssl_protocol_min=SSLProtocols.tls13,
        respawn_failed_workers=True,
        workers_kill_timeout=_GRACE_SECONDS,
    )
    if room < CONNECTIONS:
        # Only now is there a log.
        text = "the limit on open files lets each of %d processes hold %d connections, not %d"
        logger.warning(text, listen.workers, room, CONNECTIONS)
    pool.attach(accepting, link, shown.renew)
    return pool


def _load(depot: DepotDirectory, link: WorkerLink, shown: ShownIdentity) -> DepotApp:
    """Make the application; runs in a worker process."""
    link.enter_worker()
    return DepotApp(depot, link, shown.identity)


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
        "--tls-cert and --tls-key must be given together",
        "Give both for the site's own certificate, or neither for one made by isoward.",
    )
