"""`isoward completion`: a script for completing commands and options in a shell."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from bundle.cli.output import Output, output_options, pass_output

SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@output_options
@pass_output
@click.pass_context
def command(ctx: click.Context, output: Output, shell: str) -> None:
    """Print a script for SHELL that completes commands and options.

    For bash, save it with the other completions, such as
    ~/.local/share/bash-completion/completions/isoward; for zsh into a folder of $fpath as _isoward;
    for fish into ~/.config/fish/completions/isoward.fish.
    """
    made = SHELLS[shell](ctx.find_root().command, {}, "isoward", "_ISOWARD_COMPLETE")
    script = made.source_template % made.source_vars()
    output.result({"shell": shell, "script": script}, *script.splitlines())
