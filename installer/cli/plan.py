"""`isoward plan`: what an installation is going to do, and what is done already."""

from __future__ import annotations

from typing import Any

import click

from bundle.cli.output import Output, output_options, pass_output
from installer.cli.install_options import InstallOptions, install_options, utc_now
from installer.cli.install_page import plan_page
from installer.installation.run import plan_installation
from installer.installation.sequence import steps_for


@click.command("plan")
@install_options
@output_options
@pass_output
def command(output: Output, /, **options: Any) -> None:
    """Show what `isoward install` is going to do with the machines of a SITE file.

    Each step with what it changes on which machine, whether it is done, and how long it should
    take. Nothing is changed, and no machine is asked.
    """
    request = InstallOptions(**options).request()
    plan = plan_installation(request, steps_for(request), now=utc_now)
    output.result(plan.data(), *plan_page(plan))
