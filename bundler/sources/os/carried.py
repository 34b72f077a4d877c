"""Files of package repositories at a build: fetched by address, or a keyring beside the lock.

A repository moves on: its signed index is replaced, and packages that were superseded are taken
away. The lock has the digest of each file, so a build never takes another one for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bundle.base.digest import digest_of
from bundle.base.errors import DigestMismatchError, NotFoundError
from bundle.base.limits import MAX_OS_INDEX_BYTES
from bundle.kinds.os_packages import LockedOs, LockedOsFile
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import read_whole
from bundler.sources.common.opener import BlobStream, Opener, WholeBytes
from bundler.sources.files.trusted_keys import keyring_opener

_MOVED: Final = (
    "The repository changed since it was locked: run `isoward lock` again, or name a snapshot "
    "of it in the definition."
)


def os_openers(packages: LockedOs, context: SourceContext) -> Iterator[tuple[str, Opener]]:
    """Yield the digest of each file of locked packages, and how to open it."""
    yield packages.keyring.digest, keyring_opener(packages.keyring, context)
    moving = {file.digest for file in packages.files} - {p.digest for p in packages.packages}
    for file in packages.files:
        made = _index(file, context) if file.digest in moving else _package(file, context)
        yield file.digest, made


def _package(file: LockedOsFile, context: SourceContext) -> Opener:
    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - mirrors are registries
        try:
            return context.client.open_url(file.url, offset)
        except NotFoundError as error:
            raise _gone(error) from error

    return opener


def _index(file: LockedOsFile, context: SourceContext) -> Opener:
    """Open an index whole, so that one that was replaced is known before any of it is kept."""

    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it is always whole
        try:
            data = read_whole(
                lambda: context.client.open_url(file.url), MAX_OS_INDEX_BYTES, file.url
            )
        except NotFoundError as error:
            raise _gone(error) from error
        found = digest_of(data)
        if found != file.digest:
            raise DigestMismatchError(
                f"{file.url}: expected {file.digest}, found {found}",
                _MOVED,
                {"expected": file.digest, "found": found},
            )
        return WholeBytes(data)

    return opener


def _gone(error: NotFoundError) -> NotFoundError:
    return NotFoundError(error.message, _MOVED, error.context)
