"""Hosts as configurations name them, with or without a port."""

from __future__ import annotations

import ipaddress


def split_port(host: str) -> tuple[str, str]:
    """Return a host and its port; an empty text where none stands. IPv6 keeps its brackets."""
    name, colon, port = host.rpartition(":")
    if colon and not host.endswith("]"):
        return name, port
    return host, ""


def host_key(host: str) -> str:
    """Return a configured host in one form: lower case, with a port that its scheme does not have.

    Args:
        host: Checked by `is_host`.
    """
    name, port = split_port(host.lower())
    return name if port in {"", "443", "80"} else f"{name}:{int(port)}"


def is_loopback(host: str) -> bool:
    """Return whether `host`, without its port, is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
