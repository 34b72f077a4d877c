"""The step `first image`: nodes that become no cluster get one image from the depot, and run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bundle.base.digest import digest_of
from bundle.store.atomic import write_atomic
from installer.ansible_run.left_running import end_leftovers
from installer.core.step import Change, Context
from installer.hosts.choose_image import ChosenImage, image_of
from installer.kubespray.inventory import InventoryInput, depot_url, render_inventory
from installer.site.host_key import known_hosts

_PLAYBOOK: Final = "first.yml"


class FirstImageStep:
    """Points every node at the depot, and runs one image from it."""

    name: Final = "first image"
    title: Final = "Run the first image"

    def changes(self, context: Context) -> Sequence[Change]:
        """Say what every node gets."""
        told = (
            f"points containerd at {depot_url(context.site)}, and gives it the site's CA",
            f"pulls {_chosen(context).reference} and runs it once",
        )
        return [Change(node.name, what) for node in context.site.nodes for what in told]

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return what the nodes' files follow from, and what they run."""
        site, chosen = context.site, _chosen(context)
        return {
            "nodes": [{"name": node.name, "address": node.address} for node in site.nodes],
            "depot": depot_url(site),
            "registries": list(chosen.registries),
            "image": str(chosen.reference),
            "command": list(site.required_first_image.command),
            "ca": digest_of(context.ca),
            "local": context.local,
        }

    def run(self, context: Context) -> Mapping[str, Any]:
        """Run the playbook, or rehearse it.

        Raises:
            UnreachableError: A node was lost, or is not the pinned one.
            StepError: A task failed on a node.
        """
        # Not at the top: the plan is made without Ansible.
        from installer.ansible_run.runner import Run, run_playbook

        site, chosen = context.site, _chosen(context)
        end_leftovers(context.run, site.metadata.name, context.progress)
        nodes = [node.name for node in site.nodes]
        log = run_playbook(
            Run(
                directory=context.run,
                playbook=_PLAYBOOK,
                inventory=_write_inputs(context, chosen),
                known_hosts=context.run / "known_hosts",
                nodes=nodes,
                local=context.local,
                check=context.rehearsal,
            ),
            context.progress,
        )
        return {
            "nodes": nodes,
            "image": str(chosen.reference),
            "outputs": log.outputs,
            "changed": log.changed,
        }


def _chosen(context: Context) -> ChosenImage:
    return image_of(context.bundle, context.site.required_first_image.reference)


def _write_inputs(context: Context, chosen: ChosenImage) -> Path:
    """Write what Ansible reads into the run's folder; return the inventory's path."""
    site, folder = context.site, context.run
    ca_file, inventory = folder / "ca.pem", folder / "inventory.yml"
    text = render_inventory(
        InventoryInput(
            site=site,
            ssh_key=context.ssh_key,
            image=chosen.reference,
            registries=chosen.registries,
            ca_file=ca_file,
            run=folder.name,
            connection="local" if context.local else "ssh",
            # A rehearsal on this machine reads what everybody may read.
            become=not context.rehearsal if context.local else site.ssh.user != "root",
        )
    )
    write_atomic(ca_file, context.ca)
    write_atomic(folder / "known_hosts", known_hosts(site).encode())
    write_atomic(inventory, text.encode(), 0o600)
    return inventory
