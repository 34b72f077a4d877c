"""Keeping a download in the store whose digest a verified index has promised.

A bundle names everything by SHA-256. Where an index has another digest of SHA-2 only, the file is
fetched, checked against that, and its SHA-256 is computed from the very same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from bundle.base.content import Content
from bundle.base.digest import PREFIX
from bundle.base.errors import DigestMismatchError, SizeMismatchError
from bundle.base.limits import CHUNK_BYTES
from bundle.store.atomic import storage_errors
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import persistently
from bundler.sources.common.keep import keeping

LENGTHS: Final = {"sha256": 64, "sha512": 128, "sha384": 96}
"""Digests that are believed, by the length of their hexadecimal form; the most useful first."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What an index says of a file.

    Attributes:
        algorithm: Of `LENGTHS`.
        value: The digest, in hexadecimal.
        size: In bytes; None where the index does not say.
    """

    algorithm: str
    value: str
    size: int | None

    @property
    def content(self) -> Content | None:
        """The digest and size, where they name a blob."""
        if self.algorithm != "sha256" or self.size is None:
            return None
        return Content(digest=PREFIX + self.value, size=self.size)


def keep_promised(url: str, promise: Promise | None, limit: int, context: SourceContext) -> Content:
    """Fetch a file into the store, unless it is there, and return its digest and size.

    Args:
        url: Where it is.
        promise: What it must be; None where whoever asks compares the digest with a person's pin.
        limit: Most bytes that are taken, whatever is promised.
        context: What sources work with.
    Raises:
        SizeMismatchError: The server sent more or less than was promised.
        DigestMismatchError: It sent other bytes.
        TransportError: And its subclasses, when it cannot be had.
        StorageError: The disk refused.
    """
    known = None if promise is None else promise.content
    with storage_errors("read the cache"):
        if known is not None and context.store.has(known.digest, known.size):
            return known
    return persistently(lambda: _receive(url, promise, limit, context))


def _receive(url: str, promise: Promise | None, limit: int, context: SourceContext) -> Content:
    """Keep one download; no more of it is read than was promised."""
    size = None if promise is None else promise.size
    most = limit if size is None else min(limit, size)
    buffer = memoryview(bytearray(CHUNK_BYTES))
    state = hashlib.new("sha256" if promise is None else promise.algorithm)
    with keeping(context.store) as keeper, context.client.open_url(url) as stream:
        while keeper.content.size <= most and (count := stream.readinto(buffer)):
            keeper.write(buffer[:count])
            state.update(buffer[:count])
        found = keeper.content
        if found.size > most or found.size != (size or found.size):
            raise SizeMismatchError(
                f"{url}: expected {'at most ' if size is None else ''}{most} bytes, found "
                f"{'more' if found.size > most else found.size}",
                "The index that names it is older or newer, or the server is broken; try again.",
                {"expected": most, "found": found.size},
            )
        if promise is not None and state.hexdigest() != promise.value:
            raise DigestMismatchError(
                f"{url}: the repository's index says {promise.algorithm}:{promise.value}, the "
                f"server sent {promise.algorithm}:{state.hexdigest()}",
                "A mirror can do this while it updates: try again later. If it persists, do not "
                "use the repository until you know why.",
                {"expected": promise.value, "found": state.hexdigest()},
            )
    return found
