"""The site file, and what is made of it for Ansible, Kubespray and nodes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bundle.base.errors import DefinitionError
from bundle.base.reference import parse_reference
from bundle.model.manifest import Manifest
from fuzz.target import Target
from installer.hosts.names import names_of
from installer.kubespray.inventory import InventoryInput, render_inventory
from installer.kubespray.settings import KubesprayInput, render_kubespray
from installer.site.document import Site
from installer.site.load import parse_site
from installer.site.warnings import site_warnings
from tests.support.sites.clusters import kubespray_manifest

_KEY = Path("/home/admin/{{ key }}")
_OURS = (
    '-o UserKnownHostsFile=\'"{{ inventory_dir | replace("%", "%%") }}/known_hosts"\' '
    "-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"
)
"""What Ansible is to evaluate, which no site has a part in."""


class Unsafe(str):
    """A text that Ansible leaves as it is."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    pass


def _unsafe(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Unsafe:
    return Unsafe(loader.construct_scalar(node))


_Loader.add_constructor("!unsafe", _unsafe)


def site(data: bytes) -> None:
    """Check a site file, and make of it all that is made."""
    found = parse_site(data, "x.yaml")
    list(site_warnings(found))
    for line in names_of(found, lambda _: ["192.0.2.9"]).splitlines():
        assert len(line.split()) == len(("address", "name")), line
    if found.first_image is not None:
        _looked_at(_first(found))
    if found.kubernetes is not None:
        try:
            files = render_kubespray(KubesprayInput(found, _manifest(), _KEY, b"PEM"))
        except DefinitionError:
            return
        for path, text in files.items():
            if path != "known_hosts":
                _looked_at(text)
        assert files["known_hosts"].count("\n") == len(found.nodes)


@cache
def _manifest() -> Manifest:
    return kubespray_manifest("calico", "cilium", "kube-router")


def _first(found: Site) -> str:
    image = parse_reference("registry.example.org/app/web:2.1")
    return render_inventory(
        InventoryInput(
            site=found, ssh_key=_KEY, image=image, registries=("r.example",),
            ca_file=Path("/ca.pem"), run="run", connection="ssh", become=True,
        )
    )  # fmt: skip


def _looked_at(text: str) -> None:
    """Check that it is YAML in which nothing of the site's would be evaluated."""
    for found in _texts(yaml.load(text, _Loader)):
        if not isinstance(found, Unsafe) and found != _OURS:
            assert not any(mark in found for mark in ("{{", "{%", "{#")), found


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _texts(item)


TARGETS = (Target("site", site, max_length=8192),)
