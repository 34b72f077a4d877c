"""Canonical JSON: one byte sequence for one value.

Keys sorted, no white space, UTF-8, integers only. For values made of objects with ASCII keys,
strings, integers, booleans and null this equals RFC 8785 (JSON Canonicalization Scheme).
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from bundle.base.digest import digest_of
from bundle.base.errors import FormatError
from bundle.base.limits import MAX_REASON
from bundle.base.patterns import in_words
from bundle.base.plain import flaw_of_json

T = TypeVar("T")


def canonical_json(value: Any) -> bytes:
    """Encode a frozen structure or plain data to canonical JSON, without a final newline."""
    return msgspec.json.encode(value, order="sorted")


def canonical_digest(value: Any) -> str:
    """Return the digest of the canonical JSON of `value`."""
    return digest_of(canonical_json(value))


def decode_canonical(data: bytes, type_: type[T], where: str) -> T:
    """Decode canonical JSON strictly.

    Re-encoding must give the same bytes, which refuses duplicate keys, unknown fields, explicit
    defaults, white space and other encodings of the same document. Its texts must be in Unicode's
    composed form (NFC) and free of invisible characters.

    Raises:
        FormatError: Not JSON, not of this type, not canonical, or a text breaks these rules.
    """
    try:
        value = msgspec.json.decode(data, type=type_, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what, at, place = str(error).partition(" - at ")
        # msgspec repeats the offending value, however long it is.
        why = f"{in_words(what)}{at}{place}"[:MAX_REASON]
        raise FormatError(f"{where}: {why}", "The file is damaged or was edited.") from error
    if canonical_json(value) != data:
        raise FormatError(
            f"{where}: expected canonical JSON, found another encoding",
            "The file is damaged or was edited; rebuild it with `isoward build`.",
        )
    if flaw := flaw_of_json(data):
        raise FormatError(
            f"{where}: contains {flaw}", "No Isoward document contains this; do not use it."
        )
    return value
