"""Versions and ranges of versions, as Helm reads them in a chart's dependencies.

Helm leaves a dependency out, without a word, whose version is not in the range. So the same rules
are needed here, Helm's and no other's.

Source: Masterminds/semver v3, which is Helm's; Semantic Versioning 2.0.0, section 11.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import total_ordering
from typing import Final

_PRE: Final = r"(?:-(?P<pre>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
_META: Final = r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_VERSION: Final = re.compile(
    rf"v?(?P<major>[0-9]+)(?:\.(?P<minor>[0-9]+))?(?:\.(?P<patch>[0-9]+))?{_PRE}{_META}"
)
_PART: Final = r"(?:[0-9]+|[xX*])"
_ANY: Final = rf"v?{_PART}(?:\.{_PART}){{0,2}}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
_TERM: Final = re.compile(
    r"(?P<op>=>|=<|>=|<=|!=|~>|[=><~^]|)\s*"
    rf"v?(?P<major>{_PART})(?:\.(?P<minor>{_PART}))?(?:\.(?P<patch>{_PART}))?{_PRE}{_META}"
)
_BETWEEN: Final = re.compile(rf"({_ANY})\s+-\s+({_ANY})")
_SEPARATOR: Final = re.compile(r"\s*,\s*|\s+")
_OPERATOR_SPACE: Final = re.compile(r"([=><~^])\s+")
_WILD: Final = frozenset({None, "x", "X", "*"})
_MAX_CHARS: Final = 256
"""Of a version or a range; Masterminds' own limit for a version."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; what is behind a `+` does not count."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Major, minor and patch."""
        return self.major, self.minor, self.patch

    def __lt__(self, other: Version) -> bool:
        """Compare by precedence: a version with something behind a `-` comes before it."""
        return self._key() < other._key()

    def _key(self) -> tuple[tuple[int, int, int], bool, list[tuple[bool, int, str]]]:
        parts = [
            (False, int(part), "") if part.isdecimal() else (True, 0, part) for part in self.pre
        ]
        return self.numbers, not self.pre, parts


@dataclass(frozen=True, slots=True)
class _Term:
    """One comparison; `given` says how many of the three numbers are there."""

    op: str
    to: Version
    given: int

    def holds(self, version: Version) -> bool:
        """Return whether a version passes, apart from what is said about pre-releases."""
        return _CHECKS[self.op](version, self.to, self.given)


def parse_version(text: str) -> Version | None:
    """Read a version, also one with fewer than three numbers; None where it is none."""
    found = _VERSION.fullmatch(text) if len(text) <= _MAX_CHARS else None
    if found is None:
        return None
    major, minor, patch = (int(found[name] or 0) for name in ("major", "minor", "patch"))
    return Version(major, minor, patch, _pre(found["pre"]))


def in_range(range_: str, version: str) -> bool:
    """Return whether a version is in a range; a malformed one of either is in nothing.

    Args:
        range_: Such as `^1.2`, `>=1.0 <2.0 || 3.x` or `1.2.3`.
        version: Such as `1.2.3`.
    """
    known = parse_version(version)
    if known is None or len(range_) > _MAX_CHARS:
        return False
    alternatives = [_terms(part) for part in range_.split("||")]
    return None not in alternatives and any(
        _all_hold(terms, known) for terms in alternatives if terms is not None
    )


def _pre(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()


def _terms(text: str) -> list[_Term] | None:
    """Read what must hold together; None where it is malformed."""
    text = _BETWEEN.sub(r">=\1 <=\2", text.strip())
    words = _SEPARATOR.split(_OPERATOR_SPACE.sub(r"\1", text))
    found = [_TERM.fullmatch(word) for word in words]
    return None if None in found else [_term(match) for match in found if match is not None]


def _term(found: re.Match[str]) -> _Term:
    numbers: list[int] = []
    for name in ("major", "minor", "patch"):
        if found[name] in _WILD:
            break
        numbers.append(int(found[name]))
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return _Term(found["op"], Version(major, minor, patch, _pre(found["pre"])), len(numbers))


def _all_hold(terms: list[_Term], version: Version) -> bool:
    """Pre-releases count where one of the comparisons names one itself."""
    if version.pre and not any(term.to.pre for term in terms):
        return False
    return all(term.holds(version) for term in terms)


def _equal(version: Version, to: Version, given: int) -> bool:
    return version == to if given == 3 else _tilde(version, to, given)  # noqa: PLR2004 - all three


def _not_equal(version: Version, to: Version, given: int) -> bool:
    if given == 3:  # noqa: PLR2004 - all three
        return version != to
    # `!=*` compares with 0.0.0, as Helm does.
    shared = max(given, 1) if given else 3
    if version.numbers[:shared] != to.numbers[:shared]:
        return True
    return given in {0, 2} and version.pre != to.pre


def _greater(version: Version, to: Version, given: int) -> bool:
    if given in {1, 2}:
        return version.numbers[:given] > to.numbers[:given]
    if given == 0 and version.major > to.major:
        return True
    return version > to


def _at_most(version: Version, to: Version, given: int) -> bool:
    if given == 3:  # noqa: PLR2004 - all three
        return version <= to
    shared = 1 if given == 1 else 2
    return version.numbers[:shared] <= to.numbers[:shared]


def _tilde(version: Version, to: Version, given: int) -> bool:
    if version < to:
        return False
    if to.numbers == (0, 0, 0) and given in {0, 3}:
        return True
    shared = 1 if given == 1 else 2
    return version.numbers[:shared] == to.numbers[:shared]


def _caret(version: Version, to: Version, given: int) -> bool:
    if version < to:
        return False
    if to.major > 0 or given == 1:
        return version.major == to.major
    # From here on the leftmost number that is not 0 must stay.
    shared = 2 if to.minor > 0 or given == 2 else 3  # noqa: PLR2004 - the patch is left out
    return version.numbers[:shared] == to.numbers[:shared]


_CHECKS: Final[dict[str, Callable[[Version, Version, int], bool]]] = {
    "": _equal,
    "=": _equal,
    "!=": _not_equal,
    ">": _greater,
    "<": lambda version, to, _: version < to,
    ">=": lambda version, to, _: version >= to,
    "=>": lambda version, to, _: version >= to,
    "<=": _at_most,
    "=<": _at_most,
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}
