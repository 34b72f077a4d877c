"""What a chart's .helmignore leaves out of its archive, in Helm's own reading of it.

That is not Git's: the first rule that decides has the last word, and a rule with `!` leaves out all
that it does not match.

Source: Helm, pkg/ignore/rules.go; Go, path/filepath, `Match`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bundle.base.errors import FormatError

NAME: Final = ".helmignore"
_ALWAYS: Final = "templates/.?*"
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class _Rule:
    negate: bool
    folders_only: bool
    whole_path: bool
    pattern: re.Pattern[str]

    def matches(self, path: str) -> bool:
        name = path if self.whole_path else posixpath.basename(path)
        return self.pattern.fullmatch(name) is not None


class IgnoreRules:
    """The rules of one chart."""

    def __init__(self, text: str, where: str) -> None:
        """Read them.

        Args:
            text: Of the file; empty where there is none.
            where: The chart, for messages.
        Raises:
            FormatError: A rule is one that Helm refuses.
        """
        lines = text.removeprefix(_BOM).split("\n")
        stripped = [line.strip() for line in lines]
        wanted = [line for line in stripped if line and not line.startswith("#")]
        self._rules = tuple(_rule(line, where) for line in [*wanted, _ALWAYS])

    def leaves_out(self, path: str, *, folder: bool) -> bool:
        """Return whether a file is left out, or a folder with all that is in it.

        Args:
            path: Relative to the chart. Folders above it are not looked at.
            folder: Whether it is a folder.
        """
        for rule in self._rules:
            if rule.negate:
                if (rule.folders_only and not folder) or not rule.matches(path):
                    return True
            elif (folder or not rule.folders_only) and rule.matches(path):
                return True
        return False

    def kept(self, paths: Iterable[str]) -> list[str]:
        """Return the files that are packed, those in folders that are left out not among them."""
        folders: dict[str, bool] = {"": False}

        def gone(folder: str) -> bool:
            if folder not in folders:
                above = posixpath.dirname(folder)
                folders[folder] = gone(above) or self.leaves_out(folder, folder=True)
            return folders[folder]

        return [
            path
            for path in paths
            if not gone(posixpath.dirname(path)) and not self.leaves_out(path, folder=False)
        ]


def _rule(line: str, where: str) -> _Rule:
    if "**" in line:
        raise _refuse(where, line, "Helm does not support '**'")
    negate = line.startswith("!")
    plain = line[1:] if negate else line
    folders_only = plain.endswith("/")
    plain = plain.removesuffix("/")
    rooted = plain.startswith("/")
    whole = rooted or "/" in plain
    try:
        # Helm tries the rule as it stands, and refuses what Go's matcher does.
        _go_pattern(line)
        pattern = _go_pattern(plain.removeprefix("/") if rooted else plain)
    except ValueError as error:
        raise _refuse(where, line, str(error)) from error
    return _Rule(negate, folders_only, whole, pattern)


def _go_pattern(text: str) -> re.Pattern[str]:
    """Translate a pattern of Go's `filepath.Match`.

    Raises:
        ValueError: It is malformed.
    """
    made: list[str] = []
    rest = text
    while rest:
        char, rest = rest[0], rest[1:]
        if char == "*":
            made.append("[^/]*")
        elif char == "?":
            made.append("[^/]")
        elif char == "[":
            class_, rest = _class(rest)
            made.append(class_)
        elif char == "\\":
            if not rest:
                raise ValueError("it ends in a backslash")
            made.append(re.escape(rest[0]))
            rest = rest[1:]
        else:
            made.append(re.escape(char))
    return re.compile("".join(made), re.DOTALL)


def _class(rest: str) -> tuple[str, str]:
    """Translate what follows a `[`, and return what is behind its `]` as well."""
    negated = rest.startswith("^")
    rest = rest[1:] if negated else rest
    ranges: list[str] = []
    while not (rest.startswith("]") and ranges):
        low, rest = _class_char(rest)
        high = low
        if rest.startswith("-"):
            high, rest = _class_char(rest[1:])
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            # Nothing lies between the two, which Go takes as it stands.
            ranges.append("")
    inner = "".join(ranges)
    if not inner:
        return ("." if negated else r"[^\s\S]"), rest[1:]
    return f"[{'^' if negated else ''}{inner}]", rest[1:]


def _class_char(rest: str) -> tuple[str, str]:
    if rest.startswith("\\"):
        rest = rest[1:]
    elif rest.startswith(("-", "]")):
        raise ValueError("a range of characters is malformed")
    if len(rest) < 2:  # noqa: PLR2004 - the character and what must still follow it
        raise ValueError("a '[' is not closed")
    return rest[0], rest[1:]


def _refuse(where: str, line: str, why: str) -> FormatError:
    return FormatError(
        f"{where}: {NAME}: the rule {line[:200]!r} is refused: {why}",
        "Helm would refuse it too; correct the rule.",
    )
