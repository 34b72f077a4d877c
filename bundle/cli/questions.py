"""Asking a person on the terminal; what is shown goes the way of all lines."""

from __future__ import annotations

from collections.abc import Callable

import click

from bundle.base.plain import visible
from bundle.cli.writer import write_lines


def tell(*lines: str) -> None:
    """Say on standard error what a question is about."""
    write_lines(lines, err=True)


def ask(question: str, default: str | None = None, take: Callable[[str], str] | None = None) -> str:
    """Ask for a line.

    Args:
        question: Without a colon.
        default: What an empty answer means.
        take: Checks and returns an answer; click.BadParameter asks again, with its reason.
    """
    shown = f" [{visible(default)}]" if default else ""
    return str(
        click.prompt(
            f"{visible(question)}{shown}",
            default=default,
            show_default=False,
            err=True,
            value_proc=None if take is None else lambda answer: _taken(take, answer),
        )
    )


def ask_hidden(question: str, *, twice: bool) -> str:
    """Ask for a secret, which is not shown; `twice` asks until both answers are the same."""
    return str(
        click.prompt(visible(question), hide_input=True, confirmation_prompt=twice, err=True)
    )


def confirm(question: str, *, default: bool = False) -> bool:
    """Ask for a yes or a no; an empty answer is a no, unless `default` says otherwise."""
    return click.confirm(visible(question), default=default, err=True)


def _taken(take: Callable[[str], str], answer: str) -> str:
    try:
        return take(answer)
    except click.UsageError as error:
        raise click.BadParameter(visible(error.message)) from error
