"""The forms that texts of our documents must have, each with words and an example for a person.

A pattern is what checks; nobody who mistyped a line is helped by seeing it. So none is written
without saying in words what it wants, and those words are what an error shows.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

# Patterns end in `$(?!\n)`: in Python `$` alone also matches before a final newline, and `\Z`
# would mean nothing to the editors that read our JSON Schemas.

_WORDS: Final[dict[str, str]] = {}
_LENGTH: Final = re.compile(r"Expected `(?:str|array|object)` of length (<=|>=) ([0-9]+)")


def formed(
    pattern: str,
    words: str,
    *examples: str,
    min_length: int | None = None,
    max_length: int | None = None,
) -> msgspec.Meta:
    """Return the constraint of a text by a pattern, and keep how to say it to a person.

    Args:
        pattern: A regular expression, such as editors that read our schemas know too.
        words: What it wants, to be read after "expected".
        examples: Texts that it takes, one at least.
        min_length: Of the text, in characters.
        max_length: Of the text, in characters.
    Raises:
        ValueError: An example does not match, or the pattern has other words already.
    """
    if not examples or not all(re.search(pattern, example) for example in examples):
        raise ValueError(f"{examples} are no examples of {words}")
    said = f"{words}, such as {' or '.join(examples)}"
    if _WORDS.setdefault(pattern, said) != said:
        raise ValueError(f"the pattern of {words} has other words already")
    return msgspec.Meta(
        pattern=pattern,
        min_length=min_length,
        max_length=max_length,
        description=f"{words[0].upper()}{words[1:]}.",
        examples=list(examples),
    )


def words_of(pattern: str) -> str:
    """Return the words and the example of a pattern; empty for one that has none."""
    return _WORDS.get(pattern, "")


def in_words(message: str) -> str:
    """Turn msgspec's "matching regex" and "of length" into words for a person."""
    if " matching regex " in message:
        shown = message.partition(" matching regex ")[2]
        for pattern, words in _WORDS.items():
            if shown == repr(pattern):
                return f"expected {words}"
    found = _LENGTH.fullmatch(message)
    if found is None:
        return message
    what = {"str": "character", "array": "entry", "object": "entry"}[message.split("`")[1]]
    bound = "at most" if found[1] == "<=" else "at least"
    several = {"character": "characters", "entry": "entries"}[what]
    return f"expected {bound} {found[2]} {what if found[2] == '1' else several}"
