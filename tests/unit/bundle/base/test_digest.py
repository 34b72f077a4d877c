"""Digests: one algorithm, one spelling."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.base.digest import Digest, digest_of, hex_of, is_digest, parse_digest, short
from bundle.base.errors import FormatError

GOOD = "sha256:" + "0123456789abcdef" * 4


@given(st.binary())
def test_digest_of_is_sha256(data: bytes) -> None:
    assert digest_of(data) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert is_digest(digest_of(data))


def test_parts_of_a_digest() -> None:
    assert parse_digest(GOOD, "x") == GOOD
    assert hex_of(GOOD) == "0123456789abcdef" * 4
    assert short(GOOD) == "0123456789ab"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        GOOD[:-1],
        GOOD + "0",
        GOOD + "\n",
        " " + GOOD,
        GOOD.upper(),
        GOOD.replace("a", "A"),
        GOOD.replace("sha256", "sha512"),
        GOOD.replace("a", "g"),
        GOOD.replace("0", "\uff10"),  # a full-width zero is a digit to Unicode
        GOOD[7:],
    ],
)
def test_anything_else_is_refused_everywhere(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(FormatError, match="here: expected a digest"):
        parse_digest(text, "here")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Digest)
