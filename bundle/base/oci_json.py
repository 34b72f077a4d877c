"""The JSON of OCI documents, read as containerd and all other programs in Go read it.

Every publisher's document was accepted by a reader in Go, so ours takes what that one takes: null
for what is not there, fields that nobody knows, numbers of any length in these. Where readers part
it is strict, for the bytes are signed and not their meaning: a field that decides may not stand
twice with two values, nor under a name in another case, which Go would take and others would not.

Source: Go, "encoding/json", Unmarshal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

_MAX_DIGITS: Final = 20
"""Of the numbers that matter; of longer ones nobody reads the value."""


class UnreadableError(Exception):
    """Why something cannot be read; the caller knows where it is."""


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys as they stand, also those that stand twice."""


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
    """Return the known fields of a manifest or an index; those that are null are not there.

    What is within `config`, `subject` and the lists is left for `read_descriptor`.

    Raises:
        UnreadableError: It is not JSON, no object, or means two things.
    """
    found = _fields(_decode(data), _DOCUMENT)
    if "annotations" in found:
        found["annotations"] = _texts(found["annotations"])
    return found


def read_descriptor(value: Any) -> dict[str, Any]:
    """Return the known fields of a descriptor, in the form that msgspec converts.

    Raises:
        UnreadableError: It is no object, or means two things.
    """
    found = _fields(value, _DESCRIPTOR)
    if "annotations" in found:
        found["annotations"] = _texts(found["annotations"])
    if "platform" in found:
        found["platform"] = _fields(found["platform"], _PLATFORM)
    return found


def digests_in(value: Any) -> list[str]:
    """Return every text that any reader may take for the digest of a descriptor."""
    pairs = value if isinstance(value, _Pairs) else ()
    return [item for key, item in pairs if key.casefold() == "digest" and isinstance(item, str)]


def read_platform(data: bytes) -> tuple[str, str, str]:
    """Return the os, the architecture and the variant of an image's config.

    What is not there is empty; a key in another case is the one that it means.

    Raises:
        UnreadableError: It is not JSON, no object, or one of them is no text.
    """
    value = _decode(data)
    if not isinstance(value, _Pairs):
        raise UnreadableError("it is no object")
    found = {key.casefold(): item for key, item in value if item is not None}
    system, architecture, variant = (found.get(name, "") for name in _PLATFORM)
    if not all(isinstance(part, str) for part in (system, architecture, variant)):
        raise UnreadableError("its os or architecture is no text")
    return _plain(system), _plain(architecture), _plain(variant)


def _decode(data: bytes) -> Any:
    try:
        # As Go does, bytes that are not UTF-8 become a sign for that; digests and types have none.
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
            raise UnreadableError(f"a key stands twice: {name!r}")
        if item is not None:
            found[name] = _plain(item) if isinstance(item, str) else item
    other = next((key for name, key in stood.items() if key != name), None)
    if other is not None:
        raise UnreadableError(
            f"expected the key {known[other.casefold()]!r}, found {other[:100]!r}"
        )
    return found


def _texts(value: Any) -> Mapping[str, str]:
    """Read annotations, of which one may be a signature: none has two values; null is empty."""
    if not isinstance(value, _Pairs):
        raise UnreadableError("annotations: expected an object of texts")
    made: dict[str, str] = {}
    for key, item in value:
        text = "" if item is None else item
        if not isinstance(text, str):
            raise UnreadableError("annotations: expected texts")
        if made.setdefault(_plain(key), _plain(text)) != _plain(text):
            raise UnreadableError("annotations: a key stands twice")
    return made


def _plain(text: str) -> str:
    """Replace halves of a character, which JSON can say and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _MAX_DIGITS else float("inf")


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
