"""The patterns of texts in our documents, each with a description and an example for people.

Validation uses the pattern, but showing a regular expression does not help anyone who made a typo.
So every pattern comes with a description, and error messages show that instead.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

# Patterns end in `$(?!\n)`: in Python `$` alone also matches before a final newline, and editors
# that read our JSON Schemas do not know `\Z`.

_WORDS: Final[dict[str, str]] = {}
_LENGTH: Final = re.compile(r"Expected `(?:str|array|object)` of length (<=|>=) ([0-9]+)")


def formed(
    pattern: str,
    words: str,
    *examples: str,
    min_length: int | None = None,
    max_length: int | None = None,
) -> msgspec.Meta:
    """Return a pattern constraint for text, and register its description for error messages.

    Args:
        pattern: A regular expression that JSON Schema editors understand too.
        words: The description, to be read after "expected".
        examples: Texts that match, at least one.
        min_length: Of the text, in characters.
        max_length: Of the text, in characters.
    Raises:
        ValueError: An example does not match, or the pattern already has another description.
    """
    if not examples or not all(re.search(pattern, example) for example in examples):
        raise ValueError(f"{examples} are not examples of {words}")
    said = f"{words}, such as {' or '.join(examples)}"
    if _WORDS.setdefault(pattern, said) != said:
        raise ValueError(f"the pattern of {words} already has another description")
    return msgspec.Meta(
        pattern=pattern,
        min_length=min_length,
        max_length=max_length,
        description=f"{words[0].upper()}{words[1:]}.",
        examples=list(examples),
    )


def words_of(pattern: str) -> str:
    """Return the description and example of a pattern; empty if it has none."""
    return _WORDS.get(pattern, "")


def in_words(message: str) -> str:
    """Turn msgspec's "matching regex" and "of length" into plain words."""
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
