"""The step `cluster`: Kubespray's cluster.yml, in the environment that the bundle carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, StepError
from bundle.kinds.kubespray import KubesprayEntry
from bundle.store.atomic import storage_errors, write_atomic
from installer.ansible_run.followed import EXPECTED_NAME, PlayLog, expected_of
from installer.ansible_run.left_running import end_leftovers
from installer.ansible_run.variables import ssh_arguments
from installer.base.redact import Redactor
from installer.core.step import Change, Context
from installer.kubespray.environment import (
    ChosenEnvironment,
    ThisMachine,
    choose_environment,
    prepare_environment,
)
from installer.kubespray.inventory_folder import (
    CREDENTIALS,
    digests_of,
    inventory_files,
    renew_inventory,
)
from installer.kubespray.settings import HOSTS_NAME, KubesprayInput, render_kubespray
from installer.kubespray.tree import PLAYBOOK, unpack_tree
from installer.site.cluster_part import Role
from installer.site.document import DepotAddress
from installer.site.secrets import secret_variables
from installer.steps.cluster_depot import answering_depot, with_depots_word
from installer.steps.encryption_key import require_same_key

if TYPE_CHECKING:
    from installer.ansible_run.runner import Run

_INVENTORY: Final = "inventory"
_BEGUN: Final = "cluster-began"
"""In the site's folder while cluster.yml runs, and after it did not reach its end."""
_SETTLE: Final = "settle.yml"
_TREE: Final = "kubespray"
_CHANGES: Final[dict[Role, str]] = {
    "etcd": "runs a member of etcd",
    "control-plane": "runs the control plane: kube-apiserver, -controller-manager, -scheduler",
    "worker": "runs workloads",
}
_EVERY_NODE: Final = (
    "installs containerd, kubelet and everything else that Kubespray needs, from the depot"
)
_FACTS_SECONDS: Final = 86_400


class ClusterStep:
    """Turns the machines into a cluster. Kubespray finds out itself what is done already."""

    name: Final = "cluster"
    title: Final = "Build the cluster"

    def __init__(self, *, machine: ThisMachine | None = None) -> None:
        """Run on this machine, or on one that a test describes."""
        self._machine = machine or ThisMachine()

    def changes(self, context: Context) -> Sequence[Change]:
        """Say what becomes of each machine."""
        changes = [Change("this machine", f"writes {context.state / _INVENTORY}")]
        for node in context.site.nodes:
            parts = [_EVERY_NODE, *(what for role, what in _CHANGES.items() if role in node.roles)]
            changes += [Change(node.name, part) for part in parts if node.roles]
        return changes

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return the digests of the inventory, the tree, the environment and the bundle."""
        files = inventory_files(_render(context), context.overrides)
        return {
            "bundle": context.bundle.record.digest,
            "tree": _kubespray(context).tree,
            "environment": self._environment(context).digest,
            "inventory": digests_of(files),
            # Their names alone: a new password is no reason to build the cluster anew, and another
            # key is refused below.
            "secrets": sorted(context.secrets),
        }

    def run(self, context: Context) -> Mapping[str, Any]:
        """Run cluster.yml to its end on every machine.

        Raises:
            IsowardError: As `require_same_key`, `prepare_environment`, `unpack_tree`,
                `renew_inventory`, `run_playbook`.
        """
        # Not at the top: the plan is made without Ansible.
        from installer.ansible_run.runner import run_playbook

        entry, environment = _kubespray(context), self._environment(context)
        require_same_key(context)
        end_leftovers(context.run, context.site.metadata.name, context.progress)
        program = prepare_environment(
            context.depot,
            context.bundle,
            environment,
            progress=context.progress,
            machine=self._machine,
        )
        tree = unpack_tree(context.depot, context.bundle, entry.tree, context.state / _TREE)
        folder = context.state / _INVENTORY
        rendered = _render(context, answering_depot(context))
        files = renew_inventory(folder, rendered, context.overrides, _made_from(context))
        run = _cluster_run(context, tree, program, folder)
        _settle(context, run)
        log = PlayLog(context.progress, expected_of(context.state), context.now, run.nodes)
        try:
            run_playbook(run, context.progress, log)
        except StepError as error:
            raise with_depots_word(error, log.failures, context) from error
        finally:
            log.end()
        expected = log.as_expected()
        write_atomic(context.state / EXPECTED_NAME, canonical_json(expected.data()), 0o600)
        with storage_errors(f"remove {context.state / _BEGUN}"):
            (context.state / _BEGUN).unlink(missing_ok=True)
        return {
            "playbook": PLAYBOOK,
            "kubespray": entry.version,
            "inventory": files,
            "artifacts": str(run.artifacts),
            **expected.data(),
            "changed": {node: len(tasks) for node, tasks in sorted(log.changed.items())},
        }

    def _environment(self, context: Context) -> ChosenEnvironment:
        return choose_environment(context.bundle.manifest, self._machine)


def _kubespray(context: Context) -> KubesprayEntry:
    entry = context.bundle.manifest.kubespray
    if entry is None:
        raise DefinitionError(
            f"the bundle {context.bundle.record.digest} has no Kubespray",
            "Import a bundle whose definition has kubespray:.",
        )
    return entry


def _render(context: Context, depot: DepotAddress | None = None) -> dict[str, str]:
    """Render the inventory, with files from a depot; the first one when left out."""
    return render_kubespray(
        KubesprayInput(
            context.site,
            context.bundle.manifest,
            context.ssh_key.absolute(),
            context.ca,
            depot,
        )
    )


def _made_from(context: Context) -> dict[str, str]:
    with storage_errors(f"read {context.site_path}"):
        site = digest_of(context.site_path.read_bytes())
    return {"bundle": context.bundle.record.digest, "site": site}


def _cluster_run(context: Context, tree: Path, program: Path, folder: Path) -> Run:
    from installer.ansible_run.runner import Run

    nodes = [node.name for node in context.site.nodes]
    pinned = folder / "known_hosts"
    # Over everything that the overrides can say: no file of an inventory unpins a host key.
    variables: dict[str, Any] = {
        "ansible_ssh_args": ssh_arguments(pinned),
        "ansible_ssh_common_args": "",
        "ansible_ssh_extra_args": "",
        "ansible_host_key_checking": True,
        "ansible_ssh_host_key_checking": True,
    }
    variables |= secret_variables(context.secrets)
    return Run(
        context.run,
        PLAYBOOK,
        folder / HOSTS_NAME,
        pinned,
        nodes,
        local=False,
        check=False,
        project=tree,
        program=program,
        settings=_settings(tree),
        arguments=["-b"],
        variables=variables,
        redactor=Redactor(context.secrets.values(), folder / CREDENTIALS),
    )


def _settle(context: Context, run: Run) -> None:
    """Make the machines ready for another run, where an earlier one did not reach its end."""
    from installer.ansible_run.runner import run_playbook

    begun = context.state / _BEGUN
    if begun.exists():
        context.progress.note(
            "an earlier run was interrupted; checking what it left on the machines"
        )
        unfinished = not (context.state / EXPECTED_NAME).exists()
        variables = {**run.variables, "settle_unfinished": unfinished}
        settle = replace(
            run, playbook=_SETTLE, project=None, program=None, settings={}, variables=variables
        )
        run_playbook(settle, context.progress)
    write_atomic(begun, f"{context.run.name}\n".encode(), 0o600)


def _settings(tree: Path) -> dict[str, str]:
    """Return what of Kubespray's ansible.cfg it needs; the rest of that file is not wanted.

    Source: ansible.cfg of Kubespray v2.31.0. It switches the check of host keys off and keeps
    facts in /tmp.
    """
    return {
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_TIMEOUT": str(_FACTS_SECONDS),
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "False",
        "ANSIBLE_GATHERING": "smart",
        "ANSIBLE_LIBRARY": str(tree / "library"),
        "ANSIBLE_SSH_RETRIES": "3",
        "ANSIBLE_TIMEOUT": "60",
        "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS": "ignore",
    }
