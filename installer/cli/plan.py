"""`isoward plan`: what an installation is going to do, and what is done already."""

from __future__ import annotations

from typing import Any

import click

from bundle.cli.output import Output, output_options, pass_output
from installer.cli.cluster_options import (
    cluster_options,
    cluster_request,
    require_no_cluster_options,
    utc_now,
)
from installer.cli.cluster_page import first_plan_page, plan_page
from installer.installation.plain_site import InstallRequest, plan_first
from installer.installation.run import plan_cluster
from installer.installation.sequence import cluster_steps


@click.command("plan")
@cluster_options
@output_options
@pass_output
def command(output: Output, /, **options: Any) -> None:
    """Show what `isoward install` is going to do with the machines of a SITE file.

    Each step with what it changes on which machine, whether it is done, and how long it should
    take. Nothing is changed, and no machine is asked.
    """
    request = cluster_request(**options)
    if request.site.site.kubernetes is None:
        require_no_cluster_options(options)
        asked = InstallRequest(request.site, request.depot, request.ca)
        first = plan_first(asked)
        output.result(first, *first_plan_page(first))
        return
    plan = plan_cluster(request, cluster_steps(request.medium, request.waiver), now=utc_now)
    output.result(plan.data(), *plan_page(plan))
