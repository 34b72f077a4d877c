"""Pinned host keys: the only ones that are ever accepted, from the site file alone."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from bundle.base.errors import DefinitionError
from installer.site.document import Node, Site

SSH_PORT = 22


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public host key.

    Attributes:
        kind: Such as `ssh-ed25519`.
        blob: The key in SSH's wire form (RFC 4253, section 6.6).
    """

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -lf` shows it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")
        return f"{self.kind} SHA256:{digest}"

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The signature algorithms by which a server may prove that it holds this key."""
        # RSA with SHA-1, which has the key's own name, is broken (RFC 8332).
        return ("rsa-sha2-512", "rsa-sha2-256") if self.kind == "ssh-rsa" else (self.kind,)


def parse_host_key(text: str, where: str) -> HostKey:
    """Parse `ssh-ed25519 AAAA...`.

    Raises:
        DefinitionError: Not base64, or the key says that it is of another kind.
    """
    kind, _, encoded = text.partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise _refuse(where, f"the key is not base64 ({error})") from error
    length = int.from_bytes(blob[:4], "big")
    inner = blob[4 : 4 + length].decode("ascii", errors="replace")
    if inner != kind:
        raise _refuse(where, f"it begins with {kind!r}, but the key itself says {inner[:40]!r}")
    return HostKey(kind, blob)


def port_of(site: Site, node: Node) -> int:
    """Return the port of a node's sshd."""
    return node.port or site.ssh.port


def known_hosts(site: Site) -> str:
    """Return the site's pinned keys as an OpenSSH known_hosts file."""
    lines = []
    for node in site.nodes:
        port = port_of(site, node)
        name = node.address if port == SSH_PORT else f"[{node.address}]:{port}"
        lines.append(f"{name} {node.host_key}\n")
    return "".join(lines)


def _refuse(where: str, why: str) -> DefinitionError:
    return DefinitionError(
        f"{where}: not a host key: {why}",
        "Copy it, without the comment, from /etc/ssh/ssh_host_ed25519_key.pub of the machine.",
    )
