"""`isoward preflight`: ask all machines of a site whether they are ready, and change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from bundle.base.errors import IsowardError
from bundle.cli.depots import depot_option
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.store.atomic import write_atomic
from installer.cli.cluster_options import age_key_option, site_secrets, utc_now
from installer.installation.ahead import PreflightRequest, preflight_site
from installer.installation.rendered_inventory import read_overrides
from installer.preflight.answers import Report
from installer.preflight.ask import require_ready
from installer.preflight.table import by_question
from installer.site.load import load_site
from installer.steps.check_page import render_page

_PATH = click.Path(path_type=Path)


@click.command("preflight")
@click.argument("site", metavar="SITE", type=Given("site"))
@depot_option()
@click.option("--ca", type=_PATH, help="The site's CA, PEM; otherwise the depot's own.")
@click.option(
    "--overrides", type=_PATH, help="A folder whose files take the place of the inventory's."
)
@age_key_option
@click.option("--page", type=_PATH, metavar="FILE.html", help="Write the answers as a page, too.")
@output_options
@pass_output
def command(
    output: Output,
    *,
    site: Path,
    depot: Path,
    ca: Path | None,
    overrides: Path | None,
    age_key: Path,
    page: Path | None,
) -> int:
    """Ask all machines of a SITE file whether they are ready; nothing is changed.

    All of them are asked at once, also when some do not answer. What fails forbids an installation,
    what is warned of does not; below each is what to do.
    """
    loaded = load_site(site)
    over = read_overrides(overrides) if overrides is not None else {}
    asked = utc_now()
    report = preflight_site(
        PreflightRequest(loaded, depot, ca, over, site_secrets(loaded, age_key)),
        now=utc_now,
        progress=output.progress,
    )
    if page is not None:
        html = render_page(loaded.site.metadata.name, report, asked)
        write_atomic(page, html.encode())
    return _tell(output, report)


def _tell(output: Output, report: Report) -> int:
    output.say(*by_question(report))
    try:
        require_ready(report)
    except IsowardError as error:
        if not output.as_json:
            raise
        # The one error object of `--json`, and with it all answers.
        refused = {
            "error": error.id,
            "exitCode": error.exit_code,
            "message": error.message,
            "hint": error.hint,
            "context": error.context,
        }
        output.result({"ready": False, **refused, "nodes": report.data()})
        return error.exit_code
    output.result({"ready": True, "nodes": report.data()}, "every node is ready")
    return 0
