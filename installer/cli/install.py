"""`isoward install`: bring a site's machines up from the depot."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bundle.cli.output import Output, json_option, pass_output
from installer.depot.directory import DEFAULT_DEPOT
from installer.documents import load_site
from installer.install import (
    RECEIPT_NAME,
    Connection,
    InstallRequest,
    InstallResult,
    install,
    preflight,
)
from installer.preflight.answers import Report
from installer.preflight.ask import require_ready
from installer.preflight.table import table

_PATH = click.Path(path_type=Path)


@click.command("install")
@click.argument("site", type=_PATH)
@click.option(
    "--depot", type=_PATH, default=DEFAULT_DEPOT, show_default=True, help="The depot's directory."
)
@click.option("--ca", type=_PATH, help="The site's CA, PEM; otherwise the depot's own.")
@click.option(
    "--connection",
    type=click.Choice(["ssh", "local"]),
    default="ssh",
    show_default=True,
    help="local takes this machine for the node.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing on the nodes; say what would be.")
@click.option("--preflight-only", is_flag=True, help="Ask the nodes, then stop.")
@json_option
@pass_output
def command(
    output: Output,
    *,
    site: Path,
    depot: Path,
    ca: Path | None,
    connection: Connection,
    dry_run: bool,
    preflight_only: bool,
) -> None:
    """Install the machines of a SITE file from the depot, which `isoward serve` must be serving.

    Asks every node a few questions first and changes nothing unless all answers allow it. Every
    node must show the host key that the site file pins. Running it again is safe: it goes on where
    it was stopped and changes only what differs.
    """
    request = InstallRequest(load_site(site), depot, ca, connection, dry_run, _who())
    if preflight_only:
        report = preflight(request, now=_now, progress=output.progress)
        # One document on standard output, so an error takes the table's place with --json.
        require_ready(report) if output.as_json else _show_and_require(output, report)
        output.result({"ready": True, "nodes": report.data()}, "every node is ready")
        return
    done = install(
        request,
        now=_now,
        progress=output.progress,
        on_report=lambda report: output.say(table(report)),
    )
    output.result(_data(request, done), _text(request, done))


def _show_and_require(output: Output, report: Report) -> None:
    output.say(table(report))
    require_ready(report)


def _data(request: InstallRequest, done: InstallResult) -> dict[str, Any]:
    return {
        "site": request.site.site.metadata.name,
        "dryRun": request.dry_run,
        "bundle": done.bundle,
        "waiver": done.waiver or None,
        "image": str(done.image),
        "nodes": done.report.data(),
        "outputs": done.outputs,
        "changed": done.changed,
        "receipt": str(done.directory / RECEIPT_NAME),
    }


def _text(request: InstallRequest, done: InstallResult) -> str:
    site = request.site.site
    count = sum(len(tasks) for tasks in done.changed.values())
    if request.dry_run:
        name = site.metadata.name
        lines = [f"rehearsed {name}: {count} change(s) to files would be made; nothing was changed"]
    else:
        lines = [f"installed {site.metadata.name}: {count} change(s) on {len(site.nodes)} node(s)"]
    lines += [f"{node}: {done.image} said: {said}" for node, said in sorted(done.outputs.items())]
    lines += [f"WAIVER: {done.waiver}"] if done.waiver else []
    return "\n".join([*lines, f"receipt: {done.directory / RECEIPT_NAME}"])


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _now() -> datetime:
    return datetime.now(UTC)
