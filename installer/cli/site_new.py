"""`isoward site new`: asks what a site is like and writes its file; or takes it from options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from bundle.cli.output import Output, json_option, pass_output
from bundle.model.errors import DefinitionError, UsageError
from bundle.model.site_cluster import ENFORCING_PLUGINS
from bundle.store.atomic import require_new, write_new
from installer.site_draft import Draft, draft_site, parse_node, parse_zone

_FILE = click.Path(path_type=Path)
_ROLES: Final = "control-plane+etcd+worker"
_EXAMPLE_ZONE: Final = "name=clinical,networks=10.20.1.0/24,taints=zone=clinical:NoSchedule"


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
    help=f"Such as name=n1,address=10.20.1.11,zone=clinical,roles={_ROLES},"
    "hostKey=ssh-ed25519 AAAA...; repeat it.",
)
@click.option("--image", metavar="REFERENCE", help="One of the bundle, to run on every node.")
@click.option("--image-command", metavar="WORD", multiple=True, help="What it runs; repeat it.")
@click.option("--kubernetes", metavar="VERSION", help="As the bundle carries; `none` for none.")
@click.option("--network-plugin", type=click.Choice(ENFORCING_PLUGINS), help="Of the cluster.")
@click.option("--control-plane", metavar="ADDRESS", help="The load balancer's, if there is one.")
@click.option("--secrets", metavar="FILE", help="The file that SOPS encrypted, relative to SITE.")
@json_option
@pass_output
def new(output: Output, /, *, file: Path, **given: Any) -> None:
    """Write a SITE file from answers on the terminal.

    Every answer can also be an option. Nothing is written that `isoward site check` would refuse.
    """
    require_new(file)
    draft = _ask_all(given)
    data, problems = draft_site(draft, file)
    if problems:
        shown = "; ".join(problem.text for problem in problems)
        raise DefinitionError(f"{file}: not written: {shown}", problems[0].hint)
    write_new(file, data)
    output.result(
        {"site": draft.name, "file": str(file)},
        f"written: {file}\n  `isoward site check {file}` finds nothing wrong with it.",
    )


def _ask_all(given: dict[str, Any]) -> Draft:
    """Take each answer from its option, or ask for it."""
    ask = _Asker(given)
    cluster = ask.text("kubernetes", "Version of Kubernetes, or none", "none")
    plugin = None
    if cluster != "none":
        plugin = ask.text("network_plugin", f"Network plugin ({', '.join(ENFORCING_PLUGINS)})",
                          ENFORCING_PLUGINS[0])  # fmt: skip
    return Draft(
        name=ask.text("name", "Name of the site"),
        depot=ask.text("depot", "Address of the depot"),
        second_depot=ask.text("second_depot", "Address of a second depot, or empty", ""),
        ssh_user=ask.text("ssh_user", "User for SSH", "root"),
        ssh_key=ask.text("ssh_key", "Private key for SSH, relative to the file", "id_ed25519"),
        zones=[parse_zone(text) for text in ask.several("zones", "zone", _zone)],
        nodes=[parse_node(text) for text in ask.several("nodes", "node", _node(cluster))],
        image=ask.text("image", "Image of the bundle to run on every node"),
        image_command=list(given["image_command"]) or ["/bin/true"],
        kubernetes=None if cluster == "none" else cluster,
        network_plugin=plugin,
        control_plane=ask.text("control_plane", "Load balancer of the API server, or empty", "")
        if plugin
        else "",
        secrets=ask.text("secrets", "Secrets file by SOPS, or empty", ""),
    )


class _Asker:
    """Asks on the terminal for what no option says; without one, what has a default takes it."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        # Somebody who gave the nodes by options does not want to be asked for the rest.
        self._asks = sys.stdin.isatty() and not given["nodes"]

    def text(self, name: str, question: str, default: str | None = None) -> str:
        """Return one answer."""
        value = self._given[name]
        if value is not None:
            return str(value)
        if not self._asks:
            if default is None:
                raise _missing(name)
            return default
        return _prompt(question, default)

    def several(self, name: str, what: str, ask: Callable[[int], str]) -> list[str]:
        """Return one answer or more."""
        answers = list(self._given[name])
        if answers:
            return answers
        if not self._asks:
            raise _missing(what)
        while True:
            answers.append(ask(len(answers) + 1))
            if not click.confirm(f"Another {what}?", default=False, err=True):
                return answers


def _zone(number: int) -> str:
    name = _prompt(f"Name of zone {number}")
    parts = [f"name={name}"]
    for field, question in (
        ("networks", "Networks of its nodes, such as 10.20.1.0/24, or empty"),
        ("egress", "Where it may connect to, such as 10.9.0.0/24:443, or empty"),
        ("taints", "Taints, such as zone=clinical:NoSchedule, or empty"),
        ("labels", "Labels, such as ward=east, or empty"),
    ):
        value = _prompt(f"  {question} (several with '+')", "")
        parts += [f"{field}={value}"] if value else []
    return ",".join(parts)


def _node(cluster: str) -> Callable[[int], str]:
    def ask(number: int) -> str:
        parts = [f"name={_prompt(f'Name of node {number}')}"]
        parts += [f"{field}={_prompt(f'  Its {field}')}" for field in ("address", "zone")]
        if cluster != "none":
            parts.append(f"roles={_prompt('  Its roles', _ROLES)}")
        parts.append(f"hostKey={_prompt('  Its host key, as on its console')}")
        return ",".join(parts)

    return ask


def _prompt(question: str, default: str | None = None) -> str:
    return str(click.prompt(question, default=default, err=True, show_default=bool(default)))


def _missing(name: str) -> UsageError:
    option = "--" + name.replace("_", "-")
    return UsageError(
        f"{option}: expected it, found none, and nobody is there to ask",
        "Run this on a terminal, or give every answer as an option.",
    )
