"""What all of our documents have in common: frozen, camelCase, unknown fields refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from bundle.model.errors import DefinitionError

# Patterns end in `$(?!\n)`: in Python `$` alone also matches before a final newline, and `\Z`
# would mean nothing to the editors that read our JSON Schemas.

API_VERSION: Final = "isoward/v1"

Name = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$(?!\n)", max_length=63)
]
"""A name that is safe as a file name, a host label and an inventory entry."""

Version = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9A-Za-z]([0-9A-Za-z.+_-]{0,126}[0-9A-Za-z])?$(?!\n)", max_length=128
    ),
]
"""A version: semantic or not, but safe in a file name."""

Text = Annotated[str, msgspec.Meta(max_length=4096)]
"""Free text for a person."""

Url = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^https?://[^\s#?@/\\\x00-\x1f\x7f]+(/[^\s#?\\\x00-\x1f\x7f]*)?$(?!\n)",
        max_length=2048,
    ),
]
"""An http(s) address without user, query and fragment, which could carry a secret into a bundle."""


class Document(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename="camel",
    omit_defaults=True,
    kw_only=True,
):
    """Base of every structure in a document of ours."""


class Metadata(Document, frozen=True, kw_only=True):
    """The name and version of a bundle."""

    name: Name
    version: Version


def each_once(values: Iterable[str], where: str) -> None:
    """Check that nothing stands twice in a list.

    Raises:
        DefinitionError: Something does.
    """
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise DefinitionError(
                f"{where}: {value!r} stands twice", "Remove one of the two entries."
            )
        seen.add(value)
