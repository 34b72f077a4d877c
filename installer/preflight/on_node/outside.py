"""Runs on a node: whether the depots answer it, and whether anything else does."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from installer.preflight.on_node.identity import name_servers

_DEPOT_SECONDS = 8.0
_OUTSIDE_SECONDS = 2.0
_NO_ERROR = 0
_ADDRESS_RECORD = 1


def facts(want: dict[str, Any]) -> dict[str, Any]:
    """Return what answered."""
    # Those that the machine asks now, and those that the cluster is going to.
    servers = sorted({*name_servers()[:3], *want["dns_servers"]})
    with ThreadPoolExecutor(16) as pool:
        depots = pool.map(lambda depot: _ask_depot(depot, want["ca"]), want["depots"])
        ends = pool.map(lambda end: _connects(end[0], end[1]), want["outside"])
        names = pool.map(lambda server: _resolves(server, want["outside_name"]), servers)
        return {
            "depots": list(depots),
            "connected": [end for end in ends if end],
            "resolved": [answer for answer in names if answer],
        }


def _ask_depot(depot: dict[str, Any], ca: str) -> dict[str, Any]:
    """Ask for what is wanted; the site's CA and nothing else is trusted."""
    # Not the default one, which trusts the machine's own CAs where it is given none.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    connection = http.client.HTTPSConnection(
        depot["address"], depot["port"], timeout=_DEPOT_SECONDS, context=context
    )
    found: dict[str, Any] = {"trouble": "", "statuses": [], "ends": 0}
    try:
        context.load_verify_locations(cadata=ca)
        connection.connect()
        shown = connection.sock.getpeercert() or {}
        found["ends"] = int(ssl.cert_time_to_seconds(str(shown.get("notAfter"))))
        for path in depot["paths"]:
            connection.request("HEAD", path, headers={"Accept": depot["accept"]})
            answer = connection.getresponse()
            answer.read()
            found["statuses"].append(answer.status)
    except ssl.SSLCertVerificationError as error:
        found["trouble"] = error.verify_message or str(error)
    except (OSError, http.client.HTTPException, ValueError) as error:
        found["trouble"] = str(error) or type(error).__name__
    finally:
        connection.close()
    return found


def _connects(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), _OUTSIDE_SECONDS) as end:
            # An address of the machine's own is no way out.
            return "" if end.getsockname()[0] == address else f"{address} port {port}"
    except OSError:
        return ""


def _resolves(server: str, name: str) -> str:
    """Ask one name server for an address; say who answered with one."""
    number = os.urandom(2)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = number + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + labels + b"\0"
    query += struct.pack("!HH", _ADDRESS_RECORD, 1)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as end:
            end.settimeout(_OUTSIDE_SECONDS)
            end.connect((server, 53))
            end.send(query)
            deadline = time.monotonic() + _OUTSIDE_SECONDS
            while time.monotonic() < deadline:
                answer = end.recv(4096)
                if answer[:2] == number:
                    return f"{name} by {server}" if _has_answer(answer) else ""
    except OSError:
        pass
    return ""


def _has_answer(message: bytes) -> bool:
    header = message[:12]
    return len(header) == 12 and header[3] & 15 == _NO_ERROR and header[6:8] != b"\0\0"  # noqa: PLR2004
