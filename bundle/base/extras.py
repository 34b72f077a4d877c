"""The roles that isoward can be installed for, the packages each adds, and how to install them.

An auditor needs isoward alone. pyproject.toml declares the same extras.
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
"""Which extra provides an imported module."""

_HOW: Final[Mapping[str, str]] = {
    VENDOR: "Install isoward for a vendor: pip install '.[vendor]' in its checkout.",
    OPERATOR: "Install isoward for an operator: sh install.sh on the medium, or "
    "pip install '.[operator]' in its checkout.",
    TOKENS: "Install isoward with token support: pip install '.[hsm]' in its checkout.",
}


def how_to_install(extra: str) -> str:
    """Return the hint that says how to install an extra."""
    return _HOW[extra]


def extra_of(module: str) -> str | None:
    """Return the extra that provides a module or its parent; None if none does."""
    return EXTRA_OF.get(module.partition(".")[0])
