"""`isoward site new`: asks what a site is like and writes its file; or takes it from options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from bundle.cli.output import Output, output_options, pass_output
from bundle.model.errors import DefinitionError
from bundle.model.site_cluster import (
    DEFAULT_POD_NETWORK,
    DEFAULT_SERVICE_NETWORK,
    ENFORCING_PLUGINS,
    SIX_YEARS_DAYS,
)
from bundle.store.atomic import require_new, write_new
from installer.cli.site_ask import Asker
from installer.documents import examine_site_file, warnings_of
from installer.site_draft import draft_site
from installer.site_questions import ROLES

_FILE = click.Path(path_type=Path)
_EXAMPLE_ZONE: Final = "name=clinical,networks=10.20.1.0/24,taints=zone=clinical:NoSchedule"
_LISTS: Final = ("time_servers", "dns_servers", "names")
"""Options that are repeated, and that are one answer."""


@click.command("new")
@click.argument("file", metavar="SITE", type=_FILE)
@click.option("--name", metavar="NAME", help="Of the site.")
@click.option("--depot", metavar="ADDRESS[:PORT]", help="Where nodes reach `isoward serve`.")
@click.option("--second-depot", metavar="ADDRESS[:PORT]", help="One that holds the same.")
@click.option("--ssh-user", metavar="USER", help="Who may log in on the nodes.")
@click.option("--ssh-key", metavar="KEY", help="Its private key, relative to SITE.")
@click.option(
    "--zone",
    "zones",
    multiple=True,
    metavar="ZONE",
    help=f"Such as {_EXAMPLE_ZONE},egress=10.9.0.0/24:443; several values with '+'; repeat it.",
)
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="NODE",
    help=f"Such as name=n1,address=10.20.1.11,zone=clinical,roles={ROLES},"
    "hostKey=ssh-ed25519 AAAA...; or fingerprint=SHA256:..., with which the key is asked of the "
    "machine; repeat it.",
)
@click.option("--image", metavar="REFERENCE", help="One of the bundle, to run on every node.")
@click.option("--image-command", metavar="WORD", multiple=True, help="What it runs; repeat it.")
@click.option("--kubernetes", metavar="VERSION", help="As the bundle carries; `none` for none.")
@click.option("--network-plugin", type=click.Choice(ENFORCING_PLUGINS), help="Of the cluster.")
@click.option("--control-plane", metavar="ADDRESS", help="The load balancer's, if there is one.")
@click.option("--service-network", metavar="CIDR", help=f"{DEFAULT_SERVICE_NETWORK} if left out.")
@click.option("--pod-network", metavar="CIDR", help=f"{DEFAULT_POD_NETWORK} if left out.")
@click.option("--oidc-issuer", metavar="URL", help="The identity provider's, if there is one.")
@click.option("--oidc-client", metavar="ID", help="The cluster's client ID there.")
@click.option("--audit-days", metavar="DAYS", help=f"At least {SIX_YEARS_DAYS}: six years.")
@click.option("--time-server", "time_servers", multiple=True, metavar="ADDRESS", help="Repeat it.")
@click.option("--dns-server", "dns_servers", multiple=True, metavar="ADDRESS", help="Repeat it.")
@click.option(
    "--known-name",
    "names",
    multiple=True,
    metavar="NAME=ADDRESS",
    help="Known to nodes and pods without DNS; repeat it.",
)
@click.option("--secrets", metavar="FILE", help="The file that SOPS encrypted, relative to SITE.")
@output_options
@pass_output
def new(output: Output, /, *, file: Path, **given: Any) -> None:
    """Write a SITE file from answers on the terminal.

    Every answer can also be an option. Nothing is written that `isoward site check` would refuse.
    """
    require_new(file)
    # Somebody who gave the nodes by options does not want to be asked for the rest.
    asks = sys.stdin.isatty() and not given["nodes"]
    given |= {name: "+".join(given[name]) or None for name in _LISTS}
    draft = Asker(given, file, asks=asks).ask()
    data, problems = draft_site(draft, file)
    if problems:
        shown = "; ".join(problem.text for problem in problems)
        raise DefinitionError(f"{file}: not written: {shown}", problems[0].hint)
    write_new(file, data)
    lines = [f"written: {file}", f"  `isoward site check {file}` finds nothing wrong with it."]
    for warning in warnings_of(file, examine_site_file(file)[0]):
        lines += [f"  Look at {warning.placed}", f"    {warning.hint}"]
    output.result({"site": draft.answers["name"], "file": str(file)}, *lines)
