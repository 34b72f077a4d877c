r"""Text from elsewhere, made fit to stand within one line of ours.

A name in a hostile bundle or what a node answers may hold an escape sequence that moves the
cursor, a line break that begins a line of its own, or a character that turns the order of reading
round. All of these are shown as what they are, such as `\x1b` or `\u202e`.

Source: Unicode Standard Annex 44, "General_Category"; Unicode Technical Report 36, "Bidirectional
Text Spoofing"; DerivedCoreProperties.txt, "Default_Ignorable_Code_Point".
"""

from __future__ import annotations

from typing import Final

# What str.isprintable() lets pass, and nobody sees: fillers, joiners, selectors of variants.
_UNSEEN: Final = frozenset(
    {
        0x034F,
        0x115F,
        0x1160,
        0x17B4,
        0x17B5,
        *range(0x180B, 0x1810),
        0x2800,
        0x3164,
        *range(0xFE00, 0xFE10),
        0xFFA0,
        *range(0xE0100, 0xE01F0),
    }
)


def is_visible(char: str) -> bool:
    """Say whether a character is seen, stays in its line, and leaves others where they are."""
    return char.isprintable() and ord(char) not in _UNSEEN


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
        char if is_visible(char) else char.encode("unicode_escape").decode() for char in text
    )
