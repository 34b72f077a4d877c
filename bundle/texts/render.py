"""The one renderer of our texts: a file of a package, with its places filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_PLACE: Final = re.compile(r"^#@[A-Z]+@\n|@[A-Z]+@", re.MULTILINE)
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def render(
    package: str, path: str, words: Mapping[str, str], lines: Mapping[str, str] = _NONE
) -> str:
    """Return a text of a package.

    Args:
        package: Has the file.
        path: Of the file in it. `@NAME@` is a place for a word; a line `#@NAME@`, which a shell
            takes for a comment, is a place for lines.
        words: By name; printable, so in one line.
        lines: By name; none or several, each with its end.
    Raises:
        ValueError: A place has no value, a value has no place, or a value has another form. It is
            a mistake of ours: what comes from outside is checked before.
    """
    # Slow to import, and most commands write no text.
    from importlib.resources import files

    text = (files(package) / path).read_text(encoding="utf-8")
    values = {f"@{name}@": word for name, word in words.items()}
    bad = [place for place, word in values.items() if not word.isprintable()]
    for name, value in lines.items():
        place = f"#@{name}@\n"
        values[place] = value
        if not (value.endswith("\n") or not value) or not value.replace("\n", "").isprintable():
            bad.append(place)
    if bad or values.keys() != set(_PLACE.findall(text)):
        alone = values.keys() ^ set(_PLACE.findall(text))
        raise ValueError(f"{path}: bad values: {bad}; values or places alone: {sorted(alone)}")
    # In one pass: a value that looks like a place stays as it is.
    return _PLACE.sub(lambda found: values[found[0]], text)
