"""YAML documents of other tools, with the line of each value: an error can then name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from bundle.base.errors import DefinitionError
from bundle.base.limits import MAX_DEFINITION_BYTES
from bundle.base.yaml.strict import check_yaml_events

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SHOWN: Final = 100
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a document.

    Attributes:
        where: The file's name.
        line: Counted from 1.
        name: Such as `spec.images[0].name`.
    """

    where: str
    line: int
    name: str

    def refuse(self, why: str, hint: str) -> DefinitionError:
        """Return an error that names this place."""
        what = f"{self.name}: " if self.name else ""
        return DefinitionError(f"{self.where}: line {self.line}: {what}{why}", hint)


@dataclass(frozen=True, slots=True)
class Located:
    """A document, or a part of one, and where it stands.

    Attributes:
        value: Plain values, lists and dictionaries.
        path: From the document's top.
        lines: Line of each value by its path.
        where: The file's name.
    """

    value: Any
    path: Path
    lines: Mapping[Path, int]
    where: str

    @property
    def place(self) -> Place:
        """Where it stands."""
        name = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)
        return Place(self.where, self.lines.get(self.path, 1), name.lstrip("."))

    def mapping(self, known: frozenset[str]) -> Located:
        """Return itself, when it is a mapping of known keys.

        Raises:
            DefinitionError: It is none, or has a key of another name.
        """
        if not isinstance(self.value, dict):
            raise self.place.refuse("expected a mapping", "Is it the right file?")
        for key in self.value:
            if key not in known:
                place = self.at(key).place
                raise place.refuse(
                    f"unknown field {str(key)[:_SHOWN]!r}",
                    "Correct its name, or remove it if nothing depends on it.",
                )
        return self

    def at(self, key: str | int) -> Located:
        """Return what stands under a key or an index; a value of None where nothing does."""
        try:
            value = self.value[key]
        except (KeyError, IndexError, TypeError):
            value = None
        return Located(value, (*self.path, key), self.lines, self.where)

    def items(self) -> Iterator[Located]:
        """Yield the entries of a list; nothing where there is none.

        Raises:
            DefinitionError: It is no list.
        """
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.place.refuse("expected a list", "Write its entries with dashes.")
        for index in range(len(self.value)):
            yield self.at(index)

    def text(self, default: str | None = None) -> str:
        """Return a text.

        Raises:
            DefinitionError: It is missing and has no default, it is no text, or a template's
                braces are left in it.
        """
        if self.value is None and default is not None:
            return default
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.place.refuse(
                f"expected a text, found {str(self.value)[:_SHOWN]!r}",
                "Text that looks like a number needs quotes.",
            )
        if "{{" in self.value or "###" in self.value:
            raise self.place.refuse(
                f"unfilled template in {self.value[:_SHOWN]!r}", "Fill the template in first."
            )
        return self.value.strip()

    def flag(self) -> bool:
        """Return a boolean, false where there is none.

        Raises:
            DefinitionError: It is something else.
        """
        if self.value is None or isinstance(self.value, bool):
            return bool(self.value)
        raise self.place.refuse(
            f"expected true or false, found {str(self.value)[:_SHOWN]!r}", "Correct it."
        )


def read_documents(data: bytes, where: str) -> list[Located]:
    """Read YAML documents that are not empty.

    Args:
        data: Untrusted, at most MAX_DEFINITION_BYTES.
        where: The file's name, for messages.
    Raises:
        DefinitionError: Not YAML, or of the kinds that are refused in every document.
    """
    if len(data) > MAX_DEFINITION_BYTES:
        raise DefinitionError(
            f"{where}: expected at most {MAX_DEFINITION_BYTES} bytes, found more",
            "Is it the right file?",
        )
    try:
        text = data.decode("utf-8")
        check_yaml_events(text, where, DefinitionError, many=True)
        values = list(yaml.load_all(text, Loader=_LOADER))
        nodes = list(yaml.compose_all(text, Loader=_LOADER))
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{where}: expected UTF-8 text", "Save it as UTF-8.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise DefinitionError(
            f"{where}: {line}{problem}", "Correct the YAML at that place."
        ) from error
    found = []
    for value, node in zip(values, nodes, strict=True):
        if value is not None:
            found.append(Located(value, (), dict(_lines(node, ())), where))
    return found


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            # The key's line, which is where a person looks.
            for inner, line in _lines(value, (*path, key.value)):
                yield inner, key.start_mark.line + 1 if inner == (*path, key.value) else line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*path, index))
