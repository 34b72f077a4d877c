"""Everything that is wrong with a document of a person's, at once and each by its place.

A person who corrects a file wants the whole list; a parser stops at the first.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec

from bundle.model.yaml_strict import readable_problem

_ADVICE: Final = "Correct it there; text that looks like a number needs quotes."


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        path: Of the field, such as `nodes[0].address`; empty for the document as a whole.
        message: What was expected and what was found.
        hint: What to do.
        line: Of the file, from 1; 0 where it is not known.
    """

    path: str
    message: str
    hint: str
    line: int = 0

    @property
    def text(self) -> str:
        """The field and the message."""
        return f"{self.path}: {self.message}" if self.path else self.message

    @property
    def placed(self) -> str:
        """The line, the field and the message."""
        return f"line {self.line}: {self.text}" if self.line else self.text

    def at(self, lines: dict[str, int]) -> Problem:
        """Return it with its line: that of the field, or of the nearest thing around it."""
        path = self.path
        while path and path not in lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return Problem(self.path, self.message, self.hint, lines.get(path, 0))


def structural_problems(tree: Any, type_: Any, path: str = "") -> Iterator[Problem]:
    """Yield where `tree` is not of `type_`: every field on its own, so that none hides another.

    Args:
        tree: Plain data as YAML gives it.
        type_: A structure, a tuple of one kind, a union of those, or anything msgspec knows.
        path: Of the tree within its document.
    """
    try:
        msgspec.convert(tree, type_, strict=True)
    except msgspec.ValidationError as cause:
        inner = list(_inner_problems(tree, _plain(tree, type_), path))
        if inner:
            yield from inner
            return
        yield Problem(path, readable_problem(str(cause), tree), _ADVICE)


def _plain(tree: Any, type_: Any) -> Any:
    """Return the structure or tuple that `tree` was meant to be."""
    if get_origin(type_) is Annotated:
        return _plain(tree, get_args(type_)[0])
    if get_origin(type_) not in {Union, types.UnionType}:
        return type_
    for choice in (_plain(tree, choice) for choice in get_args(type_)):
        wanted = dict if _is_struct(choice) else list if get_origin(choice) is tuple else None
        if wanted is not None and isinstance(tree, wanted):
            return choice
    return type_


def _inner_problems(tree: Any, type_: Any, path: str) -> Iterator[Problem]:
    if _is_struct(type_) and isinstance(tree, dict):
        yield from _field_problems(tree, type_, path)
    elif get_origin(type_) is tuple and isinstance(tree, list):
        for i, item in enumerate(tree):
            yield from structural_problems(item, get_args(type_)[0], f"{path}[{i}]")
    elif get_origin(type_) is dict and isinstance(tree, dict):
        of_key, of_value = get_args(type_)
        for key, value in tree.items():
            for found in structural_problems(key, of_key):
                # The place of what is called wrongly is the thing around it.
                yield Problem(path, f"the name of an entry: {found.message}", found.hint)
            yield from structural_problems(value, of_value, _below(path, str(key)))


def _field_problems(
    tree: dict[Any, Any], type_: type[msgspec.Struct], path: str
) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    for name, field in fields.items():
        if name in tree:
            yield from structural_problems(tree[name], field.type, _below(path, name))
        elif field.required:
            yield Problem(path, f"the field {name!r} is missing", "Add it; see docs/FORMAT.md.")
    for name in tree:
        if name not in fields:
            yield Problem(
                _below(path, str(name)),
                "there is no such field",
                f"Those here are {_listed(list(fields))}.",
            )


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
