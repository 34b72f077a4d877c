"""Digests: `sha256:` and 64 lower-case hexadecimal characters.

Source: OCI image-spec, descriptor.md, "Digests". Other algorithms are refused: one is enough, and
every stock tool on the auditor's machine has it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final

import msgspec

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_SAFE_INTEGER
from bundle.base.patterns import formed

PREFIX: Final = "sha256:"
_PATTERN: Final = r"^sha256:[0-9a-f]{64}$"
_LENGTH: Final = len(PREFIX) + 64
_FULL: Final = re.compile(r"sha256:[0-9a-f]{64}")

# The length is checked too, since `$` in a pattern also matches before a final newline.
Digest = Annotated[
    str,
    formed(
        _PATTERN,
        "a digest: sha256: and 64 lowercase hex digits",
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        min_length=_LENGTH,
        max_length=_LENGTH,
    ),
]
"""A digest in a document; msgspec validates it during decoding."""

Hex64 = Annotated[
    str,
    formed(
        r"^[0-9a-f]{64}$(?!\n)",
        "64 lowercase hex digits",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
]
"""A SHA-256 without its prefix: a key's id, or a root's fingerprint."""

Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_SAFE_INTEGER)]
"""A size in bytes."""


def digest_of(data: bytes) -> str:
    """Return the digest of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Return whether `text` is a digest in the only accepted form."""
    return _FULL.fullmatch(text) is not None


def parse_digest(text: str, where: str) -> str:
    """Return `text` if it is a digest.

    Args:
        text: Untrusted.
        where: What the digest belongs to, for the message.
    Raises:
        FormatError: It is not `sha256:` and 64 lower-case hexadecimal characters.
    """
    if not is_digest(text):
        raise FormatError(
            f"{where}: expected a digest sha256:<64 hex>, found {text[:100]!r}",
            "Only SHA-256 digests are accepted.",
        )
    return text


def hex_of(digest: str) -> str:
    """Return the hexadecimal part of a checked digest."""
    return digest.removeprefix(PREFIX)


def short(digest: str) -> str:
    """Return the first 12 hexadecimal characters, for display."""
    return hex_of(digest)[:12]
