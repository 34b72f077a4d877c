"""`isoward install`: bring a site's machines up from the depot."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from typing import Any

import click

from bundle.cli.output import Output, output_options, pass_output
from installer.cli.install_options import (
    InstallOptions,
    age_key_option,
    install_options,
    meant_for,
    utc_now,
)
from installer.cli.install_page import result_data, result_page, tell_answers
from installer.installation.ahead import preflight_site
from installer.installation.run import Clock, install
from installer.installation.sequence import serve_depot, steps_for


@click.command("install")
@install_options
@click.option(
    "--connection",
    type=click.Choice(["ssh", "local"]),
    default="ssh",
    show_default=True,
    help="local treats this machine as the node.",
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
    connection: str,
    dry_run: bool,
    preflight_only: bool,
    **options: Any,
) -> int:
    """Install the machines of a SITE file from the depot.

    With kubernetes: in the site file, this is the whole way to a running cluster. Without it, every
    node is pointed at the depot, which `isoward serve` must be serving, and runs one image from it.

    `isoward plan` shows the steps. Killed or powered off anywhere and run again, it goes on where
    it was.

    Every node must show the host key that the site file pins, and nothing is changed before all
    have answered what they were asked.
    """
    request = replace(
        InstallOptions(**options).request(), local=connection == "local", rehearsal=dry_run
    )
    if request.site.site.kubernetes is not None and (request.local or dry_run):
        raise meant_for("--connection and --dry-run", "without kubernetes:")
    if preflight_only:
        report = preflight_site(request, now=utc_now, progress=output.progress)
        return tell_answers(output, report)
    # A service manager that stops us, and a terminal that goes away, are as Ctrl-C.
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Whoever started us by nohup wants the terminal to go away.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    done = install(
        request,
        steps_for(request),
        clock=Clock(utc_now, time.monotonic),
        progress=output.progress,
        serve=serve_depot,
    )
    output.result(result_data(request, done), *result_page(request, done))
    return 0
