"""Addresses and names of machines: how a document writes one, and which ones machines can use.

There is one grammar of each, and every field that holds one is of a type of these. Python's
`ipaddress` takes any text behind a `%`, so nothing of ours asks it before the grammar has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Final

from bundle.base.patterns import formed

IpNetwork = IPv4Network | IPv6Network
IpAddress = IPv4Address | IPv6Address

_PART: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"

IpText = Annotated[
    str, formed(r"^[0-9A-Fa-f.:]{2,45}$(?!\n)", "an IP address", "10.0.0.11", max_length=45)
]
"""An IP address, without a scope: `%eth0` means something on one machine only."""

HostName = Annotated[
    str,
    formed(
        rf"^{_PART}(\.{_PART})*$(?!\n)",
        "a host name in small letters, digits and '-', in parts between single dots",
        "node1.hospital.example",
        max_length=253,
    ),
]
"""A name in DNS, in small letters (RFC 1123, section 2.1)."""

HostText = Annotated[
    str,
    formed(
        rf"^({_PART}(\.{_PART})*|[0-9A-Fa-f.:]{{2,45}})$(?!\n)",
        "an IP address or a host name in small letters",
        "10.0.0.11",
        "node1.hospital.example",
        max_length=253,
    ),
]
"""An IP address or a host name; `host_problem` says the rest."""

Network = Annotated[
    str,
    formed(
        r"^[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}$(?!\n)",
        "a network: its first address, '/' and the length of the prefix",
        "10.20.1.0/24",
    ),
]
"""A network in CIDR form."""

_NAME: Final = re.compile(rf"{_PART}(\.{_PART})*")
_MAX_NAME: Final = 253
# inet_aton(3), which resolvers ask first, takes 127.1, 2130706433 and 0x7f.1 for addresses.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_THIS_MACHINE: Final = "each machine's own"
_NOWHERE: Final = tuple(
    (ip_network(text), what)
    for text, what in (
        ("0.0.0.0/8", "no machine's"),
        ("127.0.0.0/8", _THIS_MACHINE),
        ("169.254.0.0/16", "link-local, where each node's DNS cache is"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("224.0.0.0/4", "for multicast"),
        ("240.0.0.0/4", "reserved, and its last address for broadcast"),
        ("::/128", "no machine's"),
        ("::1/128", _THIS_MACHINE),
        ("::/96", "out of use"),
        ("::ffff:0:0/96", "IPv4 written as IPv6"),
        ("100::/64", "where everything is dropped"),
        ("fe80::/10", "link-local, and means another machine on each of its interfaces"),
        ("fec0::/10", "out of use"),
        ("ff00::/8", "for multicast"),
    )
)
"""Ranges in which no machine, pod or service can be reached (RFC 6890)."""
_DOCUMENTATION: Final = tuple(
    ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")
)
_OWN_NAMES: Final = frozenset(
    {
        "broadcasthost",
        "ip6-allhosts",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-localhost",
        "ip6-localnet",
        "ip6-loopback",
        "ip6-mcastprefix",
        "localhost",
        "localhost.localdomain",
        "localhost4",
        "localhost4.localdomain4",
        "localhost6",
        "localhost6.localdomain6",
    }
)
"""Names that the files of every machine give to itself, or to no machine."""


def address_of(text: str) -> IpAddress | None:
    """Return the address, or nothing where it is none, or has a scope."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def network_of(text: str) -> IpNetwork | None:
    """Return the network, or nothing where it is none, has host bits set or a scope."""
    try:
        return None if "%" in text else ip_network(text)
    except ValueError:
        return None


def overlap(one: IpNetwork, other: IpNetwork) -> bool:
    """Say whether two networks share an address; those of different families never do."""
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False


def same_machine(one: str, other: str) -> bool:
    """Say whether two texts name one machine: equal, or the same address written differently."""
    first = address_of(one)
    return one == other or (first is not None and first == address_of(other))


def nowhere(network: IpNetwork) -> Iterator[tuple[IpNetwork, str]]:
    """Yield what a network overlaps of where nothing can be reached, and what each range is."""
    for range_, what in _NOWHERE:
        if overlap(network, range_):
            yield range_, what


def is_documentation(text: str) -> bool:
    """Say whether an address is of a range for examples, which is used on no network."""
    address = address_of(text)
    return address is not None and any(address in range_ for range_ in _DOCUMENTATION)


def is_this_machine(text: str) -> bool:
    """Say whether an address or a name means, on each machine, that machine itself."""
    address = address_of(text)
    if address is not None:
        return address.is_loopback
    return text in _OWN_NAMES or text.endswith(".localhost")


def is_name(text: str) -> bool:
    """Say whether a text is a host name, and nothing that a resolver takes for an address."""
    fits = len(text) <= _MAX_NAME and _NAME.fullmatch(text) is not None
    return fits and _NUMBER.fullmatch(text.rpartition(".")[2]) is None


def name_problem(text: str) -> str:
    """Return what is wrong with a text as the name of one machine; empty where nothing is."""
    if not is_name(text):
        return (
            f"expected a host name that does not look like an address, found {text[:100]!r}: small "
            "letters, digits and '-', in parts between single dots, the last one no number"
        )
    if is_this_machine(text):
        return f"expected the name of one machine, found {text!r}, which is each machine's own"
    return ""


def host_problem(text: str, *, names: bool = True) -> str:
    """Return what is wrong with an address as one by which other machines reach it; or nothing.

    Args:
        text: As a document has it.
        names: Whether it may be a host name as well.
    """
    address = address_of(text)
    if address is not None:
        found = next((what for range_, what in _NOWHERE if address in range_), "")
    elif names and is_name(text):
        found = _THIS_MACHINE if is_this_machine(text) else ""
    else:
        what = "an IP address or a host name" if names else "an IP address"
        return f"expected {what}, found {text[:100]!r}"
    if not found:
        return ""
    return f"expected an address that other machines reach, found {text}, which is {found}"
