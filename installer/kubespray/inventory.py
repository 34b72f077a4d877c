"""Turning a site into an Ansible inventory."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2

from bundle.base.plain import visible
from bundle.base.reference import Reference
from installer.ansible_run.text import read_template, render_ansible
from installer.base.ssh_path import ssh_path
from installer.site.document import DepotAddress, Site

_TEMPLATE: Final = "first.yml.j2"


@dataclass(frozen=True, slots=True)
class InventoryInput:
    """What the template needs.

    Attributes:
        site: The machines.
        ssh_key: Our private key, named to Ansible by its path.
        image: The first image, by digest.
        registries: Source registries that the depot answers for.
        ca_file: The site's CA, PEM.
        run: The run's name; unique.
        connection: `ssh` or `local`.
        become: Whether root must be become.
    """

    site: Site
    ssh_key: Path
    image: Reference
    registries: tuple[str, ...]
    ca_file: Path
    run: str
    connection: str
    become: bool


def render_inventory(what: InventoryInput) -> str:
    """Return the inventory as YAML."""
    return render_ansible(
        _TEMPLATE,
        site=what.site,
        ssh_key=ssh_path(what.ssh_key),
        image=str(what.image),
        registries=what.registries,
        ca_file=what.ca_file,
        run=what.run,
        connection=what.connection,
        become=what.become,
        depot=depot_url(what.site),
        python=sys.executable,
    )


def render_html(name: str, **values: object) -> str:
    """Render a page of the package `inventory`; every value is escaped, whoever said it.

    Args:
        name: Its path there.
        values: What it needs; one that is missing is a mistake of ours.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_seen,
        loader=jinja2.FunctionLoader(read_template),
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(**values)


def _seen(value: object) -> object:
    return visible(value) if type(value) is str else value


def depot_url(site: Site) -> str:
    """Return the depot's address as the nodes use it."""
    return url_of(site.depot)


def url_of(depot: DepotAddress) -> str:
    """Return the address of one depot."""
    host = f"[{depot.address}]" if ":" in depot.address else depot.address
    return f"https://{host}:{depot.port}"
