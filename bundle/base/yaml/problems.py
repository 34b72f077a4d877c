"""All problems in a hand-written document at once, each with its location.

A person who corrects a file wants the complete list; a parser stops at the first problem.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec

from bundle.base.errors import DefinitionError, IsowardError
from bundle.base.patterns import words_of
from bundle.base.plain import flaws_of_tree
from bundle.base.problem import Problem
from bundle.base.queries import concealed
from bundle.base.yaml.strict import readable_problem
from bundle.base.yaml.wording import closest, plain_words

_ADVICE: Final = "Correct it there; text that looks like a number needs quotes."
_PLACE: Final = re.compile(r"([A-Za-z]+(?:\[[0-9]+\])?(?:\.[A-Za-z]+(?:\[[0-9]+\])?)*): ")
"""The field that a message starts with."""

_IS_FORM: Final = re.compile(" matching regex | of length ")
"""What patterns.py expresses in words."""

_SHOWN: Final = 100


def structural_problems(tree: Any, type_: Any, path: str = "") -> Iterator[Problem]:
    """Yield where `tree` does not match `type_`, field by field, so that no problem hides another.

    Args:
        tree: Plain data as parsed from YAML.
        type_: A structure, a homogeneous tuple, a union of those, or anything msgspec knows.
        path: Of the tree within its document.
    """
    try:
        msgspec.convert(tree, type_, strict=True)
    except msgspec.ValidationError as cause:
        inner = list(_inner_problems(tree, _plain(tree, type_), path))
        if inner:
            yield from inner
            return
        yield Problem(path, _words(str(cause), tree, type_), _ADVICE)


def _words(cause: str, tree: Any, type_: Any) -> str:
    what, _, place = cause.partition(" - at `$")
    form = _form_of(type_) if isinstance(tree, str) and " of length " in what else ""
    if form:
        # The expected form is more helpful than the length.
        return f"expected {form}, found {concealed(tree)[:_SHOWN]!r}"
    if not place and not _IS_FORM.search(what):
        return plain_words(what, tree, type_)
    return readable_problem(cause, tree)


def _form_of(type_: Any) -> str:
    """Describe the form of a text with a fixed length; empty for any other type."""
    if get_origin(type_) in {Union, types.UnionType}:
        return next(filter(None, map(_form_of, get_args(type_))), "")
    metas = getattr(type_, "__metadata__", ())
    fixed = (m for m in metas if m.min_length is not None and m.min_length == m.max_length)
    return next(filter(None, (words_of(meta.pattern or "") for meta in fixed)), "")


def _plain(tree: Any, type_: Any) -> Any:
    """Return the structure or tuple that `tree` was meant to be."""
    if get_origin(type_) is Annotated:
        return _plain(tree, get_args(type_)[0])
    if get_origin(type_) not in {Union, types.UnionType}:
        return type_
    for choice in (_plain(tree, choice) for choice in get_args(type_)):
        origin = get_origin(choice)
        mapping = _is_struct(choice) or origin in {dict, Mapping}
        wanted = dict if mapping else list if origin is tuple else None
        if wanted is not None and isinstance(tree, wanted):
            return choice
    return type_


def _inner_problems(tree: Any, type_: Any, path: str) -> Iterator[Problem]:
    if _is_struct(type_) and isinstance(tree, dict):
        yield from _field_problems(tree, type_, path)
    elif get_origin(type_) is tuple and isinstance(tree, list):
        for i, item in enumerate(tree):
            yield from structural_problems(item, get_args(type_)[0], f"{path}[{i}]")
    elif get_origin(type_) in {dict, Mapping} and isinstance(tree, dict):
        of_key, of_value = get_args(type_)
        for key, value in tree.items():
            for found in structural_problems(key, of_key):
                # A bad key is reported at the mapping that contains it.
                yield Problem(path, f"the name of an entry: {found.message}", found.hint)
            yield from structural_problems(value, of_value, _below(path, str(key)))


def _field_problems(
    tree: dict[Any, Any], type_: type[msgspec.Struct], path: str
) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    free = [name for name in fields if name not in tree]
    meant = {str(name): closest(str(name), free) for name in tree if name not in fields}
    for name, field in fields.items():
        if name in tree:
            yield from structural_problems(tree[name], field.type, _below(path, name))
        elif field.required and name not in meant.values():
            yield Problem(path, f"missing field {name!r}", "Add it; see docs/FORMAT.md.")
    for name, near in meant.items():
        yield Problem(
            _below(path, name[:_SHOWN]),
            f"unknown field; did you mean {near}?" if near else "unknown field",
            f"The fields here are {', '.join(fields)}.",
        )


def problems_error(
    error: type[IsowardError], where: str, problems: Sequence[Problem]
) -> IsowardError:
    """Return one error that reports all problems of a document.

    Args:
        error: Its class.
        where: The file's name.
        problems: At least one; reported in the order of their lines.
    """
    first, *rest = sorted(problems, key=lambda problem: problem.line)
    more = f"{len(rest) + 1} problems, first " if rest else ""
    made = error(f"{where}: {more}{first.placed}", first.hint)
    made.problems = (first, *rest)
    return made


def collect_problems(checks: Iterable[Callable[[], object]]) -> list[Problem]:
    """Run checks that stop at their first problem, and collect the problem of each.

    Args:
        checks: Each raises a DefinitionError whose message begins with the location, if it has one.
    """
    found: dict[str, Problem] = {}
    for check in checks:
        try:
            check()
        except DefinitionError as error:
            place = _PLACE.match(error.message)
            path = place[1] if place else ""
            message = error.message[place.end() :] if place else error.message
            found.setdefault(error.message, Problem(path, message, error.hint))
    return list(found.values())


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def text_problems(tree: Any) -> Iterator[Problem]:
    """Find texts with invisible characters or not in composed form."""
    for place, flaw in flaws_of_tree(tree):
        yield Problem(place, f"contains {flaw}", "Retype it in plain letters.")
