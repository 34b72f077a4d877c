"""Networks and addresses as a person types them."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

Network = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F.:]{2,45}/[0-9]{1,3}$(?!\n)")]
"""A network in CIDR form, such as 10.20.1.0/24."""

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def network_of(text: str) -> IpNetwork | None:
    """Return the network, or nothing where it is none or has host bits set."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def address_of(text: str) -> IpAddress | None:
    """Return the address, or nothing where it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def overlap(one: IpNetwork, other: IpNetwork) -> bool:
    """Say whether two networks share an address; those of different families never do."""
    if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return one.overlaps(other)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return one.overlaps(other)
    return False


def same_machine(one: str, other: str) -> bool:
    """Say whether two texts name one machine: equal, or the same address written differently."""
    first = address_of(one)
    return one == other or (first is not None and first == address_of(other))
