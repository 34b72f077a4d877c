"""Reading the depot's blobs for replies: files to be sent, and small ones that are looked into."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bundle.model.digest import digest_of
from bundle.model.limits import MAX_OCI_MANIFEST_BYTES, MIB
from installer.depot.directory import DepotDirectory
from installer.depot.http import Reply, Request, file_reply, text_reply

logger = logging.getLogger("isoward.depot")

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""For what is asked for by its digest."""
REVALIDATE: Final = "no-cache"
"""For what is asked for by a name, which a later bundle may give to other content."""
_CACHE_BYTES: Final = 16 * MIB
"""Manifests and chart metadata that were looked into; most have a few KiB."""


class BlobBrokenError(Exception):
    """A blob of the depot is missing or is not what it must be; the log says which and how."""


class BlobReader:
    """The blobs of one depot."""

    def __init__(self, depot: DepotDirectory) -> None:
        """Read from `depot`."""
        self._depot = depot
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0

    def send(self, request: Request, digest: str, size: int, headers: Mapping[str, str]) -> Reply:
        """Make a reply of a blob, or a 500 if the disk does not have it as it must be."""
        path = self._depot.blob_path(digest)
        try:
            found = path.stat().st_size
        except OSError as error:
            logger.error("blob %s: cannot be read: %s", path, error.strerror)  # noqa: TRY400
            return _broken(digest)
        if found != size:
            logger.error("blob %s: expected %d bytes, found %d", path, size, found)
            return _broken(digest)
        return file_reply(request, path, size, digest, headers)

    def read(self, digest: str, size: int) -> bytes:
        """Read a small blob, checking its digest again.

        Raises:
            BlobBrokenError: Missing, damaged, or larger than a manifest may be.
        """
        if digest in self._cache:
            self._cache.move_to_end(digest)
            return self._cache[digest]
        path = self._depot.blob_path(digest)
        if size > MAX_OCI_MANIFEST_BYTES:
            logger.error("blob %s: %d bytes are too many to look into", path, size)
            raise BlobBrokenError(digest)
        try:
            with path.open("rb") as file:
                data = file.read(size + 1)
        except OSError as error:
            logger.error("blob %s: cannot be read: %s", path, error.strerror)  # noqa: TRY400
            raise BlobBrokenError(digest) from error
        if digest_of(data) != digest:
            logger.error("blob %s: its bytes have another digest", path)
            raise BlobBrokenError(digest)
        self._remember(digest, data)
        return data

    def read_json(self, digest: str, size: int) -> dict[str, Any]:
        """Read a small blob that holds a JSON object.

        Raises:
            BlobBrokenError: As `read`, or it holds something else.
        """
        try:
            value = msgspec.json.decode(self.read(digest, size))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            logger.error("blob %s: not JSON: %s", digest, error)  # noqa: TRY400
            raise BlobBrokenError(digest) from error
        if not isinstance(value, dict):
            logger.error("blob %s: expected a JSON object", digest)
            raise BlobBrokenError(digest)
        return value

    def _remember(self, digest: str, data: bytes) -> None:
        self._cache[digest] = data
        self._cached += len(data)
        while self._cached > _CACHE_BYTES:
            _, dropped = self._cache.popitem(last=False)
            self._cached -= len(dropped)


def _broken(digest: str) -> Reply:
    return text_reply(500, f"{digest}: the depot's copy is damaged; its log says how\n")
