"""A parser's complaint about a value, in plain words."""

from __future__ import annotations

import datetime as dt
import difflib
import re
import types
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from bundle.base.queries import concealed

_NAMES: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping of names to values",
    "null": "nothing",
    "date": "a date",
    "datetime": "a time",
}
"""Plain names for the parser's types."""

_EXPECTED: Final = re.compile(r"Expected `([^`]+)`(.*)")
_GOT: Final = re.compile(r", got `[^`]+`")
_BOUND: Final = re.compile(r" (>=|<=|>|<|==) ([0-9.]+)")
_BOUNDS: Final = {
    ">=": "at least {}",
    "<=": "at most {}",
    ">": "more than {}",
    "<": "less than {}",
    "==": "exactly {}",
}
_SHOWN: Final = 100
_MOST_CHOICES: Final = 20


def plain_words(what: str, found: Any, type_: Any = None) -> str:
    """Describe what is wrong with a value, and what it is.

    Args:
        what: The parser's message without the location.
        found: The value.
        type_: What it should have been, if known.
    """
    choices = choices_of(type_)
    if what.startswith("Invalid enum value"):
        return f"{_one_of(choices)}, found {describe(found)}{did_you_mean(found, choices)}"
    match = _EXPECTED.fullmatch(what)
    if match is None or "matching regex" in match[2]:
        return what
    if choices and _GOT.fullmatch(match[2]):
        return f"{_one_of(choices)}, found {describe(found)}"
    names = match[1].split(" | ")
    expected = " or ".join(_NAMES.get(name, name) for name in names if name != "null")
    bound = _BOUND.fullmatch(match[2])
    if bound is not None:
        amount = _BOUNDS[bound[1]].format(bound[2])
        return f"expected {expected}, {amount}, found {describe(found)}"
    return f"expected {expected or _NAMES['null']}, found {describe(found)}"


def describe(found: Any) -> str:
    """Describe a YAML value, in bounded length."""
    match found:
        case None:
            said = "nothing"
        case bool():
            said = f"the word {str(found).lower()}, a boolean in YAML"
        case int() | float():
            said = f"the number {str(found)[:_SHOWN]}"
        case str():
            said = f"{concealed(found)[:_SHOWN]!r}" if found else "an empty text"
        case dt.date():
            said = f"the date {found.isoformat()}"
        case dict():
            said = _NAMES["object"]
        case _:
            said = _NAMES["array"] if isinstance(found, list) else type(found).__name__
    return said


def closest(name: str, known: Iterable[str]) -> str:
    """Return the known name that was probably meant, or an empty string."""
    plain = {_plain(one): one for one in known}
    near = difflib.get_close_matches(_plain(name[:_SHOWN]), plain, n=1, cutoff=0.7)
    return plain[near[0]] if near else ""


def did_you_mean(found: Any, known: Iterable[str]) -> str:
    """Return a suggestion to append to a message, or an empty string."""
    near = closest(found, known) if isinstance(found, str) else ""
    return f"; did you mean {near}?" if near else ""


def choices_of(type_: Any) -> tuple[str, ...]:
    """Return the words that an enumeration type allows, otherwise nothing."""
    origin = get_origin(type_)
    if origin is Annotated:
        return choices_of(get_args(type_)[0])
    if origin is Literal:
        return tuple(str(choice) for choice in get_args(type_))
    if origin in {Union, types.UnionType}:
        return tuple(word for one in get_args(type_) for word in choices_of(one))
    return ()


def _one_of(choices: tuple[str, ...]) -> str:
    if not choices or len(choices) > _MOST_CHOICES:
        return "expected one of the words listed in docs/FORMAT.md"
    if len(choices) == 1:
        return f"expected {choices[0]}"
    return f"expected one of {', '.join(choices)}"


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
