"""Small content read whole into memory: configs, chart archives, repository indexes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import (
    DigestMismatchError,
    FormatError,
    SizeMismatchError,
    TransportError,
)
from bundle.base.limits import CHUNK_BYTES
from bundle.base.reference import Reference
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.common.opener import BlobStream

T = TypeVar("T")

ATTEMPTS: Final = 5
"""How often a download that breaks is begun again; opening it has its own patience."""


def persistently(receive: Callable[[], T]) -> T:
    """Return what `receive` does, which is begun again when a transfer breaks.

    Raises:
        TransportError: It broke every time.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return receive()
        except TransportError as error:
            # The subclasses are refusals, which do not change by asking again.
            if type(error) is not TransportError or attempt == ATTEMPTS:
                raise
    raise AssertionError  # the last attempt returned or raised


def read_whole(open_stream: Callable[[], BlobStream], limit: int, where: str) -> bytes:
    """Read a stream into memory, from the start again when it breaks.

    Raises:
        FormatError: It has more than `limit` bytes.
        TransportError: It broke every time.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with closing(open_stream()) as stream:
            try:
                return _read(stream, limit, where)
            except TransportError as error:
                # The subclasses are refusals, which do not change by asking again.
                if type(error) is not TransportError or attempt == ATTEMPTS:
                    raise
    raise AssertionError  # the last attempt returned or raised


def small_blob(source: ManifestSource, reference: Reference, content: Content, limit: int) -> bytes:
    """Return a small blob of a registry, checked, from the store where it is there already.

    Raises:
        IntegrityError: It has another size or digest.
        FormatError: It is larger than `limit`.
        TransportError: And its subclasses, when it cannot be had.
    """
    where = f"{reference.name}@{content.digest}"
    if content.size > limit:
        raise _too_large(where, limit)
    kept = source.store.read_bytes(content.digest, content.size)
    if kept is not None:
        return kept
    data = read_whole(lambda: source.open_blob(reference, content.digest), limit, where)
    if digest_of(data) != content.digest:
        # A mirror may have sent other bytes; the origin decides.
        data = read_whole(
            lambda: source.open_blob(reference, content.digest, mirrors=False),
            limit,
            where,
        )
    check_bytes(data, content, where)
    source.store.put_bytes(content.digest, data)
    return data


def check_bytes(data: bytes, content: Content, where: str) -> None:
    """Compare bytes with what was promised, size before digest.

    Raises:
        SizeMismatchError: The length differs.
        DigestMismatchError: The length is right, but the bytes differ.
    """
    if len(data) != content.size:
        raise SizeMismatchError(
            f"{where}: expected {content.size} bytes, found {len(data)}",
            "The source is broken, or the manifest that names it is wrong.",
            {"expected": content.size, "found": len(data)},
        )
    check_digest(digest_of(data), content.digest, where)


TYPED: Final = (
    "Compare the publisher's own checksum with the definition's, and correct the digest there if "
    "it is wrong. If it is right, do not use the server's file."
)


def check_typed(found: str, expected: str, where: str) -> None:
    """Compare a digest with the one that a person wrote into the definition.

    Args:
        found: Of what came.
        expected: The definition's.
        where: The entry and its address.
    Raises:
        DigestMismatchError: They differ.
    """
    if found != expected:
        raise DigestMismatchError(
            f"{where}: the definition says {expected}, the server sent {found}",
            TYPED,
            {"expected": expected, "found": found},
        )


def check_digest(found: str, expected: str, where: str) -> None:
    """Compare a digest with the one that was promised.

    Raises:
        DigestMismatchError: They differ.
    """
    if found != expected:
        raise DigestMismatchError(
            f"{where}: expected {expected}, found {found}",
            "The source sent other bytes than were promised; do not use it until you know why.",
            {"expected": expected, "found": found},
        )


def _read(stream: BlobStream, limit: int, where: str) -> bytes:
    data = bytearray()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while count := stream.readinto(buffer):
        data += buffer[:count]
        if len(data) > limit:
            raise _too_large(where, limit)
    return bytes(data)


def _too_large(where: str, limit: int) -> FormatError:
    return FormatError(
        f"{where}: expected at most {limit} bytes, found more", "Is it the right address?"
    )
