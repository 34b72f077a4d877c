r"""Text from elsewhere, made fit to stand within one line of ours, and what our own text may hold.

A name in a hostile bundle or what a node answers may hold an escape sequence that moves the
cursor, a line break that begins a line of its own, or a character that turns the order of reading
round. All of these are shown as what they are, such as `\x1b` or `\u202e`; and no document of ours
has them, nor a text in two spellings.

Source: Unicode Standard Annex 44, "General_Category"; Unicode Technical Report 36, "Bidirectional
Text Spoofing"; DerivedCoreProperties.txt, "Default_Ignorable_Code_Point"; Annex 15, "NFC".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

# The general categories Cc, Cf, Cs, Co, Zl and Zp, and those letters and marks that nobody sees:
# fillers, joiners, selectors of variants. As ranges of a regular expression that editors know too,
# from the first that is no control character on; beyond the basic plane they have no one spelling
# for both, so those are for `flaw_of` alone.
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
"""What may stand in no text of ours that is one line: the inside of a regular expression's set."""
UNSEEN_IN_BLOCK: Final = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f" + _NOT_SEEN
"""The same of a text of several lines, such as a key in PEM."""

_UNSEEN: Final = re.compile(f"[{UNSEEN}{_BEYOND}]")
_UNSEEN_IN_BLOCK: Final = re.compile(f"[{UNSEEN_IN_BLOCK}{_BEYOND}]")
# In JSON such a character is an escape; a backslash that is escaped itself begins none.
_ESCAPED: Final = re.compile(rb"\\(?:(u00[01][0-9a-f]|[bf])|.)", re.DOTALL)
_UNSEEN_BUT_SPACE: Final = re.compile(f"(?![\n\r\t])[{UNSEEN}{_BEYOND}]")
"""In JSON a control character stands between values only, as space."""
_NFC: Final = "NFC"


def visible(text: str) -> str:
    """Return `text` as one line in which every character can be seen.

    Args:
        text: From anywhere; may hold lone surrogates.
    Returns:
        The same, with each control, format, line or invisible character written out.
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
    """Return JSON with what would not be seen as escapes, so that a person can look at it."""
    return text if text.isascii() and "\x7f" not in text else _UNSEEN_BUT_SPACE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{code[i : i + 2].hex()}" for i in range(0, len(code), 2))


def without_unseen(text: str) -> str:
    """Return `text` without the characters that nobody sees, to compare by."""
    return _UNSEEN.sub("", text)


def carried(text: str, limit: int) -> str:
    """Return a text from elsewhere as a document of ours may hold it, at most `limit` long."""
    shown = visible(unicodedata.normalize(_NFC, text))
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def seen_in(tree: Any) -> Any:
    """Return plain data with every text as a document of ours may hold it."""
    if isinstance(tree, str):
        return tree if not flaw_of(tree) else visible(unicodedata.normalize(_NFC, tree))
    if isinstance(tree, dict):
        return {seen_in(str(key)): seen_in(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [seen_in(value) for value in tree]
    return tree


def flaw_of(text: str) -> str:
    """Say what a text of ours must not hold; an empty string if it holds nothing such.

    Line breaks and tabs pass here: which texts may have them is their own types' to say.
    """
    if text.isascii() and text.isprintable():
        return ""
    found = _UNSEEN_IN_BLOCK.search(text)
    if found is not None:
        return f"the character U+{ord(found[0]):04X}, which nobody would see"
    if not unicodedata.is_normalized(_NFC, text):
        return "a letter in another spelling than Unicode's composed one (NFC)"
    return ""


def flaw_of_json(data: bytes) -> str:
    """Say the same of all texts of a JSON document, without decoding it."""
    for escape in _ESCAPED.finditer(data):
        if escape[1]:
            return f"the character {escape[0].decode()}, which nobody would see"
    return "" if data.isascii() and b"\x7f" not in data else flaw_of(data.decode())


def flaws_of_tree(tree: Any) -> Iterator[tuple[str, str]]:
    """Yield where in plain data a text has a flaw, such as `images[0].name`, and which."""
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
