"""The socket that the depot listens on: whose it is, and what every connection inherits from it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import resource
import socket
from collections.abc import Iterator
from typing import Final

from bundle.base.errors import IsowardError, UsageError

BACKLOG: Final = 4096
"""Connections that the kernel keeps until a worker takes them; net.core.somaxconn bounds it."""
CONNECTIONS: Final = 4096
"""Of one worker, at most; more wait in the backlog, or are taken by another worker."""
STALLED_SECONDS: Final = 60
"""How long a client may take nothing of what it asked for; nginx's send_timeout is the same."""
_UNSENT_BYTES: Final = 2 * 1024 * 1024
"""What the kernel keeps of a connection beyond what is on its way; 4 MiB without this."""
FILES: Final = 65_536
"""Open files that a worker may have, if the system allows; the service's unit says the same."""
_FILES_OF_OUR_OWN: Final = 256
_FILES_A_CONNECTION: Final = 2
"""Itself, and the blob that it is sent."""
_KEEPALIVE: Final = {
    socket.TCP_KEEPIDLE: 60,
    socket.TCP_KEEPINTVL: 15,
    socket.TCP_KEEPCNT: 4,
}


@contextlib.contextmanager
def listening(address: str, port: int) -> Iterator[socket.socket]:
    """Listen where nobody else does, and yield the socket that all workers accept from.

    It is one socket, not one for each worker (SO_REUSEPORT): a worker that is full or that ends
    then keeps no connection from another, and no second depot can take half of the connections.

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
        made = socket.socket(family, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(made.close)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            limit_connections_of(made)
            made.bind((address, port))
            made.listen(BACKLOG)
            made.settimeout(0)
            undo.pop_all()
    except OSError as error:
        raise _cannot_listen(address, port, error) from error
    with made:
        yield made


def limit_connections_of(made: socket.socket) -> None:
    """Set what every connection inherits: when the kernel ends one whose client takes nothing.

    Nothing above the kernel has a deadline for writing. Source: tcp(7), TCP_USER_TIMEOUT, which
    also counts the time for which a client's window is closed.
    """
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_SECONDS * 1000)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)


def room_for_connections() -> int:
    """Raise this process's limit on open files, and return how many connections a worker may have.

    More connections than open files would make the server spin on a call that always fails.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return CONNECTIONS
    return max(16, min(CONNECTIONS, (soft - _FILES_OF_OUR_OWN) // _FILES_A_CONNECTION))


def url_of(address: str, port: int) -> str:
    """Return the URL of an address or a host name."""
    return f"https://[{address}]:{port}" if ":" in address else f"https://{address}:{port}"


def _cannot_listen(address: str, port: int, error: OSError) -> IsowardError:
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    if error.errno == errno.EADDRINUSE:
        hint = "Stop what listens there, or choose another port with --port."
    elif error.errno == errno.EACCES:
        hint = "Choose a port of 1024 or more with --port."
    else:
        hint = "Give --address an address of this machine, or 0.0.0.0 for all of them."
    return UsageError(f"cannot listen on {where}: {error.strerror or error}", hint)
