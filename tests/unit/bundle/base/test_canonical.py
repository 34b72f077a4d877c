"""Canonical JSON: one spelling of a document, all others refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.base.canonical import canonical_digest, canonical_json, decode_canonical
from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.base.errors import FormatError
from bundle.base.plain import flaws_of_tree

_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner),
    max_leaves=10,
)


@given(_values)
def test_it_is_what_any_json_library_writes_compact_and_sorted(value: Any) -> None:
    expected = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical_json(value) == expected.encode()


@given(_values)
def test_it_reads_back(value: Any) -> None:
    """But for a text with what nobody would see, or in a second spelling."""
    data = canonical_json(value)
    if any(flaws_of_tree(value)):
        with pytest.raises(FormatError, match="contains"):
            decode_canonical(data, Any, "x")
        return
    assert decode_canonical(data, object, "x") == value
    assert canonical_digest(value) == digest_of(data)


def test_a_structure_leaves_out_defaults_and_sorts_fields() -> None:
    metadata = Metadata(name="a", version="1")
    assert canonical_json(metadata) == b'{"name":"a","version":"1"}'
    assert decode_canonical(b'{"name":"a","version":"1"}', Metadata, "x") == metadata


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'{"name":"a","version":"1"',
        b'{"name":"a","version":"1"}\n',
        b'{"name": "a","version":"1"}',
        b'{"version":"1","name":"a"}',
        b'{"name":"a","version":"1","more":1}',
        b'{"name":"a","name":"a","version":"1"}',
        b'{"name":"\\u0061","version":"1"}',
        b'{"name":"a","version":1}',
        b'{"name":"A","version":"1"}',
        b'{"name":"a\\n","version":"1"}',
        b'\xef\xbb\xbf{"name":"a","version":"1"}',
        b'{"name":"\xff","version":"1"}',
        b'{"name":"\\ud800","version":"1"}',
        b"[" * 100_000,
    ],
)
def test_any_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match=r"^bundle\.json: "):
        decode_canonical(data, Metadata, "bundle.json")


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[2J",
        "\x7f",
        "\x08",
        "\x9b",
        "a\u202eb",
        "\u2028",
        "\ufeff",
        "e\u0301",
        "\U000e0041",
        "\\\x1b",
    ],
)
def test_no_document_holds_what_nobody_sees(text: str) -> None:
    for value in ({"a": text}, {text: 1}, [[text]]):
        with pytest.raises(FormatError, match="contains"):
            decode_canonical(canonical_json(value), Any, "x")


@pytest.mark.parametrize(
    "text", ["a\nb\tc", "\\u001b", "\\\\u001b", "Zo\u00eb", "\u6f22", "a\u3000b"]
)
def test_what_is_seen_is_text(text: str) -> None:
    decoded: Any = decode_canonical(canonical_json([text]), Any, "x")
    assert decoded == [text]
