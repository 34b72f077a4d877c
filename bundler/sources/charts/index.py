"""The index.yaml of an HTTP chart repository.

Read as parser events, not as a tree: real indexes have tens of megabytes, of which we want a few
lines. What Helm passes over is passed over. Scalars are
text, as they are written: Helm refuses a version that is a number.

Source: Helm, "The Chart Repository Guide", "The index file".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from bundle.base.digest import PREFIX, is_digest
from bundle.base.errors import FormatError
from bundle.base.limits import MAX_YAML_EVENTS
from bundler.model.yaml_go import GoReader, GoYamlError, go_fields

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ENTRIES: Final = "entries"
_MERGE: Final = "<<"
_FIELDS: Final = ("version", "urls", "digest")


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version of one chart.

    Attributes:
        version: As the index has it.
        urls: Absolute, or relative to the repository.
        digest: Of the archive, or an empty string; `require_digest` says whether it is one.
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
    where = f"{where}/index.yaml"
    try:
        return _Index(data, frozenset(names), where).found
    except (yaml.YAMLError, GoYamlError, ValueError, RecursionError) as error:
        reason = getattr(error, "problem", None) or str(error)
        raise _refuse(where, f"it cannot be read: {reason[:200]}") from error


class _Index:
    """Reads events, and builds of them the wanted charts, and what others may refer to."""

    def __init__(self, data: bytes, wanted: frozenset[str], where: str) -> None:
        self.found: dict[str, tuple[IndexEntry, ...]] = {}
        self._wanted = wanted
        self._where = where
        self._events = _bounded(yaml.parse(_as_text(data), Loader=_LOADER), where)
        self._reader = GoReader(self._events, str)
        if not isinstance(next(self._events), yaml.StreamStartEvent) or not isinstance(
            next(self._events), yaml.DocumentStartEvent
        ):
            raise _refuse(where, "it is empty")
        self._top(next(self._events))

    def _top(self, start: yaml.Event) -> None:
        if not isinstance(start, yaml.MappingStartEvent):
            raise _refuse(self._where, "expected a mapping with entries")
        for key in self._keys():
            event = next(self._events)
            if key.lower() != _ENTRIES:
                self._pass(event)
            elif isinstance(event, yaml.MappingStartEvent) and event.anchor is None:
                self._entries()
            else:
                self._take(self._reader.value(event))

    def _entries(self) -> None:
        for name in self._keys():
            event = next(self._events)
            if name == _MERGE:
                merged = self._reader.value(event)
                for entries in reversed(merged) if isinstance(merged, list) else [merged]:
                    self._take(entries)
            elif name in self._wanted:
                self.found[name] = _versions(self._reader.value(event), f"{self._where}: {name}")
            else:
                self._pass(event)

    def _take(self, value: Any) -> None:
        """Take the wanted charts of entries that stand elsewhere."""
        if value is not None and not isinstance(value, dict):
            raise _refuse(self._where, "expected a mapping with entries")
        entries: dict[str, Any] = value or {}
        for name in self._wanted & entries.keys():
            self.found[name] = _versions(entries[name], f"{self._where}: {name}")

    def _keys(self) -> Iterator[str]:
        """Yield the keys of the mapping that was begun; the caller takes the value of each."""
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                return
            key = self._reader.value(event)
            if isinstance(key, list | dict):
                raise _refuse(self._where, "a key is not a string")
            yield "null" if key is None else str(key)

    def _pass(self, event: yaml.Event) -> None:
        """Pass over a value; what has an anchor is built, since something may refer to it."""
        depth = 0
        while True:
            if getattr(event, "anchor", None) and not isinstance(event, yaml.AliasEvent):
                self._reader.value(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                depth += 1
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                depth -= 1
            if depth == 0:
                return
            event = next(self._events)


def _as_text(data: bytes) -> str:
    """Return it as YAML can read it: of JSON a tab is white space anywhere, of YAML it is not."""
    text = data.decode("utf-8-sig")
    start = text.lstrip()[:1]
    return text.replace("\t", " ") if start == "{" else text


def _bounded(events: Iterator[yaml.Event], where: str) -> Iterator[yaml.Event]:
    for count, event in enumerate(events):
        if count > MAX_YAML_EVENTS:
            raise _refuse(where, "it has too many elements")
        yield event


def _versions(value: Any, where: str) -> tuple[IndexEntry, ...]:
    """Read the list of a chart's versions; what is none is passed over, as by Helm."""
    if value is not None and not isinstance(value, list):
        raise _refuse(where, "expected a list of versions")
    found = []
    for item in _list(value):
        entry = go_fields(item, _FIELDS) if isinstance(item, dict) else {}
        version = _text(entry.get("version"))
        if version:
            urls = tuple(url for url in _list(entry.get("urls")) if isinstance(url, str) and url)
            found.append(IndexEntry(version, urls, _digest(_text(entry.get("digest")))))
    return tuple(found)


def _digest(text: str) -> str:
    """Complete a digest, which indexes have with and without its algorithm."""
    digest = f"{PREFIX}{text.removeprefix(PREFIX).lower()}"
    return digest if text and is_digest(digest) else text


def require_digest(entry: IndexEntry, where: str) -> None:
    """Refuse an entry whose digest is none that could be checked.

    Others of an index may have such a one: what nobody wants breaks nothing.

    Raises:
        FormatError: It is not a SHA-256 digest.
    """
    if entry.digest and not is_digest(entry.digest):
        raise _refuse(where, f"{entry.digest[:100]!r} is not a SHA-256 digest")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _refuse(where: str, why: str) -> FormatError:
    return FormatError(
        f"{where}: not the index of a chart repository: {why}",
        "Check the repository's address.",
    )
