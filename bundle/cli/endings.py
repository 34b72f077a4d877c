"""How a command ends: each kind of error with its exit code and message."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Sequence
from typing import Final

import click

from bundle.base.errors import (
    Advice,
    InterruptedByUserError,
    IsowardError,
    StorageError,
    UsageError,
)
from bundle.cli.commands import COMMANDS
from bundle.cli.output import report_error, wants_json
from bundle.cli.roles import missing_library
from bundle.cli.writer import discard_output, write_lines, write_traceback

_OF_OUTPUT: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF, errno.EROFS, errno.EPIPE}
)
_ALIKE: Final = 0.6
"""Similarity at which one name is offered for another; difflib's own default."""


def ended(error: BaseException, arguments: Sequence[str]) -> int:
    """Report the error that ended a command; return its exit code."""
    if isinstance(error, BrokenPipeError):
        # The reader of our output is gone, as with `head`; nothing is wrong.
        discard_output()
        return 0
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        write_lines(error.format_message().splitlines(), err=True)
        return UsageError.exit_code
    as_json = wants_json(arguments)
    if isinstance(error, OSError) and is_about_output(error):
        discard_output()
        error, as_json = output_lost(error), False
    return _told(_as_ours(error, arguments), as_json=as_json)


def _as_ours(error: BaseException, arguments: Sequence[str]) -> BaseException:
    """Turn a foreign error into one of ours; a bug stays what it is."""
    if isinstance(error, IsowardError):
        return _to_whom_it_concerns(error, arguments)
    if isinstance(error, click.UsageError):
        return usage_error(error, arguments)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return InterruptedByUserError(
            "stopped by the user", "Run the same command again to resume."
        )
    if isinstance(error, ModuleNotFoundError):
        # Libraries of one role are imported where they are used, at any depth.
        command = next((word for word in arguments if word in COMMANDS), "")
        return missing_library(error, command) or error
    return error


def _to_whom_it_concerns(error: IsowardError, arguments: Sequence[str]) -> IsowardError:
    """Return the error with the hint for the role whose command it is."""
    command = COMMANDS.get(next((word for word in arguments if word in COMMANDS), ""))
    if isinstance(error.hint, Advice) and command and command.module.startswith("bundler."):
        return error.reworded(error.message, error.hint.vendor)
    return error


def _told(error: BaseException, *, as_json: bool) -> int:
    try:
        if isinstance(error, IsowardError):
            report_error(error, as_json=as_json)
            return error.exit_code
        write_traceback(error)
        write_lines(["isoward: this is a bug; please report it with the lines above"], err=True)
    except OSError:
        # Nobody can read it: only the exit code is left.
        discard_output()
    return error.exit_code if isinstance(error, IsowardError) else IsowardError.exit_code


def usage_error(error: click.UsageError, arguments: Sequence[str]) -> UsageError:
    """Turn click's error into ours, suggesting the command that was probably meant."""
    context = error.ctx
    # click does not say which command an option without its value is of.
    named = next((word for word in arguments if word in COMMANDS), "")
    where = context.command_path if context else f"isoward {named}".rstrip()
    # click breaks lines within its messages to list what there is to choose from.
    message = " ".join(error.format_message().split())
    meant = ""
    if context is not None and isinstance(context.command, click.Group) and "No such c" in message:
        given = next((part for part in message.split("'")[1:2]), "")
        meant = closest(given, context.command.list_commands(context))
        message = f"unknown command: {where} {given}"
    hint = f"Did you mean `{where} {meant}`? " if meant else ""
    return UsageError(message, f"{hint}Run `{where} --help`.")


def closest(given: str, names: list[str]) -> str:
    """Return the name that was probably meant; empty if none is similar."""
    begin = [name for name in names if given and name.startswith(given)]
    found = begin if len(begin) == 1 else difflib.get_close_matches(given, names, 1, _ALIKE)
    return found[0] if found else ""


def is_about_output(error: OSError) -> bool:
    """Return whether standard output refused; every file of ours is named where it is written."""
    return error.filename is None and error.errno in _OF_OUTPUT


def output_lost(error: OSError) -> StorageError:
    """Return the error for output that could not be written."""
    return StorageError(
        f"cannot write to standard output: {error.strerror}",
        "Free some space, or send the output elsewhere; the exit code tells how the command ended.",
    )
