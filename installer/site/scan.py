"""Host keys of nodes that a person need not type: shown by the machine, confirmed by the person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bundle.base.errors import DefinitionError
from installer.site.host_key import SSH_PORT, HostKey
from installer.site.scan_key import host_key_text, scan_host_key

Scan = Callable[[str, int], HostKey]


def shown_key(node: Mapping[str, Any], scan: Scan = scan_host_key) -> HostKey:
    """Return the key that a node shows now; nobody has said yet that it is the right one.

    Raises:
        UnreachableError: It shows none.
    """
    port = node.get("port", SSH_PORT)
    return scan(str(node.get("address", "")), port if isinstance(port, int) else SSH_PORT)


def pinned_node(node: Mapping[str, Any], scan: Scan = scan_host_key) -> dict[str, Any]:
    """Return a node with the host key that has the fingerprint it was given, if it was given one.

    Args:
        node: With `hostKey`, or with the `fingerprint` that its console shows.
        scan: Asks the machine for its key.
    Raises:
        DefinitionError: The machine shows another key.
        UnreachableError: It shows none.
    """
    found = dict(node)
    wanted = found.pop("fingerprint", None)
    if wanted is None:
        return found
    key = shown_key(node, scan)
    if wanted not in {key.fingerprint, key.fingerprint.partition(" ")[2]}:
        raise DefinitionError(
            f"--node {node.get('name')}: expected a host key with the fingerprint {wanted[:100]}, "
            f"found {key.fingerprint}",
            "Read it again on the machine's console: ssh-keygen -lf "
            "/etc/ssh/ssh_host_ed25519_key.pub. If it is right, somebody may intercept you.",
        )
    return {**found, "hostKey": host_key_text(key)}
