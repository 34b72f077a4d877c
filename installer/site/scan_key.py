"""What host key a machine shows, for a person to compare with the machine's own console.

Nothing is trusted by this: a key becomes pinned when somebody has said that it is the right one.
"""

from __future__ import annotations

import base64
import logging
import socket
from typing import Final

import paramiko

from bundle.base.errors import UnreachableError
from installer.base.unreached import no_connection
from installer.site.host_key import SSH_PORT, HostKey

_KINDS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""What is asked for, the best first; a server answers with the first that it has."""

_SECONDS: Final = 10.0


def scan_host_key(address: str, port: int = SSH_PORT) -> HostKey:
    """Return the key that a machine shows, unauthenticated; nothing else is said to it.

    Raises:
        UnreachableError: Nothing answers, it does not speak SSH, or it has no key that can be
            pinned.
    """
    where = f"{address} port {port}"
    try:
        connection = socket.create_connection((address, port), _SECONDS)
    except OSError as error:
        why, advice = no_connection(address, port, error)
        raise UnreachableError(
            f"{where}: expected a machine that shows its host key; {why}",
            f"{advice} Its console shows the key too.",
        ) from error
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    transport = paramiko.Transport(connection)
    try:
        transport.get_security_options().key_types = _KINDS
        transport.start_client(timeout=_SECONDS)
        found = transport.get_remote_server_key()
        return HostKey(found.get_name(), found.asbytes())
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise UnreachableError(
            f"{where}: expected a host key, found something that has none ({error})",
            "Is it sshd that listens there? The machine's console shows its key too.",
        ) from error
    finally:
        transport.close()


def host_key_text(key: HostKey) -> str:
    """Return a key as the site file has it."""
    return f"{key.kind} {base64.b64encode(key.blob).decode()}"
