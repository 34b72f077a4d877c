"""A site file made from answers: short texts become fields, and what comes out is checked."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bundle.base.errors import UsageError
from bundle.base.problem import Problem
from bundle.base.yaml.strict import dump_yaml
from installer.site.cluster_part import (
    DEFAULT_POD_NETWORK,
    DEFAULT_SERVICE_NETWORK,
    ENFORCING_PLUGINS,
    SIX_YEARS_DAYS,
)
from installer.site.load import examine_site_bytes

_HEADER: Final = """\
# Made by `isoward site new`; to be changed and kept under version control.
# docs/FORMAT.md, "Site", says what each field means; `isoward site check` looks at it.
"""
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_ZONE_FIELDS: Final = ("name", "networks", "egress", "taints", "labels")
_NODE_FIELDS: Final = ("name", "address", "zone", "roles", "hostKey", "fingerprint", "port")
_NO_CLUSTER: Final = "none"
_PLACEHOLDERS: Final = {"name": "site", "depot": "192.0.2.1", "ssh_key": "/dev/null"}
_SAMPLE_IMAGE: Final = "registry.example.org/sample:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The answers.

    Attributes:
        answers: Texts by the name of the question; an empty one leaves something out.
        zones: As the site file has them.
        nodes: As the site file has them.
        image_command: What the first image runs.
    """

    answers: Mapping[str, str]
    zones: Sequence[Mapping[str, Any]] = ()
    nodes: Sequence[Mapping[str, Any]] = ()
    image_command: Sequence[str] = ("/bin/true",)

    @property
    def cluster(self) -> bool:
        """Whether it is to be a cluster."""
        return self.answers.get("kubernetes", _NO_CLUSTER) not in {"", _NO_CLUSTER}


def draft_site(draft: Draft, path: Path) -> tuple[bytes, list[Problem]]:
    """Return the file's content, and what is wrong with it.

    Args:
        draft: The answers.
        path: Where it will be; the files that it names are looked for beside it.
    """
    data = (_HEADER + dump_yaml(_document(draft))).encode()
    return data, examine_site_bytes(data, path)[1]


def objections(draft: Draft, path: Path, fields: Sequence[str]) -> list[Problem]:
    """Return what is wrong with some fields of a draft that is not finished.

    Everything that was not answered yet is taken for something that is right in itself.

    Args:
        draft: The answers so far.
        path: Where the file will be.
        fields: Such as `depot` or `nodes[1].address`; what is within them counts too.
    """
    return [found for found in draft_site(_filled(draft), path)[1] if within(found.path, fields)]


def within(path: str, fields: Sequence[str]) -> bool:
    """Say whether a path is one of some fields, or of something in them."""
    return any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in fields)


def _filled(draft: Draft) -> Draft:
    answers = {**_PLACEHOLDERS, **{name: text for name, text in draft.answers.items() if text}}
    if not draft.cluster:
        answers.setdefault("image", _SAMPLE_IMAGE)
    zones = draft.zones or [{"name": "zone", "networks": ["192.0.2.0/24"]}]
    nodes = [{**_some_node(i, zones[0]["name"]), **node} for i, node in enumerate(draft.nodes)]
    return replace(
        draft, answers=answers, zones=zones, nodes=nodes or [_some_node(0, zones[0]["name"])]
    )


def _some_node(number: int, zone: str) -> dict[str, Any]:
    """Return a node that has the form of one."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + number.to_bytes(32, "big")
    return {
        "name": f"placeholder-{number}",
        "address": f"192.0.2.{number % 250 + 2}",
        "zone": zone,
        "roles": ["worker"],
        "hostKey": f"ssh-ed25519 {base64.b64encode(blob).decode()}",
    }


def zone_fields(text: str) -> dict[str, str]:
    """Read `name=clinical,networks=A+B,egress=CIDR:PORT,taints=KEY=VALUE:EFFECT,labels=KEY=VALUE`.

    Raises:
        UsageError: It has no such form.
    """
    return _fields(text, _ZONE_FIELDS, "--zone")


def zone_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return a zone as the site file has it; what is malformed stays for the check to name."""
    zone: dict[str, Any] = {"name": fields.get("name", "")}
    if fields.get("networks"):
        zone["networks"] = fields["networks"].split("+")
    if fields.get("egress"):
        zone["egress"] = [_egress(part) for part in fields["egress"].split("+")]
    if fields.get("labels"):
        pairs = (part.partition("=") for part in fields["labels"].split("+"))
        zone["labels"] = {key: value for key, _, value in pairs}
    if fields.get("taints"):
        zone["taints"] = [_taint(part) for part in fields["taints"].split("+")]
    return zone


def node_fields(text: str) -> dict[str, str]:
    """Read `name=n1,address=10.0.0.11,zone=clinical,roles=etcd+worker,hostKey=...`.

    Raises:
        UsageError: It has no such form.
    """
    return _fields(text, _NODE_FIELDS, "--node")


def node_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return a node as the site file has it; what is malformed stays for the check to name."""
    node: dict[str, Any] = {name: text for name, text in fields.items() if text}
    if "address" in node:
        node |= _address(node["address"])
    if "roles" in node:
        node["roles"] = node["roles"].split("+")
    if fields.get("port"):
        node["port"] = _number(fields["port"])
    return node


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
    return int(text) if _NUMBER.fullmatch(text) else text


def _document(draft: Draft) -> dict[str, Any]:
    answers = draft.answers
    site: dict[str, Any] = {
        "apiVersion": "isoward/v1",
        "kind": "Site",
        "metadata": {"name": answers.get("name", "")},
        "depot": _address(answers.get("depot", "")),
    }
    if answers.get("second_depot"):
        site["secondDepot"] = _address(answers["second_depot"])
    site["ssh"] = {
        "user": answers.get("ssh_user") or "root",
        "key": answers.get("ssh_key") or "id_ed25519",
    }
    site["zones"] = [dict(zone) for zone in draft.zones]
    site["nodes"] = [dict(node) for node in draft.nodes]
    if answers.get("image"):
        site["firstImage"] = {
            "reference": answers["image"],
            "command": list(draft.image_command),
        }
    for field, name in (("timeServers", "time_servers"), ("dnsServers", "dns_servers")):
        if answers.get(name):
            site[field] = answers[name].split("+")
    if answers.get("names"):
        pairs = (part.partition("=") for part in answers["names"].split("+"))
        site["names"] = {name: address for name, _, address in pairs}
    if draft.cluster:
        site["kubernetes"] = _kubernetes(answers)
    if answers.get("secrets"):
        site["secrets"] = answers["secrets"]
    return site


def _kubernetes(answers: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "version": answers["kubernetes"],
        "networkPlugin": answers.get("network_plugin") or ENFORCING_PLUGINS[0],
    }
    if answers.get("control_plane"):
        options["controlPlane"] = _address(answers["control_plane"])
    for field, name, default in (
        ("serviceNetwork", "service_network", DEFAULT_SERVICE_NETWORK),
        ("podNetwork", "pod_network", DEFAULT_POD_NETWORK),
    ):
        if answers.get(name, default) not in {"", default}:
            options[field] = answers[name]
    if answers.get("oidc_issuer"):
        client = answers.get("oidc_client") or "kubernetes"
        options["oidc"] = {"issuer": answers["oidc_issuer"], "clientId": client}
    if answers.get("audit_days", "") not in {"", str(SIX_YEARS_DAYS)}:
        options["audit"] = {"retentionDays": _number(answers["audit_days"])}
    return options
