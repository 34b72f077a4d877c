"""Which commands need a role's packages, and the message if they are not installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from bundle.base.errors import UsageError
from bundle.base.extras import EXTRA_OF, OPERATOR, VENDOR, extra_of, how_to_install

ROLE_OF: Final[Mapping[str, str]] = {
    "convert": VENDOR,
    "lock": VENDOR,
    "build": VENDOR,
    "serve": OPERATOR,
    "push": OPERATOR,
    "site": OPERATOR,
    "preflight": OPERATOR,
    "plan": OPERATOR,
    "install": OPERATOR,
}
"""Commands that need their role's extra as a whole; all others need no extra."""


def require_role(command: str) -> None:
    """Check that what a command's role needs is installed, before any of its work is done.

    Raises:
        UsageError: A library is missing; the hint says how to install the role.
    """
    role = ROLE_OF.get(command)
    for module, extra in EXTRA_OF.items():
        if extra == role and find_spec(module) is None:
            raise _error(command, module, extra)


def missing_library(error: ModuleNotFoundError, command: str) -> UsageError | None:
    """Return the error for a library that an extra provides; None if it is our bug.

    Args:
        error: Raised at any depth, for libraries are imported where they are used.
        command: The one that ran; empty when none did.
    """
    extra = extra_of(error.name or "")
    return None if extra is None else _error(command, error.name or "", extra)


def _error(command: str, module: str, extra: str) -> UsageError:
    return UsageError(
        f"`{f'isoward {command}'.strip()}` needs {module}, which is not installed here",
        how_to_install(extra),
    )
