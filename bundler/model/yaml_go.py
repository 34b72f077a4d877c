"""YAML as Go's readers of Helm and Kubernetes read it: documents of others, within bounds.

They take what our own documents may not have: anchors, merge keys, duplicate keys (the
last one counts), tags of their own. A merge key is worked off where it stands, so that it replaces
what stands before it. The C library that reads the text is the one that Go's reader was made from.

Source: sigs.k8s.io/yaml, `Unmarshal` and its copy of go-yaml v2: resolve.go, decode.go; YAML 1.1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from bundle.base.limits import MAX_GO_YAML_DEPTH, MAX_GO_YAML_NODES

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE: Final = "tag:yaml.org,2002:"
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE: Final = frozenset(
    {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
)
_NOT_FINITE: Final = {
    **dict.fromkeys((".nan", ".NaN", ".NAN"), "NaN"),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), "+Inf"),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), "-Inf"),
}
_WORDS: Final = {**dict.fromkeys(_TRUE, "true"), **dict.fromkeys(_FALSE, "false"), **_NOT_FINITE}
_INTEGER: Final = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASES: Final = {"x": 16, "b": 2, "o": 8}
_LARGEST: Final = 2**64
_SINGLE_DIGITS: Final = 9
"""That are always enough to tell two numbers of single precision apart."""
_SMALLEST_PLAIN: Final = -4
_LARGEST_PLAIN: Final = 6
"""Powers of ten that Go writes without an exponent."""

Scalar = Callable[[str], Any]
"""Makes a value of a plain scalar that is not null."""


class GoYamlError(ValueError):
    """A text that Go would not read either, or one that is larger than it looks."""


def go_documents(data: bytes | str, scalar: Scalar | None = None) -> list[Any]:
    """Read a stream of documents.

    Args:
        data: Untrusted, of bounded size.
        scalar: What a plain scalar is; `go_text` where it is left out. Null is None, and what is
            quoted is its text.
    Raises:
        GoYamlError: Not YAML, too deep, or too large when its aliases are followed.
    """
    try:
        return list(_documents(GoReader(yaml.parse(data, Loader=_LOADER), scalar or go_text)))
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" in line {mark.line + 1}"
        raise GoYamlError(f"it is not YAML ({problem}{line})") from error


def go_document(data: bytes | str, scalar: Scalar | None = None) -> Any:
    """Read the first document, as Go's `Unmarshal` does; see `go_documents`."""
    documents = go_documents(data, scalar)
    return documents[0] if documents else None


def go_fields(tree: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return a mapping with the fields of these names, which Go knows in any case of letters."""
    known = {name.lower(): name for name in names}
    return {known.get(key.lower(), key): tree[key] for key in sorted(tree)}


def go_text(plain: str) -> str:
    """Return the text of a plain scalar where a field of text has it: `1.10` is 1.1, `on` true."""
    if plain in _WORDS:
        return _WORDS[plain]
    if plain[:1] not in "+-.0123456789":
        return plain
    bare = plain.replace("_", "")
    if _INTEGER.fullmatch(bare):
        number = _integer(bare)
        if -_LARGEST // 2 <= number < _LARGEST:
            return str(number)
    if _FLOAT.fullmatch(bare):
        return _shortest(float(bare))
    return plain


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    if len(digits) > 1 and digits.startswith("0"):
        base = _BASES.get(digits[1], 8)
        return sign * int(digits[2:] if digits[1] in _BASES else digits, base)
    return sign * int(digits)


def _shortest(number: float) -> str:
    """Write a number as Go's `FormatFloat(number, 'g', -1, 32)` does."""
    rounded = _single(number)
    if rounded == 0 or rounded in (float("inf"), float("-inf")):
        return f"{rounded:+g}".replace("inf", "Inf").removeprefix("+0") or "0"
    shortest = next(
        text
        for text in (f"{abs(rounded):.{places}e}" for places in range(_SINGLE_DIGITS))
        if _single(float(text)) == abs(rounded)
    )
    mantissa, _, power = shortest.partition("e")
    digits = mantissa.replace(".", "").rstrip("0")
    power_of_ten = int(power)
    point = power_of_ten + 1
    sign = "-" if rounded < 0 else ""
    if not _SMALLEST_PLAIN <= power_of_ten < _LARGEST_PLAIN:
        tail = f".{digits[1:]}" if digits[1:] else ""
        return f"{sign}{digits[0]}{tail}e{power_of_ten:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if len(digits) <= point:
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def _single(number: float) -> float:
    """Round to single precision, of which Helm's reader makes texts."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


class GoReader:
    """Builds values of parser events, and counts what aliases make of them."""

    def __init__(self, events: Iterator[yaml.Event], scalar: Scalar) -> None:
        """Read events; every plain scalar goes through `scalar`."""
        self.events = events
        self._scalar = scalar
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._left = MAX_GO_YAML_NODES

    def forget(self) -> None:
        """Begin another document: its aliases are its own."""
        self._anchors = {}

    def value(self, event: yaml.Event, depth: int = 0) -> Any:
        """Build the value that begins with an event."""
        return self._value(event, depth)[0]

    def _value(self, event: yaml.Event, depth: int) -> tuple[Any, int]:
        """Return a value, and of how many it is made."""
        if depth > MAX_GO_YAML_DEPTH:
            raise GoYamlError(f"it is nested deeper than {MAX_GO_YAML_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor))
        self._take(1)
        anchor: str | None = getattr(event, "anchor", None)
        if anchor is not None:
            self._anchors[anchor] = (_OPEN, 0)
        if isinstance(event, yaml.ScalarEvent):
            made: tuple[Any, int] = (self._plain(event), 1)
        elif isinstance(event, yaml.SequenceStartEvent):
            made = self._sequence(depth)
        else:
            made = self._mapping(depth)
        if anchor is not None:
            self._anchors[anchor] = made
        return made

    def _alias(self, name: str) -> tuple[Any, int]:
        if name not in self._anchors:
            raise GoYamlError(f"it has an undefined alias {name[:50]!r}")
        value, size = self._anchors[name]
        if value is _OPEN:
            raise GoYamlError("it contains a reference to itself")
        self._take(size)
        return value, size

    def _sequence(self, depth: int) -> tuple[list[Any], int]:
        items, size = [], 1
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            value, more = self._value(event, depth + 1)
            items.append(value)
            size += more
        return items, size

    def _mapping(self, depth: int) -> tuple[dict[str, Any], int]:
        fields: dict[str, Any] = {}
        size = 1
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            merges = is_merge(event)
            key, _ = self._value(event, depth + 1)
            value, more = self._value(next(self.events), depth + 1)
            size += more + 1
            if merges:
                for one in reversed(value) if isinstance(value, list) else [value]:
                    if not isinstance(one, dict):
                        raise GoYamlError("it merges something that is not a mapping")
                    fields.update(one)
            elif isinstance(key, list | dict):
                raise GoYamlError("a key is not a string")
            else:
                fields["null" if key is None else str(key)] = value
        return fields, size

    def _plain(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        tag = event.tag
        if not event.implicit[0] and (tag is None or tag in {"!", f"{_CORE}str"}):
            return text
        if tag is not None and tag.startswith(_CORE):
            return self._tagged(text, tag.removeprefix(_CORE))
        if tag is not None:
            return text
        return None if text in _NULL else self._scalar(text)

    def _tagged(self, text: str, kind: str) -> Any:
        if kind in {"str", "binary", "timestamp"}:
            return text
        if kind == "null":
            return None
        number = kind in {"int", "float"} and (_FLOAT.fullmatch(text) or _INTEGER.fullmatch(text))
        if number or (kind == "bool" and text in _TRUE | _FALSE):
            return self._scalar(text)
        raise GoYamlError(f"{text[:50]!r} is not a valid {kind[:20]}")

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise GoYamlError("it has too many elements")


def is_merge(event: yaml.Event) -> bool:
    """Return whether a key means that what follows it is put in its place."""
    return (
        isinstance(event, yaml.ScalarEvent)
        and event.value == "<<"
        and (event.tag == f"{_CORE}merge" or (event.tag is None and event.implicit[0]))
    )


_OPEN: Final = object()
"""Of an anchor whose value is being built."""


def _documents(reader: GoReader) -> Iterator[Any]:
    for event in reader.events:
        if isinstance(event, yaml.DocumentStartEvent):
            reader.forget()
            yield reader.value(next(reader.events))
