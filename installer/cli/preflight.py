"""`isoward preflight`: ask all machines of a site whether they are ready, and change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from bundle.cli.depots import depot_option
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.store.atomic import write_atomic
from installer.cli.install_options import age_key_option, site_secrets, utc_now
from installer.cli.install_page import tell_answers
from installer.installation.ahead import preflight_site
from installer.installation.context import InstallRequest
from installer.installation.rendered_inventory import read_overrides
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
@click.option("--page", type=_PATH, metavar="FILE.html", help="Also write the answers as a page.")
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
        InstallRequest(loaded, depot, ca=ca, overrides=over, secrets=site_secrets(loaded, age_key)),
        now=utc_now,
        progress=output.progress,
    )
    if page is not None:
        html = render_page(loaded.site.metadata.name, report, asked)
        write_atomic(page, html.encode())
    return tell_answers(output, report)
