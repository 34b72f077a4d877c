"""Keeping a download in the store whose digest and size a verified index has promised."""

from __future__ import annotations

from pathlib import Path

from bundle.model.errors import SizeMismatchError, TransportError
from bundle.model.limits import CHUNK_BYTES
from bundle.model.lock import Content
from bundle.store.atomic import storage_errors
from bundler.sources.context import SourceContext
from bundler.sources.download import ATTEMPTS, check_digest
from bundler.sources.keep import keeping


def keep_url(url: str, content: Content, context: SourceContext) -> Path:
    """Fetch a file into the store, unless it is there, and return where it is.

    Raises:
        SizeMismatchError: The server sent more or less than was promised.
        DigestMismatchError: It sent other bytes.
        TransportError: And its subclasses, when it cannot be had.
        StorageError: The disk refused.
    """
    with storage_errors("look into the cache"):
        there = context.store.has(content.digest, content.size)
    for attempt in range(1, ATTEMPTS + 1):
        if there:
            break
        try:
            _receive(url, content, context)
        except TransportError as error:
            # The subclasses are refusals, which do not change by asking again.
            if type(error) is not TransportError or attempt == ATTEMPTS:
                raise
        else:
            break
    return context.store.blob_path(content.digest)


def _receive(url: str, content: Content, context: SourceContext) -> None:
    """Keep one download; no more of it is read than was promised."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with keeping(context.store) as keeper, context.client.open_url(url) as stream:
        while keeper.content.size <= content.size and (count := stream.readinto(buffer)):
            keeper.write(buffer[:count])
        found = keeper.content
        if found.size != content.size:
            raise SizeMismatchError(
                f"{url}: expected {content.size} bytes, found "
                f"{'more' if found.size > content.size else found.size}",
                "The index that names it is of another time, or the server is broken; try again.",
                {"expected": content.size, "found": found.size},
            )
        check_digest(found.digest, content.digest, url)
