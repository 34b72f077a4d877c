"""Sites as plain data, which a test may spoil, and keys to go with them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import paramiko
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from installer.site.document import Site
from installer.site.load import parse_site
from tests.lab.content import IMAGE

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAAvyFzgnJNSZP9dOuvH66nuxm9qEwp5esQxzEaKPYV"
_SITE: dict[str, Any] = {
    "apiVersion": "isoward/v1",
    "kind": "Site",
    "metadata": {"name": "ward"},
    "depot": {"address": "127.0.0.1", "port": 5443},
    "ssh": {"user": "root", "key": "id_ed25519"},
    "zones": ["clinical"],
    "nodes": [
        {"name": "node1", "address": "127.0.0.1", "zone": "clinical", "hostKey": HOST_KEY},
    ],
    "firstImage": {"reference": IMAGE, "command": ["/bin/echo", "hello"]},
}


def site_data(**changes: Any) -> dict[str, Any]:
    """Return a site as data, with other top-level fields."""
    return {**copy.deepcopy(_SITE), **changes}


def site_of(data: dict[str, Any]) -> Site:
    """Return the checked site."""
    return parse_site(yaml.safe_dump(data).encode(), "site.yaml")


def node_data(host_key: str, port: int, name: str = "node1") -> dict[str, Any]:
    """Return a node on this machine."""
    return {
        "name": name,
        "address": "127.0.0.1",
        "port": port,
        "zone": "clinical",
        "hostKey": host_key,
    }


def new_key(path: Path) -> paramiko.PKey:
    """Write a new private key and return it."""
    private = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    path.touch(mode=0o600)
    path.write_bytes(private)
    return paramiko.Ed25519Key.from_private_key_file(str(path))


def public_text(key: paramiko.PKey) -> str:
    """Return a public key as a site file pins it."""
    return f"{key.get_name()} {key.get_base64()}"


def write_site(folder: Path, data: dict[str, Any]) -> Path:
    """Write a site file with its SSH key beside it."""
    key = folder / "id_ed25519"
    if not key.exists():
        new_key(key)
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path
