"""Reading the depot's blobs for replies: files to be sent, and small ones that are looked into."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import logging
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from bundle.base.digest import PREFIX, digest_of
from bundle.base.errors import IsowardError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES, MIB
from installer.depot.directory import DepotDirectory
from installer.depot.marks import FileIdentity, Mark, Marks
from installer.serving.http import Reply, Request, file_reply
from installer.serving.replies import broken_reply, unopened_reply

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

    def __init__(
        self,
        depot: DepotDirectory,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """Read from `depot`; the clock is in UTC."""
        self._clock = clock
        self._depot = depot
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._marks = Marks(depot)
        self._checked: dict[str, FileIdentity] = {}

    def send(self, request: Request, digest: str, size: int, headers: Mapping[str, str]) -> Reply:
        """Make a reply of a blob, or of why the disk does not give it as it must be.

        It is opened here, though the server opens it again: what cannot be opened there is a bare
        404 that nobody hears of.
        """
        path = self._depot.blob_path(digest)
        try:
            found = _size_of(path)
        except OSError as error:
            logger.error("blob %s: cannot be opened: %s", path, error.strerror)  # noqa: TRY400
            return unopened_reply(digest, error)
        if found != size:
            what = "no file" if found is None else f"{found} bytes"
            logger.error("blob %s: expected %d bytes, found %s", path, size, what)
            return broken_reply(digest)
        if self._marks.find(digest) is not None:
            logger.error("blob %s: not served, because it is damaged", path)
            return broken_reply(digest)
        return file_reply(request, path, size, digest=digest, headers=headers)

    def send_document(
        self, request: Request, digest: str, size: int, headers: Mapping[str, str]
    ) -> Reply:
        """Make a reply of a document that clients parse: an OCI manifest, an index, a signed list.

        Its bytes are checked first. Small ones are kept, and the very bytes that were checked are
        sent; of large ones it is remembered which file was checked.

        Raises:
            BlobBrokenError: It is missing or damaged.
        """
        if size > MAX_OCI_MANIFEST_BYTES:
            self._check_large(digest)
            return self.send(request, digest, size, headers)
        data = self.read(digest, size)
        made = file_reply(
            request, self._depot.blob_path(digest), size, digest=digest, headers=headers
        )
        if made.file is None:
            return made
        return replace(made, file=None, body=data[made.file.start : made.file.end])

    def _check_large(self, digest: str) -> None:
        path = self._depot.blob_path(digest)
        try:
            file = FileIdentity.of(path.stat())
            if self._checked.get(digest) == file:
                return
            with path.open("rb") as stream:
                found = f"{PREFIX}{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        except OSError as error:
            logger.error("blob %s: cannot be read: %s", path, error.strerror)  # noqa: TRY400
            raise BlobBrokenError(digest) from error
        if found != digest:
            raise self._damaged(digest)
        self._checked[digest] = file

    def _damaged(self, digest: str) -> BlobBrokenError:
        """Log and mark a blob whose bytes are others; the next pass says what it is of."""
        path = self._depot.blob_path(digest)
        logger.error("blob %s: its bytes have another digest", path)
        when = self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
        with contextlib.suppress(IsowardError, OSError):
            file = FileIdentity.of(path.lstat())
            if self._marks.find(digest) is None:
                self._marks.add(Mark(digest=digest, problem="digest", when=when, file=file))
        return BlobBrokenError(digest)

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
            logger.error("blob %s: %d bytes are too many to check", path, size)
            raise BlobBrokenError(digest)
        try:
            with path.open("rb") as file:
                data = file.read(size + 1)
        except OSError as error:
            logger.error("blob %s: cannot be read: %s", path, error.strerror)  # noqa: TRY400
            raise BlobBrokenError(digest) from error
        if digest_of(data) != digest:
            raise self._damaged(digest)
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


def _size_of(path: Path) -> int | None:
    """Open a blob for nothing but to see that it can be; return its size if it is a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return found.st_size if stat.S_ISREG(found.st_mode) else None
