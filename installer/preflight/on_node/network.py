"""Runs on a node: its interfaces, its filters, who listens, and whom it reaches."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from installer.preflight.on_node.reading import MOST_ENTRIES, NO_PROGRAM, names_in, read, said_by

_LISTENING = "0A"
_CONNECT_SECONDS = 3.0
_ECHO_SECONDS = 1.0
_ECHO_TRIES = 2
_REFUSAL_SECONDS = 0.7
_REFUSAL_TRIES = 3
_AT_ONCE = 128
_HEADERS = 28
"""Bytes of an IPv4 and an ICMP header."""
_DONT_FRAGMENT = 2
_MTU_DISCOVER = 10
_CHAIN = re.compile(r"type filter hook (input|forward) priority [^;]*; policy drop;")


def facts(want: dict[str, Any]) -> dict[str, Any]:
    """Return what the machine's network is like."""
    interfaces = _interfaces()
    mtu = next((each["mtu"] for each in interfaces if want["address"] in each["addresses"]), 0)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pairs = [(peer, port) for peer in want["peers"] for port in peer["ports"]]
        tried = pool.map(lambda pair: _connect(pair[0]["address"], pair[1]), pairs)
        asked = pool.map(lambda peer: _refuses(peer["address"], peer["tunnel"]), want["peers"])
        echoes = list(pool.map(lambda peer: _echoes(peer["address"], mtu), want["peers"]))
        ends, refused = list(tried), list(asked)
    return {
        "interfaces": interfaces[:MOST_ENTRIES],
        "routes": _routes(),
        "listeners": _listeners({int(port) for port in want["listen"]})[:MOST_ENTRIES],
        "firewall": _firewall(),
        "unreached": [
            {"peer": peer["name"], "port": port, "why": why}
            for (peer, port), why in zip(pairs, ends)  # noqa: B905 - Python 3.9 has no strict=
            if why
        ][:MOST_ENTRIES],
        "too_large": [
            peer["name"]
            for peer, (small, large) in zip(want["peers"], echoes)  # noqa: B905
            if small and not large
        ][:MOST_ENTRIES],
        "silent": [
            peer["name"]
            for peer, refusal in zip(want["peers"], refused)  # noqa: B905
            if not refusal
        ][:MOST_ENTRIES],
    }


def _interfaces() -> list[dict[str, Any]]:
    found = [
        {
            "name": link.get("ifname", ""),
            "mtu": link.get("mtu", 0),
            "mac": link.get("address", ""),
            "addresses": [each.get("local", "") for each in link.get("addr_info", [])],
        }
        for link in json.loads(said_by("ip", "-json", "address", "show")[1] or "[]")
    ]
    # Those with addresses first, since the list may be cut.
    return sorted(found, key=lambda each: not each["addresses"])


def _routes() -> list[str]:
    rows = json.loads(said_by("ip", "-json", "-4", "route", "show")[1] or "[]")
    return [row["dst"] for row in rows if row.get("dst", "default") != "default"][:MOST_ENTRIES]


def _listeners(wanted: set[int]) -> list[dict[str, Any]]:
    sockets: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == _LISTENING and port in wanted:
                sockets[fields[9]] = port
    owners = _owners(set(sockets)) if sockets else {}
    found = {(port, owners.get(inode, "")) for inode, port in sockets.items()}
    return [{"port": port, "process": process} for port, process in sorted(found)]


def _owners(inodes: set[str]) -> dict[str, str]:
    owners = {}
    for process in Path("/proc").glob("[0-9]*"):
        for number in names_in(f"{process}/fd"):
            try:
                link = os.readlink(f"{process}/fd/{number}")  # noqa: PTH115 - it leads nowhere
            except OSError:
                continue
            inode = link[len("socket:[") : -1]
            if link.startswith("socket:[") and inode in inodes:
                owners[inode] = read(f"{process}/comm").strip()
    return owners


def _firewall() -> dict[str, Any]:
    """Say which chains drop what no rule takes; by nft, and by iptables for what nft cannot see."""
    drops = set()
    code, rules = said_by("nft", "list", "ruleset")
    asked = code != NO_PROGRAM
    drops |= {f"nft {hook}" for hook in _CHAIN.findall(rules)}
    for program in ("iptables", "ip6tables"):
        code, rules = said_by(program, "-S")
        asked = asked or code == 0
        for chain in re.findall(r"(?m)^-P (INPUT|FORWARD) DROP$", rules):
            drops.add(f"{program} {chain}")
    managers = [
        name for name in ("firewalld", "ufw") if said_by("systemctl", "is-active", name)[0] == 0
    ]
    return {"asked": asked, "drops": sorted(drops), "managers": managers}


def _connect(address: str, port: int) -> str:
    """Return why no packet came back, or nothing: a refusal is an answer as well."""
    try:
        socket.create_connection((address, port), _CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _refuses(address: str, port: int) -> bool:
    """Say whether a datagram to a port where nobody listens comes back refused; 0 is no port."""
    if not port:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as end:
        end.settimeout(_REFUSAL_SECONDS)
        for _ in range(_REFUSAL_TRIES):
            try:
                end.connect((address, port))
                end.send(b"")
                end.recv(1)
            except ConnectionRefusedError:
                return True
            except OSError:
                continue
    return False


def _echoes(address: str, mtu: int) -> tuple[bool, bool]:
    """Say whether a small ping is answered, and one as large as the interface takes."""
    if ":" in address or mtu <= _HEADERS:
        return False, False
    return _echo(address, 8), _echo(address, mtu - _HEADERS)


def _echo(address: str, size: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.getprotobyname("icmp")) as raw:
        raw.setsockopt(socket.IPPROTO_IP, _MTU_DISCOVER, _DONT_FRAGMENT)
        raw.settimeout(_ECHO_SECONDS)
        number = int.from_bytes(os.urandom(2), "big")
        for sequence in range(_ECHO_TRIES):
            try:
                raw.sendto(_packet(number, sequence, size), (address, 0))
                if _answered(raw, address, number):
                    return True
            except OSError:
                continue
    return False


def _answered(raw: socket.socket, address: str, number: int) -> bool:
    end = time.monotonic() + _ECHO_SECONDS
    while time.monotonic() < end:
        data, (sender, _) = raw.recvfrom(65536)
        body = data[(data[0] & 15) * 4 :]
        if sender == address and body[0] == 0 and body[4:6] == number.to_bytes(2, "big"):
            return True
    return False


def _packet(number: int, sequence: int, size: int) -> bytes:
    rest = struct.pack("!HH", number, sequence) + b"\0" * size
    total = 8 << 8
    for i in range(0, len(rest) + len(rest) % 2, 2):
        total += int.from_bytes(rest[i : i + 2].ljust(2, b"\0"), "big")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", 8, 0, ~total & 0xFFFF) + rest
