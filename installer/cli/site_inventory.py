"""`isoward site inventory`: the inventory that Kubespray runs on, for a look or for use by hand."""

from __future__ import annotations

from pathlib import Path

import click

from bundle.base.digest import digest_of
from bundle.base.errors import UsageError
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.store.atomic import storage_errors
from installer.core.folders import require_folder_for_kubespray
from installer.hosts.site_ca import read_ca
from installer.installation.rendered_inventory import of_bundle, of_depot, read_overrides
from installer.kubespray.inventory_folder import write_inventory
from installer.kubespray.settings import HOSTS_NAME, KubesprayInput, render_kubespray
from installer.site.load import load_site

_PATH = click.Path(path_type=Path)


@click.command("inventory")
@click.argument("site", metavar="SITE", type=Given("site"))
@click.option("--depot", type=Given("depot"), help="Use the newest bundle of this depot.")
@click.option("--bundle", type=Given("bundle"), help="Use this unverified bundle instead.")
@click.option("--ca", type=_PATH, help="The CA that vouches for the identity provider, PEM.")
@click.option("--overrides", type=_PATH, help="A folder whose files override the generated ones.")
@click.option("-o", "--output", "folder", type=_PATH, required=True, help="A new folder.")
@output_options
@pass_output
def inventory(
    output: Output,
    *,
    site: Path,
    depot: Path | None,
    bundle: Path | None,
    ca: Path | None,
    overrides: Path | None,
    folder: Path,
) -> None:
    """Write Kubespray's inventory of a SITE file and a bundle."""
    if (depot is None) == (bundle is None):
        raise UsageError("expected one of --depot and --bundle", "Choose one bundle.")
    require_folder_for_kubespray(folder, "--output")
    loaded = load_site(site)
    carried = of_depot(depot) if depot is not None else of_bundle(bundle or Path())
    rendered = render_kubespray(
        KubesprayInput(
            loaded.site, carried.manifest, loaded.ssh_key, read_ca(ca) if ca is not None else b""
        )
    )
    over = read_overrides(overrides) if overrides is not None else {}
    with storage_errors(f"read {site}"):
        made_from = {"bundle": carried.digest, "site": digest_of(site.read_bytes())}
    replaced = write_inventory(folder, rendered, over, made_from)
    output.result(
        {"inventory": str(folder / HOSTS_NAME), "bundle": carried.digest, "overrides": replaced},
        f"written: {folder / HOSTS_NAME}",
        f"  for bundle.json {carried.digest}",
        *(f"  overridden: {path}" for path in replaced),
    )
