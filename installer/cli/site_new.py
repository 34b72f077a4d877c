"""`isoward site new`: asks what a site is like and writes its file; or takes it from options."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from bundle.base.errors import DefinitionError, InterruptedByUserError
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.questions import confirm, tell
from bundle.store.atomic import require_new, storage_errors, write_new
from installer.cli.site_ask import NO_ANSWERS, Asker
from installer.site.cluster_part import (
    DEFAULT_POD_NETWORK,
    DEFAULT_SERVICE_NETWORK,
    ENFORCING_PLUGINS,
    SIX_YEARS_DAYS,
)
from installer.site.draft import Draft, draft_site
from installer.site.load import examine_site_file, warnings_of
from installer.site.questions import ROLES
from installer.site.saved_answers import SiteAnswers, answers_path, read_answers, write_answers

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
@click.option("--image-command", metavar="WORD", multiple=True, help="What it runs; repeatable.")
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
    help="Known to nodes and pods without DNS; repeatable.",
)
@click.option("--secrets", metavar="FILE", help="The file that SOPS encrypted, relative to SITE.")
@output_options
@pass_output
def new(output: Output, /, *, file: Path, **given: Any) -> None:
    """Write a SITE file from answers on the terminal.

    Every answer can also be an option. Nothing is written that `isoward site check` would refuse.
    Answers are kept in SITE.draft until it is written, so that you can stop and go on later.
    """
    require_new(file)
    # Somebody who gave the nodes by options does not want to be asked for the rest.
    asks = sys.stdin.isatty() and not given["nodes"]
    given |= {name: "+".join(given[name]) or None for name in _LISTS}
    draft = _asked(given, file) if asks else Asker(given, file, asks=False).ask()
    data, problems = draft_site(draft, file)
    if problems:
        shown = "; ".join(problem.text for problem in problems)
        raise DefinitionError(f"{file}: not written: {shown}", problems[0].hint)
    write_new(file, data)
    answers_path(file).unlink(missing_ok=True)
    lines = [f"written: {file}", f"  `isoward site check {file}` finds no problems in it."]
    for warning in warnings_of(file, examine_site_file(file)[0]):
        lines += [f"  Look at {warning.placed}", f"    {warning.hint}"]
    output.result({"site": draft.answers["name"], "file": str(file)}, *lines)


def _asked(given: Mapping[str, Any], file: Path) -> Draft:
    """Ask a person, beginning with what was kept; keep each answer."""
    path = answers_path(file)
    kept = _offered(path)
    asker = Asker(given, file, asks=True, kept=kept, keep=lambda now: write_answers(path, now))
    try:
        return asker.ask()
    except (click.Abort, KeyboardInterrupt) as error:
        if not path.exists():
            raise
        raise InterruptedByUserError(
            f"stopped by the user; the answers so far are in {path}",
            "Run the same command again to continue with them.",
        ) from error


def _offered(path: Path) -> SiteAnswers:
    """Return the answers of an earlier time, if there are any and the person wants them."""
    kept = read_answers(path)
    if kept is None:
        if path.is_symlink() or path.exists():
            # Another person's, open to others or damaged: not to be used, and not to be lost.
            tell(f"{path} cannot be used as earlier answers.")
            _set_aside(path)
        return NO_ANSWERS
    tell(f"{path} has the answers of an earlier time, {len(kept.answers)} and "
         f"{len(kept.zones)} zones and {len(kept.nodes)} nodes.")  # fmt: skip
    if confirm("Continue with them?", default=True):
        return kept
    _set_aside(path)
    return NO_ANSWERS


def _set_aside(path: Path) -> None:
    aside = path.with_name(f"{path.name}.old")
    with storage_errors(f"rename {path}"):
        path.replace(aside)
    tell(f"What it has is in {aside} now.")
