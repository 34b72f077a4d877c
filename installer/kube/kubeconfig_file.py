"""Kubeconfigs: one that a node wrote is read strictly, and ours is written anew from its parts.

A kubeconfig may name programs to run and files to read, and may switch off the check of the
server's certificate. A node is not trusted to stay away from that: only certificates and a key that
stand in the file itself are taken, everything else is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from bundle.base.errors import StepError
from bundle.base.limits import KIB
from bundle.base.yaml.strict import dump_yaml, load_yaml

MAX_KUBECONFIG_BYTES: Final = 64 * KIB
"""kubeadm's has 6 KiB; this is also the most that is read of a program's output."""

_ADVICE: Final = "Is it the one that kubeadm wrote? `kubeadm kubeconfig user` writes it anew."
_CERTIFICATES: Final = re.compile(
    r"(\s*-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----)+\s*"
)
_KEY: Final = re.compile(
    r"\s*-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----\s[A-Za-z0-9+/=\s]+?-----END \1-----\s*"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an administrator needs to talk to an API server; PEM.

    Attributes:
        ca: The cluster's CA.
        certificate: The administrator's.
        key: Its private key.
    """

    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Kubernetes spells these fields with dashes; one that is not named here is refused."""


class _Cluster(_Part, frozen=True, kw_only=True):
    certificate_authority_data: str
    server: str


class _NamedCluster(_Part, frozen=True, kw_only=True):
    name: str
    cluster: _Cluster


class _User(_Part, frozen=True, kw_only=True):
    client_certificate_data: str
    client_key_data: str


class _NamedUser(_Part, frozen=True, kw_only=True):
    name: str
    user: _User


class _Context(_Part, frozen=True, kw_only=True):
    cluster: str
    user: str


class _NamedContext(_Part, frozen=True, kw_only=True):
    name: str
    context: _Context


class _Kubeconfig(_Part, frozen=True, kw_only=True):
    api_version: Literal["v1"] = msgspec.field(name="apiVersion")
    kind: Literal["Config"]
    clusters: tuple[_NamedCluster]
    contexts: tuple[_NamedContext]
    users: tuple[_NamedUser]
    current_context: str
    preferences: dict[str, str] = msgspec.field(default_factory=dict)


def parse_kubeconfig(data: bytes, where: str) -> Credentials:
    """Read a kubeconfig with one cluster and one user, both with everything embedded.

    Args:
        data: Untrusted.
        where: What it is, for messages; none of them says what is in it.
    Raises:
        StepError: It is something else, or it names programs, files or exceptions.
    """
    try:
        found = load_yaml(
            data, _Kubeconfig, where=where, limit=MAX_KUBECONFIG_BYTES, error=StepError
        )
    except StepError as error:
        # What stands in a wrong place may be the key: the place is named, and not what is there.
        raise StepError(error.message.partition(", found '")[0], _ADVICE) from None
    cluster, user = found.clusters[0].cluster, found.users[0].user
    ca = _pem(cluster.certificate_authority_data, _CERTIFICATES, f"{where}: the CA")
    certificate = _pem(user.client_certificate_data, _CERTIFICATES, f"{where}: the certificate")
    key = _pem(user.client_key_data, _KEY, f"{where}: the key")
    return Credentials(ca, certificate, key)


def render_kubeconfig(credentials: Credentials, server: str, name: str) -> bytes:
    """Write a kubeconfig.

    Args:
        credentials: Whose.
        server: The API server's address, `https://...`.
        name: What the cluster, and the context, is called.
    """
    user = f"{name}-admin"
    tree: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {"certificate-authority-data": _text(credentials.ca), "server": server},
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _text(credentials.certificate),
                    "client-key-data": _text(credentials.key),
                },
            }
        ],
    }
    return dump_yaml(tree).encode()


def _pem(text: str, form: re.Pattern[str], what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
        decoded = data.decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise StepError(f"{what}: expected PEM in base64, found something else", _ADVICE) from error
    if not form.fullmatch(decoded):
        raise StepError(f"{what}: expected PEM of that alone, found something else", _ADVICE)
    return data


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
