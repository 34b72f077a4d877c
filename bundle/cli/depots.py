"""Where the depot is, unless a command is told otherwise: one place for all commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bundle.cli.given import Given

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_DEPOT: Final = Path("/var/lib/isoward")


def depot_option(text: str = "The depot's directory.") -> Callable[[F], F]:
    """Add `--depot`, which has the same default everywhere.

    Args:
        text: For the help.
    """
    return click.option(
        "--depot", type=Given("depot"), default=DEFAULT_DEPOT, show_default=True, help=text
    )
