"""`isoward install`: bring a site's machines up from the depot."""

from __future__ import annotations

import signal
import time
from typing import Any

import click

from bundle.cli.output import Output, output_options, pass_output
from installer.cli.cluster_options import (
    age_key_option,
    cluster_options,
    cluster_request,
    require_no_cluster_options,
    require_none,
    utc_now,
)
from installer.cli.cluster_page import result_data, result_page
from installer.installation.context import ClusterRequest
from installer.installation.plain_site import (
    RECEIPT_NAME,
    Connection,
    InstallRequest,
    InstallResult,
    install,
    preflight,
)
from installer.installation.run import install_cluster
from installer.installation.sequence import cluster_steps, serve_depot
from installer.preflight.answers import Report
from installer.preflight.ask import require_ready
from installer.preflight.table import table


@click.command("install")
@cluster_options
@click.option(
    "--connection",
    type=click.Choice(["ssh", "local"]),
    default="ssh",
    show_default=True,
    help="local takes this machine for the node.",
)
@age_key_option
@click.option("--dry-run", is_flag=True, help="Change nothing on the nodes; say what would be.")
@click.option("--preflight-only", is_flag=True, help="Ask the nodes, then stop.")
@output_options
@pass_output
def command(
    output: Output,
    /,
    *,
    connection: Connection,
    dry_run: bool,
    preflight_only: bool,
    **options: Any,
) -> None:
    """Install the machines of a SITE file from the depot.

    With kubernetes: in the site file, this is the whole way to a running cluster: `isoward plan`
    shows the steps. Killed or powered off anywhere and run again, it goes on where it was.

    Without it, every node is pointed at the depot, which `isoward serve` must be serving, and runs
    one image from it.

    Every node must show the host key that the site file pins, and nothing is changed before all
    have answered what they were asked.
    """
    request = cluster_request(**options)
    first = (connection != "ssh", dry_run, preflight_only)
    if request.site.site.kubernetes is None:
        require_no_cluster_options(options)
        asked = InstallRequest(
            request.site, request.depot, request.ca, connection, dry_run, request.who
        )
        _install_first(output, asked, preflight_only=preflight_only)
        return
    require_none(
        [given or None for given in first],
        "--connection, --dry-run and --preflight-only",
        "without kubernetes:",
    )
    _install_cluster(output, request)


def _install_cluster(output: Output, request: ClusterRequest) -> None:
    # A service manager that stops us, and a terminal that goes away, are as Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Whoever started us by nohup wants the terminal to go away.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    steps = cluster_steps(request.medium, request.waiver)
    done = install_cluster(
        request,
        steps,
        now=utc_now,
        monotonic=time.monotonic,
        progress=output.progress,
        serve=serve_depot,
    )
    name = request.site.site.metadata.name
    output.result(result_data(name, done), *result_page(name, done))


def _install_first(output: Output, request: InstallRequest, *, preflight_only: bool) -> None:
    """Install a site without a cluster: one image on every node."""
    if preflight_only:
        report = preflight(request, now=utc_now, progress=output.progress)
        # One document on standard output, so an error takes the table's place with --json.
        require_ready(report) if output.as_json else _show_and_require(output, report)
        output.result({"ready": True, "nodes": report.data()}, "every node is ready")
        return
    done = install(
        request,
        now=utc_now,
        progress=output.progress,
        on_report=lambda report: output.say(*table(report)),
    )
    output.result(_data(request, done), *_page(request, done))


def _show_and_require(output: Output, report: Report) -> None:
    output.say(*table(report))
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


def _page(request: InstallRequest, done: InstallResult) -> list[str]:
    site = request.site.site
    count = sum(len(tasks) for tasks in done.changed.values())
    if request.dry_run:
        name = site.metadata.name
        lines = [f"rehearsed {name}: {count} change(s) to files would be made; nothing was changed"]
    else:
        lines = [f"installed {site.metadata.name}: {count} change(s) on {len(site.nodes)} node(s)"]
    lines += [f"{node}: {done.image} said: {said}" for node, said in sorted(done.outputs.items())]
    lines += [f"WAIVER: {done.waiver}"] if done.waiver else []
    return [*lines, f"receipt: {done.directory / RECEIPT_NAME}"]
