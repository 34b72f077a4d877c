"""`isoward site`: writing and checking the site file, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import click

from bundle.base.errors import DefinitionError
from bundle.base.problem import Problem
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from installer.cli.site_inventory import inventory
from installer.cli.site_new import new
from installer.site.document import Site
from installer.site.load import examine_site_file, warnings_of

_PATH = click.Path(path_type=Path)


@click.group("site")
@output_options
def command() -> None:
    """Write and check a site file, and make Kubespray's inventory of it."""


command.add_command(new)
command.add_command(inventory)


@command.command("check")
@click.argument("file", metavar="SITE", type=Given("site"))
@output_options
@pass_output
def check(output: Output, *, file: Path) -> int:
    """Check a SITE file and report every problem by line.

    Also looks at the SSH key and the secrets file that it names; no machine is asked.
    """
    site, problems = examine_site_file(file)
    if site is None or problems:
        return _refused(output, file, problems)
    warnings = warnings_of(file, site)
    output.result(
        {
            "site": site.metadata.name,
            "problems": [],
            "warnings": [_data(warning) for warning in warnings],
        },
        *_good(file, site, warnings),
    )
    return 0


def _good(file: Path, site: Site, warnings: list[Problem]) -> list[str]:
    lines = [f"{file}: no problems in the site {site.metadata.name}"]
    for warning in warnings:
        lines += [f"{file}: look at {warning.placed}", f"  {warning.hint}"]
    for zone in site.all_zones:
        names = [node.name for node in site.nodes if node.zone == zone.name]
        lines.append(f"  {zone.name}: {', '.join(names) or 'no node'}")
    if site.kubernetes is None:
        lines.append("  no cluster: it has no kubernetes:")
    else:
        counts = ", ".join(
            f"{len(site.nodes_with(role))} {role}" for role in ("control-plane", "etcd", "worker")
        )
        lines.append(f"  Kubernetes {site.kubernetes.version}: {counts}")
    return lines


def _refused(output: Output, file: Path, problems: list[Problem]) -> int:
    count = len(problems)
    error = DefinitionError(
        f"{file}: {count} problem{'' if count == 1 else 's'}, first {problems[0].placed}",
        problems[0].hint,
    )
    if not output.as_json:
        for problem in problems:
            output.say(f"{file}: {problem.placed}", f"  {problem.hint}")
        raise error
    # The one error object of `--json`, and with it all the others.
    output.result(
        {
            "error": error.id,
            "exitCode": error.exit_code,
            "message": error.message,
            "hint": error.hint,
            "context": {},
            "problems": [_data(problem) for problem in problems],
        },
    )
    return error.exit_code


def _data(problem: Problem) -> dict[str, str | int]:
    return {
        "line": problem.line,
        "field": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }
