"""Why a machine could not be reached: each cause has another cure."""

from __future__ import annotations

import socket


def no_connection(address: str, port: int, error: OSError) -> tuple[str, str]:
    """Say why there is no connection to a machine, and what to do about it.

    Args:
        address: An address or a name.
        port: Of its sshd.
        error: As the system gave it.
    Returns:
        What was found, and the advice.
    """
    why = error.strerror or str(error)
    if isinstance(error, socket.gaierror):
        advice = (
            "Write the address itself in the site file, or the name into this machine's "
            "/etc/hosts, or mend its name servers."
        )
        return f"this machine finds no address for the name {address} ({why})", advice
    found = f"nothing answers at {address} port {port}: {why}"
    if isinstance(error, ConnectionRefusedError):
        return found, "The machine is on: is sshd running, and does it listen on that port?"
    return found, "Is the machine on, is its address right, and does no firewall stand between?"
