"""The site file: the machines of one hospital, typed by a person in YAML."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

import msgspec

from bundle.model.documents import Document, Name, Text
from bundle.model.errors import DefinitionError
from bundle.model.reference import is_host, parse_reference

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
HostKey = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) "
        r"[A-Za-z0-9+/]{40,2000}={0,2}$(?!\n)",
        max_length=2100,
    ),
]
UserName = Annotated[str, msgspec.Meta(pattern=r"^[a-z_][a-z0-9_-]{0,31}$(?!\n)", max_length=32)]
ImageArgument = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class SiteMetadata(Document, frozen=True, kw_only=True):
    """The site's name."""

    name: Name


class DepotAddress(Document, frozen=True, kw_only=True):
    """Where the nodes reach the depot."""

    address: Text
    port: Port = 5443


class SshAccess(Document, frozen=True, kw_only=True):
    """How the installer reaches the nodes; the key is a path relative to the site file."""

    user: UserName = "root"
    key: Text
    port: Port = 22


class Node(Document, frozen=True, kw_only=True):
    """One machine."""

    name: Name
    address: Text
    zone: Name
    host_key: HostKey
    """The public key that the node's sshd shows, pinned: `ssh-ed25519 AAAA...`."""
    port: Port | None = None


class FirstImage(Document, frozen=True, kw_only=True):
    """The image of the bundle that is pulled and run on every node, to show that the path works."""

    reference: Text
    command: Annotated[tuple[ImageArgument, ...], msgspec.Meta(min_length=1, max_length=64)]


class Site(Document, frozen=True, kw_only=True):
    """A site file.

    Source: docs/FORMAT.md, "Site".
    """

    api_version: Literal["isoward/v1"]
    kind: Literal["Site"]
    metadata: SiteMetadata
    depot: DepotAddress
    ssh: SshAccess
    zones: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    nodes: Annotated[tuple[Node, ...], msgspec.Meta(min_length=1)]
    first_image: FirstImage


def check_site(site: Site) -> None:
    """Check what the structure alone cannot say.

    Raises:
        DefinitionError: An address, zone or reference is wrong, or a node stands twice.
    """
    _check_address(site.depot.address, "depot.address")
    _unique([node.name for node in site.nodes], "nodes", "name")
    _unique(
        [f"{node.address}:{node.port or site.ssh.port}" for node in site.nodes], "nodes", "address"
    )
    _unique([node.host_key for node in site.nodes], "nodes", "hostKey")
    _unique(list(site.zones), "zones", "zone")
    for i, node in enumerate(site.nodes):
        _check_address(node.address, f"nodes[{i}].address")
        if node.zone not in site.zones:
            raise DefinitionError(
                f"nodes[{i}].zone: expected one of {', '.join(site.zones)}, found {node.zone!r}",
                "Name the zone under zones: or correct the node.",
            )
    parse_reference(site.first_image.reference, "firstImage.reference")


def _check_address(text: str, where: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # A last label of digits alone is a mistyped address, not a name (RFC 3696, section 2).
        if not is_host(text) or ":" in text or text.rpartition(".")[2].isdigit():
            raise DefinitionError(
                f"{where}: expected an IP address or a host name, found {text[:100]!r}",
                "Write it as 10.0.0.11 or node1.hospital.example.",
            ) from None


def _unique(values: list[str], where: str, what: str) -> None:
    for value in values:
        if values.count(value) > 1:
            raise DefinitionError(
                f"{where}: {what} {value[:80]!r} stands twice", "Each one must be different."
            )
