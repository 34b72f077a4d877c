"""Files of this machine: below the definition's folder, or in a Git repository.

No server can send them again, so a lock puts them into the cache. Another machine's build finds
them at the same place beside the lock.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bundle.base.content import Content
from bundle.base.errors import DefinitionError, IntegrityError
from bundle.base.limits import CHUNK_BYTES
from bundle.kinds.files import FileSource, LockedFile
from bundle.kinds.git import GitSource
from bundle.store.atomic import storage_errors
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import check_digest
from bundler.sources.common.keep import adopt, keeping, new_file
from bundler.sources.common.opener import BlobStream, CheckedStream, FileStream, Opener
from bundler.sources.files.git import open_commit

_CHANGED: Final = "Wait until nothing writes to it, then run the command again."
_LOCK_AGAIN: Final = (
    "It changed since it was locked: restore it, or run `isoward lock` and review the change."
)


def resolve_local_file(file: FileSource, context: SourceContext) -> LockedFile:
    """Copy a file from a folder or a Git commit into the cache, hashing it on the way.

    Raises:
        DefinitionError: It is not there, leads out of the folder, or is no regular file.
        IntegrityError: It changed while it was read, or has not the definition's digest.
        ProgramError: git failed.
        StorageError: The disk refused.
    """
    path = file.path or ""
    if file.git is not None:
        content = _keep_from_git(path, file.git, file.digest, context)
    else:
        content = _keep(path, file.digest, context)
    return LockedFile(
        digest=content.digest, size=content.size, name=file.served_name, path=path, git=file.git
    )


def local_opener(file: LockedFile, context: SourceContext) -> Opener:
    """Return how a build opens a local file that is not in the cache."""
    path, content = file.path or "", Content(digest=file.digest, size=file.size)

    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it begins again
        if file.git is not None:
            stream: BlobStream = _git_stream(path, file.git, context)
        else:
            stream = _LocalStream(context.folder, path)
        return CheckedStream(stream, content, f"file {path}", _LOCK_AGAIN)

    return opener


@contextmanager
def open_local(folder: Path, path: str, where: str = "") -> Iterator[io.FileIO]:
    """Open a regular file below a folder; a file that changes meanwhile is an error at the end.

    Args:
        folder: The definition's or the lock's.
        path: A checked inner path; links on its way may not lead out of the folder.
        where: What names the file, for messages.
    Raises:
        DefinitionError: There is no such file, or it is something else, or elsewhere.
        IntegrityError: It was written to while it was open.
        StorageError: A blob cannot be read.
    """
    with _opened(folder, path, where) as file:
        before = _state(file)
        yield file
        if _state(file) != before:
            raise IntegrityError(f"{where or path}: it changed while being read", _CHANGED)


def read_local(folder: Path, path: str, limit: int, where: str = "") -> bytes:
    """Read a regular file below a folder, and of a large one at most a byte more than `limit`.

    Raises:
        DefinitionError, IntegrityError, StorageError: As `open_local`.
    """
    with open_local(folder, path, where) as file, storage_errors(f"read {path}"):
        return file.read(limit + 1)


def _state(file: io.FileIO) -> tuple[int, int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def below(folder: Path, path: str, where: str, kind: str = "file") -> Path:
    """Return what a path below a folder leads to, through links that stay below it.

    Args:
        folder: The definition's or the lock's.
        path: A checked inner path.
        where: What names it, for messages.
        kind: What it is to be, for messages.
    Raises:
        DefinitionError: There is nothing, or a link leads elsewhere: others would not find it
            there, and what lies elsewhere on this machine is nobody else's business.
        StorageError: A blob cannot be read.
    """
    with storage_errors(f"read {path}"):
        base = folder.resolve()
        try:
            target = (base / path).resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            raise DefinitionError(
                f"{where}: no such {kind} next to the document",
                "Paths are relative to the definition's or the lock's folder. A build can "
                "only get missing files from the cache of the machine that locked them.",
            ) from None
        except RuntimeError:
            raise DefinitionError(f"{where}: a link to itself", "Correct the link.") from None
        if not target.is_relative_to(base):
            raise DefinitionError(
                f"{where}: a link leads out of the document's folder",
                "Replace the link with a copy, which others will find there too.",
            )
        return target


def _opened(folder: Path, path: str, where: str = "") -> io.FileIO:
    target = below(folder, path, where or path)
    with storage_errors(f"read {path}"):
        # Never waits for the other end of a pipe, as opening one otherwise does.
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise DefinitionError(
                f"{where or path}: expected a regular file, found something else",
                "Name a file; pack a folder into an archive first.",
            )
        return io.FileIO(descriptor, "rb")


def _keep(path: str, digest: str | None, context: SourceContext) -> Content:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with keeping(context.store) as kept, open_local(context.folder, path) as file:
        with storage_errors(f"read {path}"):
            while count := file.readinto(buffer):
                kept.write(buffer[:count])
        if digest is not None:
            check_digest(kept.content.digest, digest, path)
    return kept.content


def _keep_from_git(
    path: str, git: GitSource, digest: str | None, context: SourceContext
) -> Content:
    temporary = _copy_from_git(path, git, context)
    try:
        content = adopt(context.store, temporary)
    finally:
        temporary.unlink(missing_ok=True)
    if digest is not None:
        check_digest(content.digest, digest, f"{path} in {git.repository}")
    return content


def _copy_from_git(path: str, git: GitSource, context: SourceContext) -> Path:
    """Write a file of a commit beside the store; the caller removes it."""
    commit = open_commit(git, context)
    entry = commit.file(path)
    temporary = new_file(context.store)
    with storage_errors(f"write {temporary}"), temporary.open("w+b") as file:
        try:
            commit.copy(entry, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return temporary


def _git_stream(path: str, git: GitSource, context: SourceContext) -> FileStream:
    temporary = _copy_from_git(path, git, context)
    with storage_errors(f"read {temporary}"):
        stream = FileStream(temporary, temporary.stat().st_size)
        # Open, it needs no name any more, and so leaves nothing behind.
        temporary.unlink()
    return stream


class _LocalStream:
    """A file below a folder, as a stream."""

    start = 0

    def __init__(self, folder: Path, path: str) -> None:
        self._path = path
        self._file = _opened(folder, path)

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the front."""
        with storage_errors(f"read {self._path}"):
            return self._file.readinto(buffer)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
