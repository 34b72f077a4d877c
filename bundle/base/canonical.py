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

    Re-encoding must give the same bytes, which refuses duplicate keys, unknown fields, defaults
    written out, white space and any second spelling of the same document. No text in it has a
    character that is not seen, or another spelling than Unicode's composed one.

    Raises:
        FormatError: Not JSON, not of this type, not in the canonical form, or with such a text.
    """
    try:
        value = msgspec.json.decode(data, type=type_, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        what, at, place = str(error).partition(" - at ")
        # msgspec repeats the value that it does not like, however long it is.
        why = f"{in_words(what)}{at}{place}"[:MAX_REASON]
        raise FormatError(f"{where}: {why}", "The file is damaged or was edited.") from error
    if canonical_json(value) != data:
        raise FormatError(
            f"{where}: expected canonical JSON, found another spelling of it",
            "The file is damaged or was edited; make it again with `isoward build`.",
        )
    if flaw := flaw_of_json(data):
        raise FormatError(f"{where}: it has {flaw}", "No document of ours has it; do not use it.")
    return value
