"""Installing a site: ask its machines, then bring them up from the depot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from bundle.base.digest import digest_of
from bundle.base.errors import UsageError
from bundle.base.progress import NO_PROGRESS, Progress
from bundle.base.reference import Reference
from bundle.store.atomic import directory_lock, write_atomic
from installer.core.folders import make_private, require_folder_for_ssh
from installer.depot.directory import DepotDirectory, open_depot
from installer.depot.exceptions import words_of
from installer.hosts.choose_image import ChosenImage, choose_image
from installer.hosts.site_ca import read_ca
from installer.installation.forecast import SITES
from installer.kubespray.inventory import InventoryInput, depot_url, render_inventory
from installer.preflight.answers import Report
from installer.preflight.ask import (
    QUESTIONS,
    Connect,
    ask_site,
    on_this_machine,
    over_ssh,
    require_ready,
)
from installer.preflight.question import Question, Wanted
from installer.records.expected import expected_time
from installer.records.receipt import RECEIPT_NAME, Receipt, make_run_directory
from installer.site.host_key import known_hosts
from installer.site.load import SiteFile

Connection = Literal["ssh", "local"]
_PLAYBOOK: Final = "first.yml"
_CA_NAME: Final = "ca.pem"


@dataclass(frozen=True, slots=True)
class InstallRequest:
    """What is to be installed, and how.

    Attributes:
        site: The machines.
        depot: The depot's directory.
        ca: The site's CA, if it is not the depot's own.
        connection: `local` takes this machine for the node.
        dry_run: Change nothing; say what would be.
        who: The person at the keyboard, for the receipt.
    """

    site: SiteFile
    depot: Path
    ca: Path | None = None
    connection: Connection = "ssh"
    dry_run: bool = False
    who: str = ""


@dataclass(frozen=True, slots=True)
class InstallResult:
    """How an installation went.

    Attributes:
        directory: Events, inventory and receipt of this run.
        image: What every node has run.
        bundle: Digest of the bundle's bundle.json.
        waiver: What is to be said of the waiver by which the bundle came in; empty without one.
        report: What the machines answered.
        outputs: What the image said, by node.
        changed: The tasks that changed something, by node.
    """

    directory: Path
    image: Reference
    bundle: str
    waiver: str
    report: Report
    outputs: dict[str, str]
    changed: dict[str, list[str]]


def preflight(
    request: InstallRequest,
    *,
    now: Callable[[], datetime],
    progress: Progress = NO_PROGRESS,
    questions: Sequence[Question] = QUESTIONS,
) -> Report:
    """Ask the machines only; nothing is changed, on them or in the depot.

    Raises:
        DefinitionError: The site file, its CA or its image is wrong.
        IsowardError: The depot cannot be read.
    """
    prepared = _prepare(request)
    return _ask(request, prepared, now, progress, questions)


def install(
    request: InstallRequest,
    *,
    now: Callable[[], datetime],
    progress: Progress = NO_PROGRESS,
    on_report: Callable[[Report], None] = lambda _: None,
    questions: Sequence[Question] = QUESTIONS,
) -> InstallResult:
    """Install a site, or rehearse it.

    Args:
        request: What and how.
        now: The clock, UTC.
        progress: Told a line for each task on each node.
        on_report: Told what the machines answered, also when that ends the installation.
        questions: What to ask them.
    Raises:
        BusyError: Another installation of this site is running.
        PreflightError: A machine lacks something.
        UnreachableError: A machine does not answer, or is not the pinned one.
        StepError: A task failed on a machine.
        InterruptedByUserError: Ctrl-C.
    """
    _check_connection(request)
    prepared = _prepare(request)
    state = prepared.depot.path / SITES / request.site.site.metadata.name
    make_private(state)
    # Two at once would write over each other on the machines.
    with directory_lock(state):
        return _install(request, prepared, now, progress, (on_report, questions))


def plan_first(request: InstallRequest) -> dict[str, Any]:
    """Say what `install` would do with a site without a cluster; no machine is asked.

    Returns:
        Plain data, as `Plan.data` of a cluster's plan.
    Raises:
        DefinitionError: The site file, its CA or its image is wrong.
        IsowardError: The depot cannot be read.
    """
    prepared = _prepare(request)
    site, chosen = request.site.site, prepared.chosen
    size = chosen.bundle.manifest.content_bytes
    changes = [
        {"where": node.name, "what": what}
        for node in site.nodes
        for what in (
            f"points containerd at {depot_url(site)}, and gives it the site's CA",
            f"pulls {chosen.reference} and runs it once",
        )
    ]
    steps = [
        _planned_step("preflight", "Ask the machines", len(site.nodes), size, []),
        _planned_step("first image", "Run the first image", len(site.nodes), size, changes),
    ]
    return {
        "site": site.metadata.name,
        "bundle": chosen.bundle.record.digest,
        "expectedSeconds": sum(step["expectedSeconds"] or 0 for step in steps),
        "steps": steps,
    }


def _planned_step(
    name: str, title: str, nodes: int, size: int, changes: list[dict[str, str]]
) -> dict[str, Any]:
    expected = expected_time(name, nodes, size, ())
    return {
        "step": name,
        "title": title,
        "done": False,
        "stopped": False,
        "expectedSeconds": round(expected.seconds, 1) if expected is not None else None,
        "recordedHere": False,
        "changes": changes,
    }


_Told = tuple[Callable[[Report], None], Sequence[Question]]


def _install(
    request: InstallRequest,
    prepared: _Prepared,
    now: Callable[[], datetime],
    progress: Progress,
    told: _Told,
) -> InstallResult:
    on_report, questions = told
    site, chosen = request.site.site, prepared.chosen
    directory = make_run_directory(prepared.depot.runs, site.metadata.name, now())
    receipt = Receipt(directory, now, _facts(request, prepared))
    with receipt.kept():
        with receipt.step("preflight") as entry:
            report = _ask(request, prepared, now, progress, questions)
            entry["nodes"] = report.data()
            on_report(report)
            require_ready(report)
        with receipt.step("inventory"):
            inventory = _write_inputs(request, prepared, directory)
        with receipt.step("first image") as entry:
            # Not at the top: asking the machines only needs no Ansible.
            from installer.ansible_run.runner import Run, run_playbook

            run = Run(directory, _PLAYBOOK, inventory, directory / "known_hosts",
                      [node.name for node in site.nodes],
                      request.connection == "local", request.dry_run)  # fmt: skip
            log = run_playbook(run, progress)
            entry |= {"outputs": log.outputs, "changed": log.changed}
    record = chosen.bundle.record
    return InstallResult(
        directory, chosen.reference, record.digest, words_of(record), report, log.outputs,
        log.changed,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Prepared:
    depot: DepotDirectory
    chosen: ChosenImage
    ca: bytes


def _prepare(request: InstallRequest) -> _Prepared:
    # Ansible runs in a folder of its own, so what it is told of has to be an absolute path.
    require_folder_for_ssh(request.depot, "--depot")
    depot = open_depot(request.depot.absolute())
    chosen = choose_image(depot, request.site.site.required_first_image.reference)
    return _Prepared(depot, chosen, read_ca(request.ca or depot.tls / _CA_NAME))


def _check_connection(request: InstallRequest) -> None:
    nodes = len(request.site.site.nodes)
    if request.connection == "local" and not request.dry_run and nodes > 1:
        raise UsageError(
            f"--connection local: expected a site of one node, found {nodes}",
            "This machine can be one node only; rehearse with --dry-run, or install over ssh.",
        )


def _ask(
    request: InstallRequest,
    prepared: _Prepared,
    now: Callable[[], datetime],
    progress: Progress,
    questions: Sequence[Question],
) -> Report:
    site = request.site.site
    local = request.connection == "local"
    connect: Connect = on_this_machine if local else over_ssh(site, request.site.ssh_key)
    chosen = prepared.chosen
    wanted = Wanted(site.depot.address, site.depot.port, prepared.ca, chosen.reference,
                    chosen.platforms, now)  # fmt: skip
    return ask_site(
        site,
        connect,
        wanted,
        progress=progress,
        rehearsal=local and request.dry_run,
        questions=questions,
    )


def _write_inputs(request: InstallRequest, prepared: _Prepared, directory: Path) -> Path:
    """Write what Ansible reads into the run's folder; return the inventory's path."""
    site = request.site.site
    ca_file = directory / _CA_NAME
    local = request.connection == "local"
    # A rehearsal on this machine reads what everybody may read.
    become = not request.dry_run if local else site.ssh.user != "root"
    inventory = render_inventory(
        InventoryInput(site, request.site.ssh_key, prepared.chosen.reference,
                       prepared.chosen.registries, ca_file, directory.name, request.connection,
                       become)
    )  # fmt: skip
    path = directory / "inventory.yml"
    write_atomic(ca_file, prepared.ca)
    write_atomic(directory / "known_hosts", known_hosts(site).encode())
    write_atomic(path, inventory.encode(), 0o600)
    return path


def _facts(request: InstallRequest, prepared: _Prepared) -> dict[str, Any]:
    site, bundle = request.site.site, prepared.chosen.bundle
    return {
        "who": request.who,
        "site": site.metadata.name,
        "siteFile": digest_of(request.site.path.read_bytes()),
        "connection": request.connection,
        "dryRun": request.dry_run,
        "depot": depot_url(site),
        "ca": digest_of(prepared.ca),
        "bundle": {
            "name": bundle.manifest.metadata.name,
            "version": bundle.manifest.metadata.version,
            "digest": bundle.record.digest,
            "waiver": words_of(bundle.record) or None,
        },
        "image": str(prepared.chosen.reference),
        "nodes": [
            {"name": node.name, "address": node.address, "zone": node.zone} for node in site.nodes
        ],
    }


__all__ = ["RECEIPT_NAME", "InstallRequest", "InstallResult", "install", "preflight"]
