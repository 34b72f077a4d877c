"""The `isoward` command: commands are named as text and imported when they are called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from bundle.cli.colour import allow_colour
from bundle.cli.commands import COMMANDS, GROUPS
from bundle.cli.endings import ended
from bundle.cli.output import Output, output_options
from bundle.cli.roles import require_role
from bundle.cli.stray import tame_libraries
from bundle.cli.writer import flush_output, open_closed_streams


class LazyGroup(click.Group):
    """Imports a command's module when it is called, so that each one starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """List in the order of a bundle's journey."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        require_role(cmd_name)
        command: click.Command = importlib.import_module(COMMANDS[cmd_name].module).command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name without importing any."""
        named = [
            CompletionItem(name, help=listed.summary)
            for name, listed in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the commands of each role without importing any."""
        for role, group in GROUPS.items():
            with formatter.section(role):
                formatter.write_dl([(f"{name:<10}", said.summary) for name, said in group.items()])


def _tell_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        found = version("isoward")
        ctx.ensure_object(Output).result({"version": found}, f"isoward {found}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version and exit.",
)
@output_options
def cli() -> None:
    """Carry a Kubernetes platform across an air gap, and prove what was done."""


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit: the one place where errors become exit codes."""
    open_closed_streams()
    # Whatever the caller's umask says, nobody else may write what this, or a program of it, makes.
    os.umask(os.umask(0o077) | 0o022)
    arguments = sys.argv[1:] if args is None else args
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; what it has to say is said."""
    tame_libraries()
    allow_colour(allowed=True)
    try:
        result: Any = cli.main(args=arguments, prog_name="isoward", standalone_mode=False)
        flush_output()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - each has its ending
        return ended(error, arguments)
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
