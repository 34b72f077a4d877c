r"""Makes untrusted text safe to print on one line, and defines what our own documents may contain.

A name in a hostile bundle, or a node's answer, may contain an escape sequence that moves the
cursor, a line break that fakes a line of ours, or a character that reverses the reading order.
All of these are printed as escapes, such as `\x1b` or `\u202e`. Our documents must not contain
them, nor text that is not in composed form.

Source: Unicode Standard Annex 44, "General_Category"; Unicode Technical Report 36, "Bidirectional
Text Spoofing"; DerivedCoreProperties.txt, "Default_Ignorable_Code_Point"; Annex 15, "NFC".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

# The general categories Cc, Cf, Cs, Co, Zl and Zp, and the letters and marks that are invisible:
# fillers, joiners, variation selectors. Written as regular expression ranges that editors support
# too. Beyond the basic plane there is no notation that both support, so those are checked by
# `flaw_of` alone.
_NOT_SEEN: Final = (
    r"\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    r"\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\uf8ff\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufffb"
)
_BEYOND: Final = (
    r"\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U0010ffff"
)
UNSEEN: Final = r"\x00-\x1f\x7f-\x9f" + _NOT_SEEN
"""Not allowed in our one-line texts: the inside of a regular expression's set."""
UNSEEN_IN_BLOCK: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f" + _NOT_SEEN
"""The same for texts with several lines, such as a key in PEM."""

_UNSEEN: Final = re.compile(f"[{UNSEEN}{_BEYOND}]")
_UNSEEN_IN_BLOCK: Final = re.compile(f"[{UNSEEN_IN_BLOCK}{_BEYOND}]")
# In JSON such a character is an escape; an escaped backslash does not start one.
_ESCAPED: Final = re.compile(rb"\\(?:(u00[01][0-9a-f]|[bf])|.)", re.DOTALL)
_UNSEEN_BUT_SPACE: Final = re.compile(f"(?![\n\r\t])[{UNSEEN}{_BEYOND}]")
"""In JSON a control character occurs between values only, as white space."""
_NFC: Final = "NFC"


def visible(text: str) -> str:
    """Return `text` as one line without invisible characters.

    Args:
        text: Untrusted; may contain lone surrogates.
    Returns:
        The same, with each control, format, line or invisible character escaped.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() and not _UNSEEN.match(char)
        else char.encode("unicode_escape").decode()
        for char in text
    )


def visible_json(text: str) -> str:
    """Return JSON with invisible characters escaped, so that it can be inspected."""
    return text if text.isascii() and "\x7f" not in text else _UNSEEN_BUT_SPACE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{code[i : i + 2].hex()}" for i in range(0, len(code), 2))


def without_unseen(text: str) -> str:
    """Return `text` without invisible characters, for comparison."""
    return _UNSEEN.sub("", text)


def carried(text: str, limit: int) -> str:
    """Return untrusted text in a form that our documents may hold, at most `limit` long."""
    shown = visible(unicodedata.normalize(_NFC, text))
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def seen_in(tree: Any) -> Any:
    """Return plain data with every text in a form that our documents may hold."""
    if isinstance(tree, str):
        return tree if not flaw_of(tree) else visible(unicodedata.normalize(_NFC, tree))
    if isinstance(tree, dict):
        return {seen_in(str(key)): seen_in(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [seen_in(value) for value in tree]
    return tree


def flaw_of(text: str) -> str:
    """Describe the first forbidden character or form in our text; empty if there is none.

    Line breaks and tabs pass here; each type decides on those itself.
    """
    if text.isascii() and text.isprintable():
        return ""
    found = _UNSEEN_IN_BLOCK.search(text)
    if found is not None:
        return f"the character U+{ord(found[0]):04X}, which is invisible"
    if not unicodedata.is_normalized(_NFC, text):
        return "a letter that is not in Unicode's composed form (NFC)"
    return ""


def flaw_of_json(data: bytes) -> str:
    """Check all texts of a JSON document like `flaw_of`, without decoding it."""
    for escape in _ESCAPED.finditer(data):
        if escape[1]:
            return f"the character {escape[0].decode()}, which is invisible"
    return "" if data.isascii() and b"\x7f" not in data else flaw_of(data.decode())


def flaws_of_tree(tree: Any) -> Iterator[tuple[str, str]]:
    """Yield the path of each text with a flaw, such as `images[0].name`, and the flaw."""
    pending: list[tuple[str, Any]] = [("", tree)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, str):
            if flaw := flaw_of(value):
                yield place, flaw
        elif isinstance(value, dict):
            for key, inner in value.items():
                within = f"{place}.{visible(str(key))}" if place else visible(str(key))
                if flaw := flaw_of(str(key)):
                    yield within, flaw
                pending.append((within, inner))
        elif isinstance(value, list):
            pending += [(f"{place}[{i}]", inner) for i, inner in enumerate(value)]
