"""Files by URL: the definition has their digest, the lock needs their size as well.

Those without a URL are local_files' to resolve.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final

from bundle.model.digest import PREFIX
from bundle.model.errors import TransportError
from bundle.model.files import FileSource
from bundle.model.limits import CHUNK_BYTES
from bundle.model.lock import LockedFile
from bundle.model.queries import shown_url
from bundle.registry.client import RegistryClient
from bundle.store.atomic import fsync_directory, storage_errors
from bundle.store.hashing import write_all
from bundler.sources.context import SourceContext
from bundler.sources.download import ATTEMPTS, check_digest
from bundler.sources.local_files import resolve_local_file

_READ_ONLY: Final = 0o444


def resolve_file(file: FileSource, context: SourceContext) -> LockedFile:
    """Learn a file's size: from the server's word, or else by fetching it.

    The word is enough, for the build refuses a file of another size or digest.

    Raises:
        DefinitionError: A local file is not there.
        DigestMismatchError: It was fetched, and is not of the definition's digest.
        TransportError: And its subclasses, when it cannot be had.
        StorageError: The disk refused.
    """
    if file.url is None or file.digest is None:
        return resolve_local_file(file, context)
    size = context.client.url_size(file.url)
    if size is None:
        size = fetch_file(file.url, file.digest, context)
    return LockedFile(url=file.url, digest=file.digest, size=size)


def fetch_file(url: str, digest: str, context: SourceContext) -> int:
    """Fetch a file of unknown size into the store and return its size.

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
            size = _receive_all(descriptor, partial, (url, digest), context.client)
            os.fchmod(descriptor, _READ_ONLY)
            os.fsync(descriptor)
            partial.replace(final)
            fsync_directory(final.parent)
            return size
        finally:
            os.close(descriptor)


def _receive_all(
    descriptor: int, partial: Path, file: tuple[str, str], client: RegistryClient
) -> int:
    """Write a whole download, of this URL and digest, and check it."""
    url, digest = file
    for attempt in range(1, ATTEMPTS + 1):
        try:
            size, found = _receive(descriptor, url, client)
            break
        except TransportError as error:
            if type(error) is not TransportError or attempt == ATTEMPTS:
                raise
    else:
        raise AssertionError  # the last attempt returned or raised
    try:
        check_digest(found, digest, shown_url(url))
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return size


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
