"""The site file: the machines of one hospital, typed by a person in YAML."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bundle.base.documents import Document, Name, Text, block
from bundle.base.errors import DefinitionError
from bundle.base.paths import InnerPath
from bundle.base.patterns import formed
from installer.base.networks import HostName, HostText, IpText
from installer.site.cluster_part import Kubernetes, Port, Role, Zone

HostKey = Annotated[
    str,
    formed(
        r"^(ssh-ed25519|ecdsa-sha2-nistp(256|384|521)|ssh-rsa) "
        r"[A-Za-z0-9+/]{40,2000}={0,2}$(?!\n)",
        "a host key of one line: its kind and the key itself, without the comment",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAAvyFzgnJNSZP9dOuvH66nuxm9qEwp5esQxzEaKPYV",
        max_length=2100,
    ),
]
UserName = Annotated[
    str,
    formed(
        r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63}[\\+])?[A-Za-z0-9_][A-Za-z0-9._-]{0,62}"
        r"(@[A-Za-z0-9][A-Za-z0-9.-]{0,127})?$(?!\n)",
        "a user: letters, digits, '.', '_' and '-', with a domain before '\\' or behind '@', or "
        "without",
        "john.doe",
        "svc@hospital.example",
        "HOSPITAL\\svc",
        max_length=256,
    ),
]
"""Of a machine's own files, or of a directory as SSSD and Winbind write it."""
ImageArgument = Annotated[str, block(4096, 1)]


class SiteMetadata(Document, frozen=True, kw_only=True):
    """The site's name."""

    name: Name


class DepotAddress(Document, frozen=True, kw_only=True):
    """Where the nodes reach the depot."""

    address: HostText
    port: Port = 5443


class SshAccess(Document, frozen=True, kw_only=True):
    """How the installer reaches the nodes; the key is a path relative to the site file."""

    user: UserName = "root"
    key: Text
    port: Port = 22


class Node(Document, frozen=True, kw_only=True):
    """One machine."""

    name: Name
    address: HostText
    zone: Name
    roles: tuple[Role, ...] = ()
    """What it is in the cluster; a site without one needs none."""
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
    second_depot: DepotAddress | None = None
    """One that holds the same, for when the first is down."""
    ssh: SshAccess
    zones: Annotated[tuple[Zone | Name, ...], msgspec.Meta(min_length=1)]
    """Each with its networks and marks, or its name alone."""
    nodes: Annotated[tuple[Node, ...], msgspec.Meta(min_length=1)]
    first_image: FirstImage | None = None
    """Needed where there is no cluster, whose own images show that the path works."""
    time_servers: Annotated[tuple[HostText, ...], msgspec.Meta(max_length=8)] = ()
    """The site's own; the nodes of a cluster take the time from them by chrony."""
    dns_servers: Annotated[tuple[IpText, ...], msgspec.Meta(max_length=3)] = ()
    """The site's own, for names outside of the cluster; without one, pods resolve `names` only."""
    names: dict[HostName, IpText] = msgspec.field(default_factory=dict)
    """Addresses of names that nodes and pods are to know without any DNS server."""
    kubernetes: Kubernetes | None = None
    """The cluster; without it the nodes are only pointed at the depot."""
    secrets: InnerPath | None = None
    """A file beside this one, encrypted by SOPS with age; no secret ever stands in this one."""

    @property
    def depots(self) -> tuple[DepotAddress, ...]:
        """The one or two depots, the first one first."""
        return (self.depot, self.second_depot) if self.second_depot else (self.depot,)

    @property
    def all_zones(self) -> tuple[Zone, ...]:
        """The zones, written out."""
        return tuple(Zone(name=zone) if isinstance(zone, str) else zone for zone in self.zones)

    @property
    def required_first_image(self) -> FirstImage:
        """The first image.

        Raises:
            DefinitionError: The site has none.
        """
        if self.first_image is None:
            raise DefinitionError(
                "firstImage: expected an image of the bundle to run on every node, found none",
                "Name one in the site file; a site with kubernetes: does not need one.",
            )
        return self.first_image

    def nodes_with(self, role: Role) -> tuple[Node, ...]:
        """Return the nodes that have a role, in the order of the file."""
        return tuple(node for node in self.nodes if role in node.roles)
