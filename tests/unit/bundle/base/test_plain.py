"""Text from elsewhere within a line of ours: every character is seen, and none begins a line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.base.plain import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text é 漢字", "plain text é 漢字"),
        ("\x1b[2J\x07\r\x9b\x7f", "\\x1b[2J\\x07\\r\\x9b\\x7f"),
        ("a\nb\x0bc\x0cd\x85e\u2028f\u2029g", "a\\nb\\x0bc\\x0cd\\x85e\\u2028f\\u2029g"),
        ("\u202egpj\u2066\u061c", "\\u202egpj\\u2066\\u061c"),  # the order of reading
        ("a\u200bb\u00adc\ufefff\U000e0041", "a\\u200bb\\xadc\\ufefff\\U000e0041"),  # not seen
        ("\u3164\u2800\ufe0f\u034f", "\\u3164\\u2800\\ufe0f\\u034f"),  # printable, and not seen
        ("a\u00a0b\u3000c\td", "a\\xa0b\\u3000c\\td"),  # spaces that are none
        ("\ud800\udc9b", "\\ud800\\udc9b"),  # half of a character, as a file name may have
        ("\ue000\U0010fffe", "\\ue000\\U0010fffe"),  # whatever a font makes of it
    ],
)
def test_what_is_not_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(alphabet=st.characters()))
def test_nothing_but_seen_characters_is_left(text: str) -> None:
    shown = visible(text)
    assert shown.splitlines() in ([shown], [])
    for char in shown:
        assert unicodedata.category(char)[0] not in {"C", "Z"} or char == " "
