"""People's names: which are valid, and which two count as one person.

A threshold counts people. Anyone who could hold two keys under names that look the same would
count twice: full-width letters, another case, two encodings of one letter, invisible characters,
or letters of another script that look the same.

Source: Unicode Standard Annex 15, "NFKC"; Unicode Technical Standard 39, "Confusable Detection".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from bundle.base.plain import flaw_of, without_unseen

_SCRIPTS: Final = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC"})
"""Those whose letters look like one another's; a word of a name is of one of them."""
_WORD: Final = re.compile(r"[^\W\d_]+")
# Small letters that look like a Latin one in every common font: Cyrillic, Greek, Armenian, Latin.
_ALIKE: Final = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0457\u0458\u0455\u0501\u0475\u051b\u051d"
    "\u04bb\u04cf\u043a\u043c\u0442\u0432\u043d"
    "\u03b1\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b2\u03b7\u03b6\u03bc"
    "\u0585\u057d\u0570\u0578\u0131\u0251\u0261",
    "aeopcyxiijsdvqwhlkmtbh" + "aeikvoptuxbhzm" + "ouhniag",
)
_DASH: Final = "-"
_MINUS: Final = "\u2212"
_QUOTE: Final = "'"
_QUOTES: Final = frozenset("`\u00b4\u02b9\u02bb\u02bc\u02bd\u02be\u2018\u2019\u201b\u2032\u055a")


def name_problem(name: str, longest: int) -> str:
    """Describe what is wrong with a person's name; empty if nothing is."""
    if not name or name != name.strip() or len(name) > longest or not name.isprintable():
        return f"expected 1 to {longest} printable characters without spaces around them"
    if flaw := flaw_of(name):
        return f"it contains {flaw}"
    for word in _WORD.findall(name):
        scripts = sorted(set(_scripts(word)))
        if len(scripts) > 1:
            return f"the word {word!r} has letters of {' and '.join(scripts)}, which look alike"
    return ""


def _scripts(word: str) -> Iterator[str]:
    for char in unicodedata.normalize("NFKC", word):
        script = unicodedata.name(char, "").partition(" ")[0]
        if script in _SCRIPTS:
            yield script.capitalize()


def folded(name: str) -> str:
    """Return the part of a name that identifies a person; equal for names that look the same."""
    # First, since an accent that stands by itself is a space and another character in NFKC.
    plain = "".join(_QUOTE if char in _QUOTES else char for char in name)
    plain = without_unseen(unicodedata.normalize("NFKC", plain)).casefold()
    # Case and width may have made letters that are put together anew.
    plain = without_unseen(unicodedata.normalize("NFKC", plain)).replace("i\u0307", "i")
    plain = "".join(_DASH if unicodedata.category(c) == "Pd" or c == _MINUS else c for c in plain)
    return " ".join(plain.translate(_ALIKE).split())
