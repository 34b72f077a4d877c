"""The step `hosts`: every machine trusts the site's CA, and has packages from the depot alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bundle.base.digest import digest_of
from bundle.kinds.os_packages import OsEntry
from bundle.store.atomic import make_directory, write_atomic
from installer.ansible_run.left_running import end_leftovers
from installer.ansible_run.text import render_ansible
from installer.base.redact import Redactor
from installer.base.ssh_path import ssh_path
from installer.core.step import Change, Context
from installer.hosts.inquiry import System, ask_systems, set_clock
from installer.hosts.names import Resolve, names_of, resolve_here
from installer.hosts.package_sources import (
    APT_SOURCES,
    DNF_REPOSITORIES,
    NodeFile,
    choose_sets,
    package_files,
    read_keyrings,
)
from installer.hosts.site_ca import NODE_CA
from installer.kubespray.inventory import url_of
from installer.site.host_key import known_hosts
from installer.site.secrets import secret_variables

MARKER: Final = "/etc/isoward/site.json"
"""Says on a node which site it belongs to, and by which bundle it was prepared."""

_PLAYBOOK: Final = "hosts.yml"
_TEMPLATE: Final = "hosts.yml.j2"
_OFF_SECONDS: Final = 1.0
"""Certificates made here are valid at once only on a machine whose clock agrees."""


class HostsStep:
    """Prepares every machine for Kubespray.

    Attributes:
        name: `hosts`.
        title: For a person.
    """

    name: Final = "hosts"
    title: Final = "Prepare the machines"

    def __init__(self, *, resolve: Resolve = resolve_here) -> None:
        """Find addresses of names on this machine, unless a test says otherwise."""
        self._resolve = resolve

    def changes(self, context: Context) -> Sequence[Change]:
        """Say what every node gets."""
        return [Change(node.name, what) for node in context.site.nodes for what in _told(context)]

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return what the nodes' files follow from."""
        site = context.site
        control = site.kubernetes.control_plane if site.kubernetes is not None else None
        return {
            "site": site.metadata.name,
            "nodes": [{"name": node.name, "address": node.address} for node in site.nodes],
            "names": dict(sorted(site.names.items())),
            "timeServers": list(site.time_servers),
            "depots": [url_of(depot) for depot in site.depots],
            "controlPlane": control.address if control is not None else None,
            "bundle": context.bundle.record.digest,
            "ca": digest_of(context.ca),
        }

    def run(self, context: Context) -> Mapping[str, Any]:
        """Ask every node what it is, and only then change any.

        Raises:
            UnreachableError: A node does not answer, or was lost.
            StepError: The bundle has no packages for a node, or a task failed on one.
            DigestMismatchError: A keyring was damaged in the depot.
        """
        # Not at the top: the plan is made without Ansible.
        from installer.ansible_run.runner import Run, run_playbook

        site, metadata = context.site, context.bundle.manifest.metadata
        end_leftovers(context.run, site.metadata.name, context.progress)
        systems = ask_systems(site, context.connect, context.now)
        sets = choose_sets(
            systems, context.bundle.manifest.os_packages, f"{metadata.name} {metadata.version}"
        )
        names = names_of(site, self._resolve)
        clocks = self._set_clocks(context, systems)
        folder = context.run / self.name
        inventory = _write_inputs(context, folder, sets, names)
        log = run_playbook(
            Run(
                directory=context.run,
                playbook=_PLAYBOOK,
                inventory=inventory,
                known_hosts=folder / "known_hosts",
                nodes=[node.name for node in site.nodes],
                local=False,
                check=False,
                variables=secret_variables(context.secrets),
                redactor=Redactor(context.secrets.values()),
            ),
            context.progress,
        )
        return {
            "nodes": {
                name: {
                    "release": system.release,
                    "packages": [entry.name for entry in sets[name]],
                    "changed": log.changed.get(name, []),
                }
                for name, system in systems.items()
            },
            "clocksSet": clocks,
        }

    def _set_clocks(self, context: Context, systems: Mapping[str, System]) -> dict[str, float]:
        """Set the clocks that are off, where nobody else will; return by how much they were."""
        if context.site.time_servers:
            return {}
        off = {
            name: round(system.ahead, 3)
            for name, system in systems.items()
            if abs(system.ahead) > _OFF_SECONDS
        }
        for node in context.site.nodes:
            if node.name in off:
                context.progress.note(f"{node.name}: its clock is off by {off[node.name]} s: set")
                set_clock(node, context.connect, context.now)
        return off


def _told(context: Context) -> Iterator[str]:
    depots = " and ".join(url_of(depot) for depot in context.site.depots)
    yield f"puts the site's CA into the trust store and into {NODE_CA}"
    yield (
        f"makes {depots} its only source of packages: {APT_SOURCES} or {DNF_REPOSITORIES}; other "
        "sources are set aside as *.isoward.disabled"
    )
    yield "names it as the site does, and writes the site's names into /etc/hosts"
    yield "makes an empty /etc/resolv.conf where there is none"
    if not context.site.time_servers:
        yield f"sets its clock if it is off by more than {_OFF_SECONDS:.0f} s"
    yield f"writes {MARKER}"


def _write_inputs(
    context: Context, folder: Path, sets: Mapping[str, tuple[OsEntry, ...]], names: str
) -> Path:
    """Write what Ansible reads into the step's own folder; return the inventory's path."""
    site = context.site
    marker = {"site": site.metadata.name, "bundle": context.bundle.record.digest}
    files = folder / "files"
    make_directory(files)
    write_atomic(folder / "ca.pem", context.ca)
    write_atomic(folder / "known_hosts", known_hosts(site).encode())
    write_atomic(folder / "site.json", json.dumps(marker).encode() + b"\n")
    entries = {entry.name: entry for found in sets.values() for entry in found}
    keyrings = read_keyrings(entries.values(), context.depot)
    depots = [url_of(depot) for depot in site.depots]
    placed = {
        name: [_placed(file, files) for file in package_files(found, depots, keyrings)]
        for name, found in sets.items()
    }
    weak = {name: any(entry.recommends for entry in found) for name, found in sets.items()}
    text = render_ansible(
        _TEMPLATE,
        site=site,
        ssh_key=ssh_path(context.ssh_key),
        become=site.ssh.user != "root",
        names=names,
        ca_file=folder / "ca.pem",
        marker={"source": folder / "site.json", "path": MARKER},
        files=placed,
        weak=weak,
    )
    inventory = folder / "inventory.yml"
    write_atomic(inventory, text.encode(), 0o600)
    return inventory


def _placed(file: NodeFile, folder: Path) -> dict[str, str]:
    """Write a node's file here, under a name that says what it is; nodes share what is equal."""
    name = f"{digest_of(file.data).removeprefix('sha256:')[:16]}-{file.path.rpartition('/')[2]}"
    write_atomic(folder / name, file.data)
    return {"source": str(folder / name), "path": file.path}
