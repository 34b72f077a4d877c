"""YAML: what can hide, explode or run is refused, with the line."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.base.errors import DefinitionError, FormatError
from bundle.base.yaml.strict import dump_yaml, load_yaml


class Box(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A structure for these tests."""

    text: str = ""
    texts: tuple[str, ...] = ()
    number: int = 0
    inner: Box | None = None


def load(data: bytes | str, *, limit: int = 1_000_000) -> Box:
    raw = data.encode() if isinstance(data, str) else data
    return load_yaml(raw, Box, where="a.yaml", limit=limit, error=DefinitionError)


def test_a_plain_document() -> None:
    assert load("text: a\nnumber: 3\ntexts: [b, 'c']\n") == Box("a", ("b", "c"), 3)


def test_a_byte_order_mark_and_comments_are_harmless() -> None:
    assert load("\ufeff# hello\n---\ntext: a\n") == Box("a")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("a: &x [1]\nb: *x", "line 1: anchors and aliases"),
        ("text: *x", "line 1: anchors and aliases|undefined alias"),
        ("text: a\ninner: {<<: {text: b}}", "line 2: merge keys"),
        ("text: !!python/object:os.system a", "line 1: tags"),
        ("text: !!str a", "line 1: tags"),
        ("inner: !box {}", "line 1: tags"),
        ("text: a\nnumber: 1\ntext: b", "line 3: duplicate key 'text'"),
        ("inner: {text: a, 'text': b}", "line 1: duplicate key 'text'"),
        ("? [a]\n: b", "line 1: a key must be plain text"),
        ("? {a: b}\n: c", "line 1: a key must be plain text"),
        ("text: a\n---\ntext: b", "line 3: expected one document|line 2: expected one document"),
        ("text: [a", "line 2: "),
        ("texts:\n\t- a", "line 2: "),
        ("text: \x01", "control characters|special characters"),
        ("number: " + "9" * 5000, "digits"),
        ("text: 2024-99-99", "line 1: expected a date"),
        ("text: 2024-01-01", "text: expected text, found the date 2024-01-01"),
        ("text: 1.10", "text: expected text, found the number 1.1"),
        ("text: no", "text: expected text, found the word false"),
        ("number: '3'", "number: expected a whole number, found '3'"),
        ("inner: {number: x}", r"inner\.number: "),
        ("other: 1", "other: unknown field"),
        ("1: a", "1: unknown field"),
        ("", "expected a mapping of names to values, found nothing"),
        ("- a", "expected a mapping of names to values, found a list"),
        ("{{{{" * 100, "a key must be plain text"),
        ("[" * 100_000, "nested deeper than 32"),
        ("- " * 100_000, "nested deeper than 32"),
    ],
)
def test_what_is_refused_names_file_and_place(document: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=rf"^a\.yaml: .*({why})") as caught:
        load(document)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_the_same_key_in_different_mappings_is_no_duplicate() -> None:
    assert load("text: text\ninner: {text: text, inner: {text: a}}").inner is not None
    assert load("texts: [text, text]") == Box(texts=("text", "text"))


def test_a_billion_laughs_cost_nothing() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
    )
    tracemalloc.start()
    with pytest.raises(DefinitionError, match="anchors and aliases"):
        load(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_size_and_encoding_come_first() -> None:
    assert load("text: abc", limit=9) == Box("abc")
    with pytest.raises(DefinitionError, match="expected at most 8 bytes"):
        load("text: abc", limit=8)
    with pytest.raises(DefinitionError, match="expected UTF-8"):
        load(b"text: \xff")
    with pytest.raises(DefinitionError, match="expected UTF-8"):
        load("text: a".encode("utf-16"))


def test_the_kind_of_error_is_the_callers() -> None:
    with pytest.raises(FormatError):
        load_yaml(b"text: 1", Box, where="a.lock", limit=100, error=FormatError)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_our_error(data: bytes) -> None:
    with suppress(DefinitionError):
        load(data)


_text = st.text(st.characters(codec="utf-8"), max_size=300)


@pytest.mark.parametrize(
    "number",
    ["05443", "0o12_", "5_443", "0x1F", "0b101", "+010", "1:30", "12:34:56", "00", "9" * 19,
     "9" * 5000, "0x" + "f" * 5000, "0b" + "1" * 50_000],
)  # fmt: skip
def test_a_number_that_nobody_would_read_so_is_refused_with_its_line(number: str) -> None:
    with pytest.raises(DefinitionError, match="expected a") as caught:
        load(f"text: a\nnumber: {number}\n")
    assert "line 2" in caught.value.message
    assert load(f"text: a\ntexts: ['{number}']\nnumber: -7").texts == (number,)


@pytest.mark.parametrize("date", ["2024-13-45", "2024-01-01T99:99:99Z", "2024-02-30 10:00:00"])
def test_a_date_that_there_is_not_is_refused_with_its_line(date: str) -> None:
    with pytest.raises(DefinitionError, match="line 2: expected a date, or quoted text"):
        load(f"texts: []\ntext: {date}\n")
    assert load(f"text: '{date}'").text == date


@given(st.builds(Box, _text, st.lists(_text, max_size=3).map(tuple), st.integers(-9, 9)))
def test_what_is_dumped_reads_back(box: Any) -> None:
    assert load(dump_yaml(box)) == box


@pytest.mark.parametrize(
    "text",
    [
        "2024-13-1",
        "2024-13-45",
        "2024-99-99 x",
        "05443",
        "1:30",
        "9" * 19,
        "1.0",
        "yes",
        "null",
        "~",
        "2024-01-01",
        "0x1f",
        "1_000",
        "<<",
        "=",
        "",
        " a",
        "a: b",
    ],
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert load(dump_yaml(Box(text, (text,)))) == Box(text, (text,))


_lines = st.text("ab \n\t#:-|>'\"\\\r\x85\u2028\ufeffé0", max_size=12)


@given(_lines)
def test_text_of_several_lines_reads_back(text: str) -> None:
    assert load(dump_yaml(Box(text, (text,)))) == Box(text, (text,))


def test_a_key_is_written_as_a_person_would() -> None:
    assert "text: |\n  -----BEGIN\n  abc\n" in dump_yaml(Box("-----BEGIN\nabc\n", ()))
