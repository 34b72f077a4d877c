"""Files by URL: the definition has their digest, the lock needs their size as well.

Those without a URL are local_files' to resolve.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import Final

from bundle.base.digest import PREFIX
from bundle.base.limits import CHUNK_BYTES
from bundle.base.queries import shown_url
from bundle.kinds.files import FileSource, LockedFile
from bundle.store.atomic import fsync_directory, storage_errors
from bundle.store.hashing import write_all
from bundler.registry.client import RegistryClient
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import check_digest, check_typed, persistently
from bundler.sources.files.local import resolve_local_file

_READ_ONLY: Final = 0o444


def resolve_file(file: FileSource, context: SourceContext, place: str = "") -> LockedFile:
    """Learn a file's size.

    A file whose digest a person typed is fetched, unless the cache has it: a wrong digest would
    otherwise be found by the build, long after the review. Where a list of upstream has the
    digest, the server's word on the size is enough, for the build refuses other bytes.

    Args:
        file: Its origin.
        context: What sources work with.
        place: In the definition, such as `files[2]`; empty when no person typed its digest.
    Raises:
        DefinitionError: A local file is not there.
        DigestMismatchError: It was fetched, and is not of the definition's digest.
        TransportError: And its subclasses, when it cannot be had.
        StorageError: The disk refused.
    """
    if file.url is None or file.digest is None:
        return resolve_local_file(file, context)
    size = None if place else context.client.url_size(file.url)
    if size is None:
        size = fetch_file(file.url, file.digest, context, place)
    return LockedFile(url=file.url, digest=file.digest, size=size)


def fetch_file(url: str, digest: str, context: SourceContext, place: str = "") -> int:
    """Fetch a file of unknown size into the store and return its size.

    Args:
        url: Where it is; what lets us in may stand in it.
        digest: What it must have.
        context: What sources work with.
        place: In the definition, if a person typed the digest.
    Raises:
        DigestMismatchError: It is not of the digest.
        TransportError: And its subclasses, when it cannot be had.
        StorageError: The disk refused.
    """
    partial, final = context.store.partial_path(digest), context.store.blob_path(digest)
    with storage_errors(f"write {partial}"):
        if final.exists():
            return final.lstat().st_size
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # The same lock that a build takes; whoever comes second finds the finished file.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if final.exists():
                return final.lstat().st_size
            size, found = persistently(lambda: _receive(descriptor, url, context.client))
            try:
                if place:
                    check_typed(found, digest, f"{place} {shown_url(url)}")
                else:
                    check_digest(found, digest, shown_url(url))
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            os.fchmod(descriptor, _READ_ONLY)
            os.fsync(descriptor)
            partial.replace(final)
            fsync_directory(final.parent)
            return size
        finally:
            os.close(descriptor)


def _receive(descriptor: int, url: str, client: RegistryClient) -> tuple[int, str]:
    """Write one download from its start and return its size and digest."""
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    state = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    size = 0
    with client.open_url(url) as stream:
        while count := stream.readinto(buffer):
            state.update(buffer[:count])
            write_all(descriptor, buffer[:count])
            size += count
    return size, PREFIX + state.hexdigest()
