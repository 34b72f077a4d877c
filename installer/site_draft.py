"""A site file made from answers: short texts become fields, and what comes out is checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bundle.model.errors import UsageError
from bundle.model.problems import Problem
from bundle.model.yaml_strict import dump_yaml
from installer.documents import examine_site_bytes

_HEADER: Final = """\
# Made by `isoward site new`; to be changed and kept under version control.
# docs/FORMAT.md, "Site", says what each field means; `isoward site check` looks at it.
"""
_ZONE_FIELDS: Final = ("name", "networks", "egress", "taints", "labels")
_NODE_FIELDS: Final = ("name", "address", "zone", "roles", "hostKey", "port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The answers; empty texts are answers that leave something out."""

    name: str
    depot: str
    ssh_key: str
    image: str
    zones: list[dict[str, Any]]
    nodes: list[dict[str, Any]]
    second_depot: str = ""
    ssh_user: str = "root"
    image_command: list[str] = field(default_factory=lambda: ["/bin/true"])
    kubernetes: str | None = None
    network_plugin: str | None = None
    control_plane: str = ""
    secrets: str = ""


def draft_site(draft: Draft, path: Path) -> tuple[bytes, list[Problem]]:
    """Return the file's content, and what is wrong with it.

    Args:
        draft: The answers.
        path: Where it will be; the files that it names are looked for beside it.
    """
    data = (_HEADER + dump_yaml(_document(draft))).encode()
    return data, examine_site_bytes(data, path)[1]


def parse_zone(text: str) -> dict[str, Any]:
    """Read a zone from `name=clinical,networks=A+B,egress=CIDR:PORT,taints=KEY=VALUE:EFFECT`.

    Raises:
        UsageError: It has no such form.
    """
    fields = _fields(text, _ZONE_FIELDS, "--zone")
    zone: dict[str, Any] = {"name": fields["name"]}
    if "networks" in fields:
        zone["networks"] = fields["networks"].split("+")
    if "egress" in fields:
        zone["egress"] = [_egress(part) for part in fields["egress"].split("+")]
    if "labels" in fields:
        pairs = (part.partition("=") for part in fields["labels"].split("+"))
        zone["labels"] = {key: value for key, _, value in pairs}
    if "taints" in fields:
        zone["taints"] = [_taint(part) for part in fields["taints"].split("+")]
    return zone


def parse_node(text: str) -> dict[str, Any]:
    """Read a node from `name=n1,address=10.0.0.11,zone=clinical,roles=etcd+worker,hostKey=...`.

    Raises:
        UsageError: It has no such form.
    """
    fields: dict[str, Any] = dict(_fields(text, _NODE_FIELDS, "--node"))
    if "roles" in fields:
        fields["roles"] = fields["roles"].split("+")
    if "port" in fields:
        fields["port"] = _number(fields["port"])
    return fields


def _fields(text: str, known: tuple[str, ...], option: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or name not in known or name in fields:
            raise UsageError(
                f"{option}: expected fields of {', '.join(known)} as name=value, each once, found "
                f"{part[:60]!r}",
                "Separate fields by commas, and several values of one by '+'.",
            )
        fields[name] = value
    if "name" not in fields:
        raise UsageError(f"{option}: expected a name, found none", "Begin with name=...")
    return fields


def _egress(text: str) -> dict[str, Any]:
    network, slash, rest = text.partition("/")
    length, colon, port = rest.partition(":")
    found: dict[str, Any] = {"to": f"{network}{slash}{length}"}
    if colon:
        found["ports"] = [_number(port)]
    return found


def _taint(text: str) -> dict[str, str]:
    mark, _, effect = text.rpartition(":")
    key, _, value = mark.partition("=")
    return {"key": key, **({"value": value} if value else {}), "effect": effect}


def _address(text: str) -> dict[str, Any]:
    """Split ADDRESS:PORT; an IPv6 address has its port behind brackets, or none."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    else:
        address, port = text, ""
    return {"address": address, **({"port": _number(port)} if port else {})}


def _number(text: str) -> int | str:
    """Return a number; what is none stays as it is, for the check to name its field."""
    return int(text) if text.isascii() and text.isdigit() else text


def _document(draft: Draft) -> dict[str, Any]:
    site: dict[str, Any] = {
        "apiVersion": "isoward/v1",
        "kind": "Site",
        "metadata": {"name": draft.name},
        "depot": _address(draft.depot),
    }
    if draft.second_depot:
        site["secondDepot"] = _address(draft.second_depot)
    site["ssh"] = {"user": draft.ssh_user, "key": draft.ssh_key}
    site["zones"] = draft.zones
    site["nodes"] = draft.nodes
    site["firstImage"] = {"reference": draft.image, "command": draft.image_command}
    if draft.kubernetes:
        site["kubernetes"] = {"version": draft.kubernetes, "networkPlugin": draft.network_plugin}
        if draft.control_plane:
            site["kubernetes"]["controlPlane"] = _address(draft.control_plane)
    if draft.secrets:
        site["secrets"] = draft.secrets
    return site
