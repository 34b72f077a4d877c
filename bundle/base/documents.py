"""What all our documents share: frozen, camelCase, unknown fields refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from bundle.base.errors import DefinitionError
from bundle.base.patterns import formed
from bundle.base.plain import UNSEEN, UNSEEN_IN_BLOCK

API_VERSION: Final = "isoward/v1"

Name = Annotated[
    str,
    formed(
        r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$(?!\n)",
        "lowercase letters and digits, with '-' and '.' allowed in between, at most 63 characters",
        "st-example",
        max_length=63,
    ),
]
"""A name that is safe as a file name, a host label and an inventory entry."""

Version = Annotated[
    str,
    formed(
        r"^[0-9A-Za-z]([0-9A-Za-z.+_-]{0,126}[0-9A-Za-z])?$(?!\n)",
        "a version: letters and digits, with '.', '+', '_' and '-' allowed in between",
        "1.0.0",
        max_length=128,
    ),
]
"""A version, semantic or not, that is safe in a file name."""


def line(max_length: int = 4096, min_length: int | None = None) -> msgspec.Meta:
    """Return the constraint of free text: one line without invisible characters."""
    return formed(
        rf"^[^{UNSEEN}]*$(?!\n)",
        "one line of text, without line breaks, control characters or invisible ones",
        "A reason in words",
        min_length=min_length,
        max_length=max_length,
    )


def block(max_length: int, min_length: int | None = None) -> msgspec.Meta:
    """Return the constraint of text with several lines, such as a key in PEM."""
    return formed(
        rf"^[^{UNSEEN_IN_BLOCK}]*$(?!\n)",
        "text without control characters or invisible ones",
        "-----BEGIN PUBLIC KEY-----",
        min_length=min_length,
        max_length=max_length,
    )


Text = Annotated[str, line()]
"""Free text for people, or a name that is checked elsewhere."""

Url = Annotated[
    str,
    formed(
        r"^https?://[^\s#?@/\\\x00-\x1f\x7f]+(/[^\s#?\\\x00-\x1f\x7f]*)?$(?!\n)",
        "an address that begins with http:// or https://, without a user name, '?' or '#'",
        "https://example.org/path",
        max_length=2048,
    ),
]
"""An http(s) address without user, query and fragment, which could carry a secret into a bundle."""

QueriedUrl = Annotated[
    str,
    formed(
        r"^https?://[^\s#?@/\\\x00-\x1f\x7f]+(/[^\s#?\\\x00-\x1f\x7f]*)?"
        r"(\?[A-Za-z0-9._~!$&'()*+,;=:@/?%-]*)?$(?!\n)",
        "an address that begins with http:// or https://, without a user name or '#'",
        "https://example.org/path?ref=main",
        max_length=2048,
    ),
]
"""An address from a publisher, whose query holds no secret (see `queries`)."""


class Document(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
    kw_only=True,
):
    """Base class of every structure in our documents."""


class Metadata(Document, frozen=True, kw_only=True):
    """The name and version of a bundle."""

    name: Name
    version: Version


def each_once(values: Iterable[str], where: str) -> None:
    """Check that a list has no duplicates.

    Raises:
        DefinitionError: It has one.
    """
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise DefinitionError(f"{where}: duplicate {value!r}", "Remove one of the two entries.")
        seen.add(value)
