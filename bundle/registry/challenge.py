"""The WWW-Authenticate header: what a server demands.

Source: RFC 9110 (which replaces RFC 7235), section 11.6.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a grammar rule
_PARAMETER: Final = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME: Final = re.compile(rf"({_TOKEN})(?=[ \t,]|$)")
_GAP: Final = re.compile(r"[ \t,]*")
_ESCAPE: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One demand: a scheme in lower case, and its parameters by lower-case name."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Parse the values of all WWW-Authenticate headers; what follows an error is left out."""
    return [challenge for header in headers for challenge in _parse(header)]


def _parse(text: str) -> Iterator[Challenge]:
    position = _skip(text, 0)
    while match := _SCHEME.match(text, position):
        scheme = match[1].lower()
        position = _skip(text, match.end())
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(text, position):
            quoted, plain = parameter[2], parameter[3]
            value = plain if quoted is None else _ESCAPE.sub(r"\1", quoted)
            parameters.setdefault(parameter[1].lower(), value)
            position = _skip(text, parameter.end())
        yield Challenge(scheme, parameters)


def _skip(text: str, position: int) -> int:
    gap = _GAP.match(text, position)
    return gap.end() if gap else position
