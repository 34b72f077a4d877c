"""The index.yaml of an HTTP chart repository.

Read as parser events, not as a tree: real indexes have tens of megabytes, of which we want a few
lines. All scalars are taken as text, as Helm means them.

Source: Helm, "The Chart Repository Guide", "The index file".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from bundle.model.digest import PREFIX, is_digest
from bundle.model.errors import FormatError
from bundle.model.limits import MAX_YAML_DEPTH, MAX_YAML_EVENTS

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENTRIES: Final = "entries"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version of one chart.

    Attributes:
        version: As the index has it.
        urls: Absolute, or relative to the repository.
        digest: Of the archive, or an empty string.
    """

    version: str
    urls: tuple[str, ...]
    digest: str


def read_index(
    data: bytes, names: Iterable[str], where: str
) -> Mapping[str, tuple[IndexEntry, ...]]:
    """Return the entries of the wanted charts.

    Args:
        data: index.yaml, of bounded size.
        names: The charts that are wanted; others are passed over.
        where: The repository, for messages.
    Raises:
        FormatError: Not such an index.
    """
    wanted = frozenset(names)
    found: dict[str, tuple[IndexEntry, ...]] = {}
    where = f"{where}/index.yaml"
    try:
        events = _Events(data.decode("utf-8"), where)
        for key in events.mapping():
            if key != _ENTRIES:
                events.skip()
                continue
            for name in events.mapping():
                if name in wanted:
                    found[name] = _versions(events.value(), f"{where}: {name}")
                else:
                    events.skip()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = getattr(error, "problem", None) or type(error).__name__
        raise _refuse(where, f"it is not YAML ({reason})") from error
    return found


class _Events:
    """A reader over parser events that builds only what is asked for."""

    def __init__(self, text: str, where: str) -> None:
        self._where = where
        self._events = self._bounded(yaml.parse(text, Loader=_LOADER))
        for kind in (yaml.StreamStartEvent, yaml.DocumentStartEvent):
            if not isinstance(next(self._events), kind):
                raise _refuse(where, "it is empty")

    def mapping(self) -> Iterator[str]:
        """Enter a mapping and yield its keys; the caller takes the value of each."""
        if not isinstance(next(self._events), yaml.MappingStartEvent):
            raise _refuse(self._where, "expected a mapping with entries")
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _refuse(self._where, "a key is not text")
            yield event.value

    def value(self) -> Any:
        """Take the next value: text, a list or a dictionary."""
        return self._build(next(self._events), 0)

    def skip(self) -> None:
        """Pass over the next value."""
        depth = 0
        for event in self._events:
            if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                depth += 1
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                depth -= 1
            if depth == 0:
                return

    def _build(self, event: yaml.Event, depth: int) -> Any:
        if depth > MAX_YAML_DEPTH:
            raise _refuse(self._where, f"nested deeper than {MAX_YAML_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return list(self._items(depth))
        if isinstance(event, yaml.MappingStartEvent):
            flat = list(self._items(depth))
            keys = [key if isinstance(key, str) else "" for key in flat[::2]]
            return dict(zip(keys, flat[1::2], strict=True))
        raise _refuse(self._where, "aliases are not accepted")

    def _items(self, depth: int) -> Iterator[Any]:
        """Yield values up to the end of a collection."""
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                return
            yield self._build(event, depth + 1)

    def _bounded(self, events: Iterator[yaml.Event]) -> Iterator[yaml.Event]:
        for count, event in enumerate(events):
            if count > MAX_YAML_EVENTS:
                raise _refuse(self._where, "it has too many elements")
            yield event


def _versions(value: Any, where: str) -> tuple[IndexEntry, ...]:
    """Read the list of a chart's versions; one without a version is passed over, as by Helm."""
    return tuple(
        IndexEntry(
            version=_text(entry.get("version")),
            urls=tuple(url for url in _list(entry.get("urls")) if isinstance(url, str)),
            digest=_digest(_text(entry.get("digest")), where),
        )
        for entry in _list(value)
        if isinstance(entry, dict) and entry.get("version")
    )


def _digest(text: str, where: str) -> str:
    """Complete a digest, which indexes have with and without its algorithm."""
    digest = f"{PREFIX}{text.removeprefix(PREFIX).lower()}"
    if text and not is_digest(digest):
        raise _refuse(where, f"{text[:100]!r} is not a SHA-256 digest")
    return digest if text else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _refuse(where: str, why: str) -> FormatError:
    return FormatError(
        f"{where}: not the index of a chart repository: {why}",
        "Check the repository's address.",
    )
