"""One text read in other ways: without its escapes, and with its lines joined.

Programs print a secret within JSON, HTML, YAML, a URL or a shell's words, one within another, and
fold what is long. So each reading is made, and whatever is found in one is known by where it stands
in the text itself.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

_MAX_DEPTH: Final = 4
"""Escapes within escapes: JSON within JSON within a log of events, and one more."""
_MAX_READINGS: Final = 24
"""The fewer escapes within escapes come first."""
_LONG: Final = 64 * 1024
_MAX_LONG_READINGS: Final = 8
"""Of a text of more characters: what prints so much folds and quotes it once or twice."""

Decode = Callable[[re.Match[str]], str]


@dataclass(frozen=True, slots=True)
class Reading:
    """A text, and where each part of it stands in the one that it was made of.

    Attributes:
        text: What is read.
        source: Whose text it was made of; None for the text itself.
        places: Where each exchanged part begins here, sorted.
        parts: Of each: its length here, its place in the source, and its length there.
        depth: How many steps it is from the text itself.
        joined: Whether it has no blanks any more, since lines may be broken at any place.
    """

    text: str
    source: Reading | None = None
    places: tuple[int, ...] = ()
    parts: tuple[tuple[int, int, int], ...] = ()
    depth: int = 0
    joined: bool = False

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where characters of this reading stand in the text itself."""
        if self.source is None:
            return start, end
        return self.source.span(self._of(start)[0], self._of(end - 1)[1])

    def _of(self, index: int) -> tuple[int, int]:
        """Return where one character stands in the source."""
        found = bisect_right(self.places, index) - 1
        if found < 0:
            return index, index + 1
        length, place, there = self.parts[found]
        beyond = index - self.places[found] - length
        if beyond < 0:
            return place, place + there
        return place + there + beyond, place + there + beyond + 1


def _code(found: re.Match[str], digits: slice) -> str:
    value = int(found[0][digits], 16)
    return chr(value) if value <= 0x10FFFF else found[0]  # noqa: PLR2004 - the last of Unicode


def _bytes_of(data: bytes) -> str:
    """Read bytes as the UTF-8 that they mostly are, else as the characters of those numbers."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _octal(found: re.Match[str]) -> str:
    return _bytes_of(bytes(int(part, 8) for part in found[0].split("\\")[1:]))


_NAMED: Final = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "b": "\b",
    "f": "\f",
    "a": "\a",
    "v": "\v",
    "e": "\x1b",
    # YAML's own
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
    "0": "\0",
}

_BACKSLASH: Final[tuple[tuple[str, Decode], ...]] = (
    (
        r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}",
        lambda m: bytes.fromhex(m[0][2:6] + m[0][8:12]).decode("utf-16-be", "replace"),
    ),
    (r"\\u\{[0-9a-fA-F]{1,6}\}", lambda m: _code(m, slice(3, -1))),
    (r"\\u[0-9a-fA-F]{4}", lambda m: _code(m, slice(2, None))),
    (r"\\U[0-9a-fA-F]{8}", lambda m: _code(m, slice(2, None))),
    (r"\\x[0-7][0-9a-fA-F]", lambda m: _code(m, slice(2, None))),
    (r"(?:\\x[89a-fA-F][0-9a-fA-F])+", lambda m: _bytes_of(bytes.fromhex(m[0].replace("\\x", "")))),
    (r"(?:\\[0-3][0-7]{2})+", _octal),
    (r"\\\r?\n[ \t]*", lambda _: ""),
    (r"\\[^\n]", lambda m: _NAMED.get(m[0][1], m[0][1])),
)
_HTML: Final[tuple[tuple[str, Decode], ...]] = (
    (
        r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,8}|[A-Za-z][A-Za-z0-9]{1,31});?",
        lambda m: html.unescape(m[0]),
    ),
)
_PERCENT: Final[tuple[tuple[str, Decode], ...]] = (
    (r"%u[0-9a-fA-F]{4}", lambda m: _code(m, slice(2, None))),
    (r"%[0-7][0-9a-fA-F]", lambda m: _code(m, slice(1, None))),
    (r"(?:%[89a-fA-F][0-9a-fA-F])+", lambda m: _bytes_of(bytes.fromhex(m[0].replace("%", "")))),
)
_QUOTES: Final[tuple[tuple[str, Decode], ...]] = (
    # A quote within quotes: twice in a shell, once in YAML, PowerShell and CSV.
    (r"'\\''|'\"'\"'|''", lambda _: "'"),
    (r'""', lambda _: '"'),
)
# Breaks and blanks, colours, and what nobody sees.
_JOIN: Final = (
    "(?:\\\\?\r?\n|[ \t\r]|\x1b\\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
    "|[\xad\u200b-\u200f\u2060-\u2064\ufeff])+"
)
_JOINED: Final[tuple[tuple[str, Decode], ...]] = ((_JOIN, lambda _: ""),)
_FOLDS: Final = re.compile(
    "[\n\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u200b-\u200f\u2060-\u2064\ufeff]"
)
_BLANKS: Final = re.compile(_JOIN)


def squeezed(text: str) -> str:
    """Return a text as it stands in a reading that is joined: without blanks."""
    return _BLANKS.sub("", text)


class _Family:
    """One kind of escapes."""

    def __init__(self, sign: str, rules: tuple[tuple[str, Decode], ...]) -> None:
        self.sign = sign
        self._pattern = re.compile("|".join(f"({pattern})" for pattern, _ in rules))
        self._decode = [decode for _, decode in rules]

    def read(self, source: Reading) -> Reading | None:
        """Return the source without these escapes, or None if it has none."""
        text, pieces = source.text, []
        places: list[int] = []
        parts: list[tuple[int, int, int]] = []
        at = length = 0
        for found in self._pattern.finditer(text):
            made = self._decode[(found.lastindex or 1) - 1](found)
            if made == found[0]:
                continue
            begin = found.start()
            pieces += [text[at:begin], made]
            length += begin - at
            places.append(length)
            parts.append((len(made), begin, found.end() - begin))
            length += len(made)
            at = found.end()
        if not places:
            return None
        pieces.append(text[at:])
        return Reading("".join(pieces), source, tuple(places), tuple(parts), source.depth + 1)


_ESCAPES: Final = (
    _Family("\\", _BACKSLASH),
    _Family("&", _HTML),
    _Family("%", _PERCENT),
    _Family("", _QUOTES),
)
_LINES: Final = _Family("", _JOINED)


def readings(text: str) -> Iterator[Reading]:
    """Yield a text, then each way in which it can be read otherwise."""
    pending = [Reading(text)]
    seen = {text}
    yield pending[0]
    count = 1
    limit = _MAX_READINGS if len(text) < _LONG else _MAX_LONG_READINGS
    while pending and count < limit:
        source = pending.pop(0)
        found = [*_unescaped(source), *_unbroken(source)]
        for made in found:
            if made.text in seen:
                continue
            seen.add(made.text)
            count += 1
            yield made
            # Within joined lines only those of the text itself are looked for once more.
            if not made.joined or made.depth == 1:
                pending.append(made)


def _unescaped(source: Reading) -> Iterator[Reading]:
    for family in _ESCAPES if source.depth < _MAX_DEPTH else ():
        made = family.read(source) if family.sign in source.text else None
        if made is not None:
            yield replace(made, joined=source.joined)


def _unbroken(source: Reading) -> Iterator[Reading]:
    if not source.joined and _FOLDS.search(source.text):
        made = _LINES.read(source)
        if made is not None:
            yield replace(made, joined=True)
