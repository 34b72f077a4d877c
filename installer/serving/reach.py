"""Where nodes find a depot: the addresses of this machine that others can use."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

EVERYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - nodes are other machines
_SIOCGIFADDR: Final = 0x8915
_INTERFACES: Final = Path("/sys/class/net")
_IPV6: Final = Path("/proc/net/if_inet6")


def nodes_can_use(address: str) -> bool:
    """Say whether another machine can reach an address; a host name is believed.

    A link-local address means another machine on each network, and clients of a registry cannot
    say which network they mean.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address.lower() != "localhost" and not address.lower().endswith(".localhost")
    mapped = getattr(parsed, "ipv4_mapped", None)
    if mapped is not None:
        parsed = mapped
    return not (
        parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local or parsed.is_multicast
    )


def addresses_for_nodes(address: str) -> list[str]:
    """Return under which addresses nodes reach what listens on `address`."""
    own = _own_addresses() if address in EVERYWHERE else [address]
    if address == EVERYWHERE[0]:
        own = [each for each in own if ":" not in each]
    return [each for each in own if nodes_can_use(each)]


def reach_notices(address: str, names: Sequence[str]) -> list[str]:
    """Say what of the address and the names no node can use."""
    said = [f"--name {name}: no node can use it" for name in names if not nodes_can_use(name)]
    if not addresses_for_nodes(address):
        said.append(
            f"no node can reach the depot at {address}: give --address one of this machine's "
            "addresses in the nodes' network"
        )
    return said


def _own_addresses() -> list[str]:
    return [*_ipv4(), *_ipv6()]


def _ipv4() -> Iterator[str]:
    """Yield the first IPv4 address of every interface. Source: netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for name in _interfaces():
            try:
                found = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue
            yield socket.inet_ntoa(found[20:24])


def _interfaces() -> list[str]:
    """Name them by the file system: a service may be kept from netlink, which libc asks."""
    try:
        return sorted(path.name for path in _INTERFACES.iterdir())
    except OSError:
        return []


def _ipv6() -> Iterator[str]:
    try:
        lines = _IPV6.read_text(encoding="ascii").splitlines()
    except OSError:
        return
    for line in lines:
        yield str(ipaddress.IPv6Address(bytes.fromhex(line.split()[0])))
