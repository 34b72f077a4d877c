"""The roles that isoward is installed for: what each has beside the rest, and how it is had.

An auditor needs no more than isoward alone. pyproject.toml says the same of the extras.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VENDOR: Final = "vendor"
OPERATOR: Final = "operator"
TOKENS: Final = "hsm"

EXTRA_OF: Final[Mapping[str, str]] = {
    "docker": VENDOR,
    "nacl": VENDOR,
    "packaging": VENDOR,
    "uv": VENDOR,
    "zstandard": VENDOR,
    "ansible_runner": OPERATOR,
    "granian": OPERATOR,
    "jinja2": OPERATOR,
    "oras": OPERATOR,
    "paramiko": OPERATOR,
    "pyrage": OPERATOR,
    "requests": OPERATOR,
    "pkcs11": TOKENS,
}
"""By the module that is imported: which extra brings it."""

_HOW: Final[Mapping[str, str]] = {
    VENDOR: "Install isoward with what a vendor needs: pip install '.[vendor]' in its checkout.",
    OPERATOR: "Install isoward with what an operator needs: sh install.sh on the medium, or "
    "pip install '.[operator]' in its checkout.",
    TOKENS: "Install isoward with what tokens need: pip install '.[hsm]' in its checkout.",
}


def how_to_install(extra: str) -> str:
    """Return the hint that says how to install what an extra brings."""
    return _HOW[extra]


def extra_of(module: str) -> str | None:
    """Return the extra that brings a module, or one inside it; None when none does."""
    return EXTRA_OF.get(module.partition(".")[0])
