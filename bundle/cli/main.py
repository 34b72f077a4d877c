"""The `isoward` command: commands are named here as text and imported when they are called."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import click

from bundle.cli.output import Output, report_error, wants_json
from bundle.cli.roles import missing_library, require_role
from bundle.cli.stray import tame_libraries
from bundle.cli.writer import write_lines, write_traceback
from bundle.model.errors import InterruptedByUserError, IsowardError, UsageError

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "convert": ("bundler.cli.convert", "Make a definition of what other tools use."),
    "lock": ("bundler.cli.lock", "Resolve a definition to digests."),
    "build": ("bundler.cli.build", "Fetch what a lock names into a bundle."),
    "export": ("bundler.cli.export", "Write a lock as other tools have it."),
    "approve": ("bundler.cli.approve", "Add an approver's signature to a bundle."),
    "keys": ("bundler.cli.keys", "Make keys."),
    "root": ("bundler.cli.root", "Make, change and show the root of trust."),
    "sign": ("bundler.cli.sign", "Sign a root that somebody sent to you, without a network."),
    "release": ("bundler.cli.release", "Look after a release folder."),
    "verify": ("bundle.cli.verify", "Check a bundle: its trust, then every byte."),
    "inspect": ("bundle.cli.inspect", "Show what a bundle says it holds, unverified."),
    "enroll": ("installer.cli.enroll", "Trust a root at this site, once."),
    "waiver": ("installer.cli.waiver", "Let one expired bundle in, signed by two persons."),
    "recover": ("installer.cli.recover", "Recover lost records of the site, by two persons."),
    "import": ("installer.cli.import_", "Put a verified bundle into the depot."),
    "depot": ("installer.cli.depot", "Check the depot's content."),
    "serve": ("installer.cli.serve", "Serve the depot to the site's machines."),
    "site": ("installer.cli.site", "Write and check a site file, and make an inventory of it."),
    "preflight": ("installer.cli.preflight", "Ask a site's machines whether they are ready."),
    "plan": ("installer.cli.plan", "Show what an installation would do, and what is done."),
    "install": ("installer.cli.install", "Bring a site's machines up from the depot."),
}
"""Command, its module, and its line in the help."""


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
        module_name = COMMANDS[cmd_name][0]
        require_role(cmd_name)
        command: click.Command = importlib.import_module(module_name).command
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="isoward", message="isoward %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Carry a Kubernetes platform across an air gap, and prove what was done."""
    ctx.obj = Output()


def main(args: list[str] | None = None) -> None:
    """Run the command line and exit: the one place where errors become exit codes."""
    arguments = sys.argv[1:] if args is None else args
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:  # noqa: PLR0911 - one return a kind of ending
    """Run the command line and return its exit code; what it has to say is said."""
    as_json = wants_json(arguments)
    tame_libraries()
    try:
        result: Any = cli.main(args=arguments, prog_name="isoward", standalone_mode=False)
    except IsowardError as error:
        report_error(error, as_json=as_json)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        write_lines(error.format_message().splitlines(), err=True)
        return UsageError.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "isoward"
        hint = f"Run `{where} --help`."
        report_error(UsageError(error.format_message(), hint), as_json=as_json)
        return UsageError.exit_code
    except (click.Abort, KeyboardInterrupt):
        stopped = InterruptedByUserError(
            "stopped by the user", "Run the same command again to go on where it was."
        )
        report_error(stopped, as_json=as_json)
        return stopped.exit_code
    except ModuleNotFoundError as error:
        # Libraries of one role are imported where they are used, at any depth.
        missing = missing_library(error, next((w for w in arguments if w in COMMANDS), ""))
        if missing is None:
            return _report_bug(error)
        report_error(missing, as_json=as_json)
        return missing.exit_code
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; nothing is wrong.
        sys.stderr.close()
        return 0
    except Exception as error:  # noqa: BLE001 - a bug: the one case that shows a traceback
        return _report_bug(error)
    return result if isinstance(result, int) else 0


def _report_bug(error: Exception) -> int:
    write_traceback(error)
    write_lines(["isoward: this is a bug; please report it with the lines above"], err=True)
    return IsowardError.exit_code


if __name__ == "__main__":
    main()
