"""The names that every node of a site knows, without asking anybody: lines of /etc/hosts."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from bundle.base.errors import StepError
from installer.base.networks import address_of, host_problem
from installer.site.document import Site

Resolve = Callable[[str], Sequence[str]]


def resolve_here(name: str) -> Sequence[str]:
    """Return the addresses that this machine knows for a name; none if it knows none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def names_of(site: Site, resolve: Resolve = resolve_here) -> str:
    """Return the lines: every node, the site's own names, and what the site file means by a name.

    Args:
        site: Its nodes, names, depots and control plane.
        resolve: Finds the addresses of a name, on this machine.
    Raises:
        StepError: This machine knows no address of a depot or of the control plane that a node
            could use.
    """
    known = {**site.names, **{node.name: node.address for node in site.nodes}}
    lines = [(address, name) for name, address in known.items()]
    asked = [("depot", depot.address) for depot in site.depots]
    if site.kubernetes is not None and site.kubernetes.control_plane is not None:
        asked.append(("kubernetes.controlPlane", site.kubernetes.control_plane.address))
    for where, name in asked:
        if address_of(name) is None and name not in known:
            known[name] = _address_of(where, name, resolve)
            lines.append((known[name], name))
    return "".join(f"{address} {name}\n" for address, name in lines)


def _address_of(where: str, name: str, resolve: Resolve) -> str:
    found = resolve(name)
    for address in found:
        # Many a machine knows its own name by an address that nobody else can use, and some an
        # address with a scope, which is of its own interfaces.
        if not host_problem(address, names=False):
            return address
    raise StepError(
        f"{where}: expected an address of {name} that nodes can use, found "
        f"{', '.join(found) or 'none'} on this machine",
        "Write its address under names: in the site file.",
        {"name": name},
    )
