"""Site files for lab nodes, and for nodes that are not there."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab.node import Lab

COMMAND: Final = ("/bin/sh", "-c", "echo hello from $(uname -n); cat /proc/1/comm")
_BASE: Final[dict[str, Any]] = {
    "apiVersion": "isoward/v1",
    "kind": "Site",
    "metadata": {"name": "lab"},
    "zones": ["clinical"],
}


def lab_site(
    lab: Lab, image: str, port: int, command: Sequence[str] = COMMAND, **more: Any
) -> dict[str, Any]:
    """Return the site of a lab as plain data, which a test may change.

    Args:
        lab: The nodes.
        image: The first image's reference.
        port: Of the depot, on this machine's address on the lab's bridge.
        command: What the image runs.
        more: Other top-level fields.
    """
    return {
        **copy.deepcopy(_BASE),
        "depot": {"address": lab.host_address, "port": port},
        "ssh": {"user": "root", "key": str(lab.ssh_key)},
        "nodes": [
            {
                "name": node.name,
                "address": node.address,
                "zone": "clinical",
                "hostKey": node.host_key,
            }
            for node in lab.nodes
        ],
        "firstImage": {"reference": image, "command": list(command)},
        **more,
    }


def write_site(path: Path, site: dict[str, Any]) -> Path:
    """Write a site file."""
    path.write_text(yaml.safe_dump(site, sort_keys=False), encoding="utf-8")
    return path
