"""The parts of a site file that are about its cluster: zones and Kubernetes options."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from bundle.base.documents import Document, Name, Text
from bundle.base.patterns import formed
from installer.base.networks import HostText, Network

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Protocol = Literal["TCP", "UDP", "SCTP"]
Role = Literal["control-plane", "etcd", "worker"]
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
LabelKey = Annotated[
    str,
    formed(
        r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*/)?"
        r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$(?!\n)",
        "a key of labels and taints: at most 63 letters and digits, and in between also '-', '_' "
        "and '.', with a domain and '/' before them, or without",
        "hospital.example/ward",
        max_length=317,
    ),
]
"""A key of a label or taint (Kubernetes, "Labels and Selectors")."""
LabelValue = Annotated[
    str,
    formed(
        r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$(?!\n)",
        "at most 63 letters and digits, and in between also '-', '_' and '.'",
        "east",
    ),
]
KubernetesVersion = Annotated[
    str,
    formed(r"^v?1\.[0-9]{1,3}\.[0-9]{1,3}$(?!\n)", "a version of Kubernetes", "v1.35.4"),
]
ClientId = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9._:/-]{1,256}$(?!\n)",
        "the ID of a client: letters, digits, '.', '_', ':', '/' and '-'",
        "kubernetes",
    ),
]
Claim = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9_.:/-]{1,128}$(?!\n)",
        "the name of a claim: letters, digits, '.', '_', ':', '/' and '-'",
        "preferred_username",
    ),
]
Issuer = Annotated[
    str,
    formed(
        r"^https://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~:@!&()*+,;=%/-]*)?$(?!\n)",
        "an https:// address, without a user, '?', '#' and quotes",
        "https://login.hospital.example/realms/hospital",
        max_length=2048,
    ),
]
"""Of an identity provider. It goes into arguments of the API server, by way of YAML."""

ENFORCING_PLUGINS: Final = ("calico", "cilium", "kube-router")
"""The network plugins of Kubespray that enforce NetworkPolicy and that we know how to set up."""

REPELS: Final[tuple[Effect, ...]] = ("NoSchedule", "NoExecute")
"""The effects of taints that keep pods without a toleration off a node."""

ZONE_LABEL: Final = "isoward/zone"
"""The label that every node gets with the name of its zone."""

PINNING_LABEL: Final = "node-restriction.kubernetes.io/isoward-zone"
"""The same for the scheduler, under a prefix that no node can change by its own credentials.

Source: Kubernetes, "Assigning Pods to Nodes", "Node isolation/restriction".
"""

DEFAULT_SERVICE_NETWORK: Final = "10.233.0.0/18"
DEFAULT_POD_NETWORK: Final = "10.233.64.0/18"
"""Kubespray's own, which it is tested with."""

SIX_YEARS_DAYS: Final = 2192
"""How long HIPAA wants records kept: 45 CFR 164.316(b)(2)(i), with two leap days."""


class Egress(Document, frozen=True, kw_only=True):
    """Where workloads of a zone may connect to, outside of the cluster."""

    to: Network
    ports: tuple[Port, ...] = ()
    """All of them when left out."""
    protocol: Protocol = "TCP"


class Taint(Document, frozen=True, kw_only=True):
    """What keeps workloads without a toleration off the nodes of a zone."""

    key: LabelKey
    value: LabelValue = ""
    effect: Effect = "NoSchedule"


class Zone(Document, frozen=True, kw_only=True):
    """A part of the site: its networks, and what its nodes are marked with."""

    name: Name
    networks: tuple[Network, ...] = ()
    """Of its nodes."""
    egress: tuple[Egress, ...] = ()
    """The allow-list; nothing else outside of the cluster is reached from the zone."""
    labels: dict[LabelKey, LabelValue] = msgspec.field(default_factory=dict)
    taints: tuple[Taint, ...] = ()


class ControlPlaneAddress(Document, frozen=True, kw_only=True):
    """Where the API server is reached from outside of the nodes: a load balancer of the site's."""

    address: HostText
    port: Port = 6443


class Oidc(Document, frozen=True, kw_only=True):
    """Who says who a person is, for the API server."""

    issuer: Issuer
    client_id: ClientId
    username_claim: Claim = "sub"
    groups_claim: Claim = "groups"


class Audit(Document, frozen=True, kw_only=True):
    """The API server's audit log: what stays on the control plane's disk, and what is kept."""

    retention_days: Annotated[int, msgspec.Meta(ge=1, le=36_525)] = SIX_YEARS_DAYS
    """How long records are kept, wherever they are shipped to."""
    log_days: Annotated[int, msgspec.Meta(ge=1, le=36_525)] = 90
    """How long a log file stays on the control plane's own disk."""
    log_files: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    log_megabytes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    """Of one file, after which the next one is begun."""


class Kubernetes(Document, frozen=True, kw_only=True):
    """The cluster."""

    version: KubernetesVersion
    """One that the bundle carries."""
    network_plugin: Text
    control_plane: ControlPlaneAddress | None = None
    service_network: Network = DEFAULT_SERVICE_NETWORK
    pod_network: Network = DEFAULT_POD_NETWORK
    node_prefix: Annotated[int, msgspec.Meta(ge=8, le=126)] = 24
    """Length of the prefix of each node's part of the pod network."""
    oidc: Oidc | None = None
    audit: Audit = Audit()
    encryption_at_rest: Literal["secretbox"] = "secretbox"
    """How Secrets are encrypted in etcd; there is no choice of leaving them plain."""
