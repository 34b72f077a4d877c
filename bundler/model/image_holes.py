"""What a template, a script or a program fills in, within a text that becomes an image."""

from __future__ import annotations

import re
from typing import Final

_HOLE: Final = re.compile(
    r"\$?\{\{(?:[^{}]|\{(?!\{)|\}(?!\}))*\}\}|\$\{\{?[^{}\s]*\}\}?|\$\([^()\s]+\)"
    r"|\$[A-Za-z_][A-Za-z0-9_]*|%[sv]|<%[=-]?[^<>%]*%>|@[A-Z][A-Z0-9_]*@"
    r"|\{[A-Za-z_][\w.]*\}(?=[/:@.-])|(?<=[/:@.-])\{[A-Za-z_][\w.]*\}"
)
FILLER: Final = "x0"
"""What stands in place of a hole, where a name or a tag may."""


def has_holes(text: str) -> bool:
    """Return whether a template, a script or a program fills in a part of it."""
    return _HOLE.search(text) is not None


def holes_in(text: str) -> list[tuple[int, int]]:
    """Return where its holes begin and end."""
    return [found.span() for found in _HOLE.finditer(text)]


def filled(text: str) -> str:
    """Return it with something in place of each hole."""
    return _HOLE.sub(FILLER, text)


def literal_of(text: str) -> str:
    """Return what stands between its holes."""
    return _HOLE.sub("", text)


def plain_reference(text: str) -> str:
    """Return it without the scheme that Flux and others put before an image."""
    for scheme in ("oci://", "docker://"):
        text = text.removeprefix(scheme)
    return text
