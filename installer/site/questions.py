"""What a person is asked about a site, in this order, and which fields each answer is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from installer.site.cluster_part import (
    DEFAULT_POD_NETWORK,
    DEFAULT_SERVICE_NETWORK,
    ENFORCING_PLUGINS,
    SIX_YEARS_DAYS,
)
from installer.site.draft import Draft


@dataclass(frozen=True, slots=True)
class Plain:
    """A question with one text for an answer.

    Attributes:
        name: Of the answer, and with dashes of its option.
        text: The question.
        fields: Of the site file, that the answer is about.
        default: What an empty answer means; there must be an answer where it is None.
        cluster: Asked only where there is a cluster.
        after: Asked only where this other answer is not empty.
    """

    name: str
    text: str
    fields: tuple[str, ...]
    default: str | None = ""
    cluster: bool = False
    after: str = ""

    def applies(self, draft: Draft) -> bool:
        """Say whether it is asked."""
        if self.cluster and not draft.cluster:
            return False
        return not self.after or bool(draft.answers.get(self.after))

    def default_for(self, draft: Draft) -> str | None:
        """Return what an empty answer means; a site without a cluster must have a first image."""
        return None if self.name == "image" and not draft.cluster else self.default


FIRST: Final = (
    Plain("name", "Name of the site", ("metadata.name",), None),
    Plain("depot", "Address of the depot", ("depot",), None),
    Plain("second_depot", "Address of a second depot, or empty", ("secondDepot",)),
    Plain("ssh_user", "User for SSH", ("ssh.user",), "root"),
    Plain("ssh_key", "Private key for SSH, relative to the file", ("ssh.key",), "id_ed25519"),
    Plain("kubernetes", "Version of Kubernetes, or none", ("kubernetes.version",), "none"),
    Plain(
        "network_plugin",
        f"Network plugin ({', '.join(ENFORCING_PLUGINS)})",
        ("kubernetes.networkPlugin",),
        ENFORCING_PLUGINS[0],
        cluster=True,
    ),
)
"""Asked before zones and nodes, whose questions depend on these."""

LAST: Final = (
    Plain(
        "control_plane",
        "Load balancer of the API server, or empty",
        ("kubernetes.controlPlane",),
        cluster=True,
    ),
    Plain(
        "service_network",
        "Network of services, within the cluster only",
        ("kubernetes.serviceNetwork",),
        DEFAULT_SERVICE_NETWORK,
        cluster=True,
    ),
    Plain(
        "pod_network",
        "Network of pods, within the cluster only",
        ("kubernetes.podNetwork", "kubernetes.nodePrefix"),
        DEFAULT_POD_NETWORK,
        cluster=True,
    ),
    Plain(
        "oidc_issuer",
        "Address of the identity provider (OIDC), or empty",
        ("kubernetes.oidc.issuer",),
        cluster=True,
    ),
    Plain(
        "oidc_client",
        "The cluster's client ID there",
        ("kubernetes.oidc.clientId",),
        "kubernetes",
        cluster=True,
        after="oidc_issuer",
    ),
    Plain(
        "audit_days",
        "Days for which audit records are kept",
        ("kubernetes.audit.retentionDays",),
        str(SIX_YEARS_DAYS),
        cluster=True,
    ),
    Plain("time_servers", "Time servers, several with '+', or empty", ("timeServers",)),
    Plain("dns_servers", "DNS servers, several with '+', or empty", ("dnsServers",), cluster=True),
    Plain(
        "names",
        "Names without DNS, such as api.hospital.example=10.20.0.9, several with '+', or empty",
        ("names",),
        cluster=True,
    ),
    Plain("image", "Image of the bundle to run on every node", ("firstImage",)),
    Plain("secrets", "Secrets file by SOPS, or empty", ("secrets",)),
)
"""Asked after them."""

ZONE_PARTS: Final = (
    ("name", "Name of zone {}", None),
    ("networks", "  Networks of its nodes, such as 10.20.1.0/24, or empty (several with '+')", ""),
    ("egress", "  Where it may connect to, such as 10.9.0.0/24:443, or empty (several with '+')",
     ""),
    ("taints", "  Taints, such as zone=clinical:NoSchedule, or empty (several with '+')", ""),
    ("labels", "  Labels, such as ward=east, or empty (several with '+')", ""),
)  # fmt: skip
"""Of a zone: the field, the question, and what an empty answer means."""

ROLES: Final = "control-plane+etcd+worker"

NODE_PARTS: Final = (
    ("name", "Name of node {}", None),
    ("zone", "  Its zone", None),
    ("roles", "  Its roles (several with '+')", ROLES),
    ("address", "  Its address", None),
    ("hostKey", "  Its host key as on its console, or empty to ask the machine for it", ""),
)
"""Of a node, as above. Its zone comes before its address, which must be in the zone's networks."""
