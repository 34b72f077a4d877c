"""Trying a certificate with the very server that is to show it, before anybody else meets it.

The server's TLS library has rules of its own and stops its process where they are not met; here
that is a process made for it, on a port of this machine that nobody knows.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import re
import resource
import signal
import socket
import ssl
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from bundle.base.errors import DefinitionError
from installer.serving.listening import listening
from installer.serving.server import Listen, worker_pool
from installer.serving.tls.held import HeldPair
from installer.serving.workers import WorkerLink

_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
_LOOPBACK: Final = "127.0.0.1"
_REASON: Final = re.compile(r"`Err` value: (.+)|PanicException: (.+)")
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What a pool needs to know of a certificate that is only tried."""

    certificate: Path
    key: Path

    def renew(self) -> None:
        """Nobody asks for another."""


def try_pair(pair: HeldPair, path: Path, leaf: bytes) -> None:
    """Serve with a certificate on loopback and shake hands with it once.

    Args:
        pair: Certificate and key.
        path: Where the certificate came from, for messages.
        leaf: What the server is to show, DER.
    Raises:
        DefinitionError: The server does not start with it, or does not show it.
    """
    with listening(_LOOPBACK, 0) as accepting, tempfile.TemporaryFile() as log:
        port = int(accepting.getsockname()[1])
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(accepting, _Candidate(pair.certificate, pair.key), log.fileno())
        )
        process.start()
        accepting.close()
        try:
            shown = _shake_hands(port, process)
        finally:
            process.terminate()
            process.join(_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
        if shown != leaf:
            raise DefinitionError(
                f"{path}: expected a certificate that the depot's TLS library takes, found one that"
                f" it refuses ({_reason(log)})",
                "Use a certificate of X.509 version 3 with a key on P-256 or RSA of 2048 bits.",
            )


def _serve(accepting: socket.socket, candidate: _Candidate, log: int) -> None:
    """Serve nothing; runs in a process of its own."""
    for stream in (1, 2):
        os.dup2(log, stream)
    # The library ends its process by a signal; a core file would have the key in it, and whoever
    # asked Python to say where it was is not asking about this process.
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Whoever waits for us may be killed.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(_SECONDS))
    link = WorkerLink(accepting.fileno())
    pool = worker_pool(accepting, link, candidate, Listen(_LOOPBACK, 0, workers=1))
    pool.respawn_failed_workers = False
    pool.serve(target_loader=partial(_nothing, link), wrap_loader=False)


def _nothing(link: WorkerLink) -> Any:
    link.enter_worker()

    async def application(_: Any, protocol: Any) -> None:
        protocol.response_empty(404, [])

    return application


def _shake_hands(port: int, process: Any) -> bytes | None:
    """Return the certificate that is shown, DER, or None if there is none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Which certificate it is, is what is asked here; whom it is by, nodes know.
    context.verify_mode = ssl.CERT_NONE
    deadline = time.monotonic() + _SECONDS
    while process.is_alive() and time.monotonic() < deadline:
        try:
            with (
                socket.create_connection((_LOOPBACK, port), timeout=1) as plain,
                context.wrap_socket(plain) as secure,
            ):
                return secure.getpeercert(binary_form=True)
        except OSError:
            time.sleep(_POLL_SECONDS)
    return None


def _reason(log: IO[bytes]) -> str:
    log.seek(0)
    text = log.read().decode("utf-8", "replace")
    found = [match[1] or match[2] for match in _REASON.finditer(text)]
    return found[-1][:_SHOWN] if found else "it does not say why"
