"""What every kind of content comes down to: bytes with a digest, a size and a media type."""

from __future__ import annotations

from typing import Annotated

from bundle.base.digest import Digest, Size
from bundle.base.documents import Document
from bundle.base.patterns import formed

MediaType = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$(?!\n)",
        "a media type",
        "application/json",
        max_length=255,
    ),
]


class Content(Document, frozen=True, kw_only=True):
    """Bytes, identified by digest and size."""

    digest: Digest
    size: Size
