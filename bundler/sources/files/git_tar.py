"""A folder of a Git commit as a tar: the same bytes on every machine and with every git.

They follow from names, modes and content alone. Times are 0, owners are root, folders are not
listed, and files stand in Git's order. Git's own tar is the way to the content, which is compared
with Git's list of the tree.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

from bundle.base.content import Content
from bundle.base.errors import FormatError
from bundle.base.limits import CHUNK_BYTES
from bundle.base.paths import is_inner_path
from bundle.store.atomic import storage_errors
from bundler.sources.common.context import SourceContext
from bundler.sources.common.keep import keeping, new_file
from bundler.sources.files.git import EXECUTABLE, LINK, GitCommitReader, GitFile

_END: Final = bytes(2 * tarfile.BLOCKSIZE)


class Target(Protocol):
    """Takes the bytes of a tar."""

    def write(self, chunk: bytes, /) -> int:
        """Take the next bytes."""


def keep_tree(commit: GitCommitReader, path: str, prefix: str, context: SourceContext) -> Content:
    """Put the tar of a folder into the store.

    Args:
        commit: From `open_commit`.
        path: The folder, a checked inner path; empty for the whole tree.
        prefix: Put before every name, with its `/`; may be empty.
        context: Has the store.
    Returns:
        The tar's digest and size.
    Raises:
        DefinitionError: There is no such folder.
        FormatError: It holds what cannot be carried.
        ProgramError: git failed.
        StorageError: The disk refused.
    """
    with keeping(context.store) as kept:
        write_tree(commit, path, prefix, target=kept, context=context)
    return kept.content


def write_tree(
    commit: GitCommitReader, path: str, prefix: str, target: Target, context: SourceContext
) -> None:
    """Write the tar of a folder; see `keep_tree`."""
    files = commit.files(path)
    with _git_tar(commit, path, context) as raw:
        members, writer = _members(raw), _Writer(commit, prefix, target)
        for file in files:
            member = next(members, None)
            if member is None or not _same(member, file):
                raise _differs(commit, file.path)
            writer.add(file, member, raw)
        if next(members, None) is not None:
            raise _differs(commit, path)
    target.write(_END)


@contextmanager
def _git_tar(
    commit: GitCommitReader, path: str, context: SourceContext
) -> Iterator[tarfile.TarFile]:
    """Have git write its tar beside the store, for as long as the block lasts."""
    temporary = new_file(context.store)
    with storage_errors(f"write {temporary}"):
        try:
            with temporary.open("wb") as file:
                commit.archive(path, file)
            with _opened(commit, temporary) as raw:
                yield raw
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _opened(commit: GitCommitReader, path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, mode="r:") as raw:
            yield raw
    except tarfile.TarError as error:
        raise FormatError(
            f"{commit.name}: git's archive of it cannot be read ({error})", "Try another git."
        ) from error


def _members(raw: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in raw:
        if not member.isdir():
            yield member
        # tarfile remembers every member, which for one pass is memory for nothing.
        raw.members = []  # type: ignore[attr-defined]  # public by name, if not by its stubs


def _same(member: tarfile.TarInfo, file: GitFile) -> bool:
    """Return whether a member is what Git's list says stands there."""
    if file.mode == LINK:
        size = len(member.linkname.encode("utf-8", "surrogateescape"))
        return member.name == file.path and member.issym() and size == file.size
    return member.name == file.path and member.isreg() and member.size == file.size


class _Writer:
    """Writes the members of our tar."""

    def __init__(self, commit: GitCommitReader, prefix: str, target: Target) -> None:
        self._commit = commit
        self._prefix = prefix
        self._target = target

    def add(self, file: GitFile, member: tarfile.TarInfo, raw: tarfile.TarFile) -> None:
        """Write one file with the content that git's tar has of it."""
        header = tarfile.TarInfo(self._prefix + file.path)
        if file.mode == LINK:
            header.type, header.mode = tarfile.SYMTYPE, 0o777
            header.linkname = _inside(self._commit, file, member.linkname)
            self._write_header(header)
            return
        header.mode = 0o755 if file.mode == EXECUTABLE else 0o644
        header.size = file.size
        content = raw.extractfile(member)
        if content is None:
            raise _differs(self._commit, file.path)
        self._write_header(header)
        with content:
            self._copy(file, content)
        self._target.write(bytes(-file.size % tarfile.BLOCKSIZE))

    def _write_header(self, header: tarfile.TarInfo) -> None:
        self._target.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))

    def _copy(self, file: GitFile, content: IO[bytes]) -> None:
        first = True
        while chunk := content.read(CHUNK_BYTES):
            if first:
                self._commit.check_content(file, chunk)
            first = False
            self._target.write(chunk)


def _inside(commit: GitCommitReader, file: GitFile, link: str) -> str:
    """Return where a link leads, which must be within the folder that is carried."""
    leads_to = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), link))
    if link.startswith("/") or not (leads_to == "." or is_inner_path(leads_to)):
        raise FormatError(
            f"{commit.name}: {file.path} is a link that leads out of the folder ({link[:200]!r})",
            "Name a folder that contains the link's target.",
        )
    return link


def _differs(commit: GitCommitReader, path: str) -> FormatError:
    return FormatError(
        f"{commit.name}: git's archive and its list differ at {path!r}",
        "A setting of this machine's git may change archives; try without it.",
    )
