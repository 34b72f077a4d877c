"""The JSON of OCI documents, read the way containerd and other Go programs read it.

Every publisher's document was accepted by a Go reader, so ours accepts what that one does: null
for missing values, unknown fields, and numbers of any length in those. Where readers disagree it
is strict, because the signature covers the bytes and not their meaning: a significant field may
not occur twice with different values, nor in another case, which Go accepts and others do not.

Source: Go, "encoding/json", Unmarshal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

_MAX_DIGITS: Final = 20
"""Digits of the numbers that matter; the value of longer ones is never read."""


class UnreadableError(Exception):
    """Why something cannot be read; the caller adds the location."""


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys as written, including duplicates."""


_PLATFORM: Final = ("os", "architecture", "variant")
_DESCRIPTOR: Final = (
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "platform",
    "artifactType",
)
_DOCUMENT: Final = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "blobs",
    "manifests",
    "subject",
    "annotations",
)


def read_document(data: bytes) -> dict[str, Any]:
    """Return the known fields of a manifest or an index, without those that are null.

    The contents of `config`, `subject` and the lists are left to `read_descriptor`.

    Raises:
        UnreadableError: Not JSON, not an object, or ambiguous.
    """
    found = _fields(_decode(data), _DOCUMENT)
    if "annotations" in found:
        found["annotations"] = _texts(found["annotations"])
    return found


def read_descriptor(value: Any) -> dict[str, Any]:
    """Return the known fields of a descriptor, in a form that msgspec can convert.

    Raises:
        UnreadableError: Not an object, or ambiguous.
    """
    found = _fields(value, _DESCRIPTOR)
    if "annotations" in found:
        found["annotations"] = _texts(found["annotations"])
    if "platform" in found:
        found["platform"] = _fields(found["platform"], _PLATFORM)
    return found


def digests_in(value: Any) -> list[str]:
    """Return every text that some reader may take for the digest of a descriptor."""
    pairs = value if isinstance(value, _Pairs) else ()
    return [item for key, item in pairs if key.casefold() == "digest" and isinstance(item, str)]


def read_platform(data: bytes) -> tuple[str, str, str]:
    """Return the os, architecture and variant of an image's config.

    Missing values are empty; a key in another case counts as the known key.

    Raises:
        UnreadableError: Not JSON, not an object, or one of the three is not a string.
    """
    value = _decode(data)
    if not isinstance(value, _Pairs):
        raise UnreadableError("it is not an object")
    found = {key.casefold(): item for key, item in value if item is not None}
    system, architecture, variant = (found.get(name, "") for name in _PLATFORM)
    if not all(isinstance(part, str) for part in (system, architecture, variant)):
        raise UnreadableError("its os or architecture is not a string")
    return _plain(system), _plain(architecture), _plain(variant)


def _decode(data: bytes) -> Any:
    try:
        # Like Go, replace bytes that are not UTF-8; digests and media types contain none.
        return json.loads(
            data.decode("utf-8", "replace"),
            object_pairs_hook=_Pairs,
            parse_int=_integer,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as error:
        raise UnreadableError("it is not JSON") from error


def _fields(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, _Pairs):
        raise UnreadableError(f"Expected `object`, got {type(value).__name__}")
    known = {name.casefold(): name for name in names}
    found: dict[str, Any] = {}
    stood: dict[str, str] = {}
    for key, item in value:
        name = known.get(key.casefold())
        if name is None:
            continue
        before = stood.setdefault(name, key)
        if before != key or (name in found and item is not None and found[name] != item):
            raise UnreadableError(f"duplicate key {name!r}")
        if item is not None:
            found[name] = _plain(item) if isinstance(item, str) else item
    other = next((key for name, key in stood.items() if key != name), None)
    if other is not None:
        raise UnreadableError(
            f"expected the key {known[other.casefold()]!r}, found {other[:100]!r}"
        )
    return found


def _texts(value: Any) -> Mapping[str, str]:
    """Read annotations, one of which may be a signature: no duplicates; null is empty."""
    if not isinstance(value, _Pairs):
        raise UnreadableError("annotations: expected an object of strings")
    made: dict[str, str] = {}
    for key, item in value:
        text = "" if item is None else item
        if not isinstance(text, str):
            raise UnreadableError("annotations: expected strings")
        if made.setdefault(_plain(key), _plain(text)) != _plain(text):
            raise UnreadableError("annotations: duplicate key")
    return made


def _plain(text: str) -> str:
    """Replace lone surrogates, which JSON can express and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _MAX_DIGITS else float("inf")


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
