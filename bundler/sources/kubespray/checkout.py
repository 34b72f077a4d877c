"""Kubespray's tree, from Git, an archive or a folder, as one tar that is always the same.

The tar has what Git would have: files, whether each is executable, and links that stay within.
Times and owners are fixed, names sorted. It is made in memory, under a limit: a release is 7 MiB.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import posixpath
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.limits import MAX_KUBESPRAY_BYTES, MAX_KUBESPRAY_FILES
from bundle.base.paths import is_inner_path
from bundle.kinds.git import GitSource
from bundle.kinds.kubespray import KubesprayArchive, KubesprayContent, KubespraySource
from bundle.store.atomic import storage_errors
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import check_typed, read_whole
from bundler.sources.files.git import open_commit
from bundler.sources.files.git_tar import write_tree

_PLAIN: Final = 0o644
_EXECUTABLE: Final = 0o755
_LINK: Final = 0o777
_GIT: Final = ".git"
_GZIP: Final = b"\x1f\x8b"
_XZ: Final = b"\xfd7zXZ\x00"


@dataclass(frozen=True, slots=True)
class Member:
    """A file or a link of a tree.

    Attributes:
        data: A file's content; empty for a link.
        executable: Whether a file may be run.
        link: Where a link leads; empty for a file.
    """

    data: bytes
    executable: bool = False
    link: str = ""


class Tree:
    """A tree in memory, and its tar."""

    def __init__(self, members: Mapping[str, Member], where: str) -> None:
        """Take members by their paths.

        Raises:
            FormatError: A name or a link leads out of the tree, or there are too many bytes.
        """
        self.where = where
        self._members = dict(sorted(members.items(), key=lambda item: item[0].encode()))
        for path, member in self._members.items():
            _check_member(path, member, where)
        self.tar = _tar(self._members)
        self.digest = digest_of(self.tar)

    def read(self, path: str) -> bytes | None:
        """Return a file's content; None when there is no such file."""
        member = self._members.get(path)
        return None if member is None or member.link else member.data

    def require(self, path: str) -> bytes:
        """Return the content of a file that every Kubespray has.

        Raises:
            FormatError: There is none.
        """
        data = self.read(path)
        if data is None:
            raise FormatError(
                f"{self.where}: expected a Kubespray with {path}, found none",
                "Is it the complete tree of a Kubespray release?",
            )
        return data

    def below(self, folder: str) -> Iterator[tuple[str, bytes]]:
        """Yield the files below a folder, each with its path in the tree."""
        for path, member in self._members.items():
            if path.startswith(f"{folder}/") and not member.link:
                yield path, member.data


def open_tree(source: KubespraySource | KubesprayContent, context: SourceContext) -> Tree:
    """Read a tree from where the definition or the lock says.

    Raises:
        DefinitionError: There is no such folder.
        FormatError: It cannot be carried.
        IntegrityError: An archive is not of its digest.
        ProgramError: git failed.
        TransportError: And its subclasses, when an archive cannot be had.
    """
    if source.git is not None:
        return _from_git(source.git, context)
    if source.archive is not None:
        return _from_archive(source.archive, context)
    return _from_folder(context.folder, str(source.path))


def _from_git(source: GitSource, context: SourceContext) -> Tree:
    reader = open_commit(source, context)
    if sum(file.size for file in reader.files()) > MAX_KUBESPRAY_BYTES:
        raise _too_large(reader.name)
    tar = io.BytesIO()
    write_tree(reader, "", "", target=tar, context=context)
    return Tree(_members(tar.getvalue(), reader.name), reader.name)


def _from_archive(source: KubesprayArchive, context: SourceContext) -> Tree:
    data = read_whole(lambda: context.client.open_url(source.url), MAX_KUBESPRAY_BYTES, source.url)
    check_typed(digest_of(data), source.digest, f"kubespray.archive {source.url}")
    members = _members(_unpacked(data, source.url), source.url)
    tops = {path.partition("/")[0] for path in members}
    if len(tops) == 1 and all("/" in path for path in members):
        # Releases are packed with one folder at the top, which is named after the release.
        members = {path.partition("/")[2]: member for path, member in members.items()}
    return Tree(members, source.url)


def _unpacked(data: bytes, where: str) -> bytes:
    """Return the tar within an archive, whatever compressed it."""
    packed = io.BytesIO(data)
    try:
        if data.startswith(_GZIP):
            with gzip.GzipFile(fileobj=packed) as unzipped:
                unpacked = unzipped.read(MAX_KUBESPRAY_BYTES + 1)
        elif data.startswith(_XZ):
            with lzma.LZMAFile(packed) as unzipped:
                unpacked = unzipped.read(MAX_KUBESPRAY_BYTES + 1)
        else:
            unpacked = data
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise FormatError(
            f"{where}: it cannot be decompressed: {error}", "Expected a .tar, .tar.gz or .tar.xz."
        ) from error
    if len(unpacked) > MAX_KUBESPRAY_BYTES:
        raise _too_large(where)
    return unpacked


def _members(data: bytes, where: str) -> dict[str, Member]:
    """Read a tar."""
    members: dict[str, Member] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for info in archive:
                if info.isdir():
                    continue
                if len(members) == MAX_KUBESPRAY_FILES or info.name in members:
                    raise FormatError(
                        f"{where}: duplicate {info.name[:200]!r}, or there are more than "
                        f"{MAX_KUBESPRAY_FILES} files",
                        "Is it a release of Kubespray?",
                    )
                members[info.name.removeprefix("./")] = _member(archive, info, where)
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise FormatError(
            f"{where}: it is not a tar: {error}", "Expected a .tar, .tar.gz or .tar.xz."
        ) from error
    return members


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo, where: str) -> Member:
    if info.issym():
        return Member(b"", link=info.linkname)
    file = archive.extractfile(info) if info.isreg() and not info.issparse() else None
    if file is None:
        raise FormatError(
            f"{where}: {info.name[:200]!r} is neither a file nor a symbolic link",
            "Is it a release of Kubespray?",
        )
    return Member(file.read(), executable=bool(info.mode & 0o100))


def _from_folder(base: Path, name: str) -> Tree:
    """Read a folder below another one, without the .git of a work tree."""
    folder = base / name
    members: dict[str, Member] = {}
    size = 0
    if not folder.is_dir() or not folder.resolve().is_relative_to(base.resolve()):
        raise DefinitionError(
            f"kubespray.path: expected a folder {name!r} below the document's, found none",
            "Paths are relative to the definition's or the lock's folder.",
        )
    with storage_errors(f"read {name}"):
        for path in _walk(folder):
            inside = path.relative_to(folder).as_posix()
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                members[inside] = Member(b"", link=str(path.readlink()))
                continue
            size += status.st_size
            if not stat.S_ISREG(status.st_mode) or size > MAX_KUBESPRAY_BYTES:
                raise FormatError(
                    f"{name}: {inside!r} is not a file, or there are more than "
                    f"{MAX_KUBESPRAY_BYTES} bytes",
                    "Is it the tree of a release?",
                )
            members[inside] = Member(path.read_bytes(), bool(status.st_mode & 0o100))
            if len(members) > MAX_KUBESPRAY_FILES:
                raise _too_large(name)
    return Tree(members, name)


def _walk(folder: Path) -> Iterator[Path]:
    for top, folders, files in os.walk(folder, onerror=_refuse):
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        folders[:] = [name for name in folders if name != _GIT]
        yield from (Path(top) / name for name in (*links, *files) if name != _GIT)


def _refuse(error: OSError) -> None:
    raise error


def _check_member(path: str, member: Member, where: str) -> None:
    target = member.link
    leads = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
    if not is_inner_path(path) or not is_inner_path(leads) or target.startswith("/"):
        raise FormatError(
            f"{where}: {path[:200]!r} leads out of the tree"
            + (f", to {target[:200]!r}" if target else ""),
            "Is it a release of Kubespray?",
        )


def _tar(members: Mapping[str, Member]) -> bytes:
    """Write the tar; it is the one that `git_tar` makes of the commit of a release."""
    parts: list[bytes] = []
    for path, member in members.items():
        info = tarfile.TarInfo(path)
        info.mode = _EXECUTABLE if member.executable else _PLAIN
        info.size = len(member.data)
        if member.link:
            info.type, info.mode, info.linkname = tarfile.SYMTYPE, _LINK, member.link
        parts += [info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"), member.data]
        parts.append(bytes(-len(member.data) % tarfile.BLOCKSIZE))
    return b"".join((*parts, bytes(2 * tarfile.BLOCKSIZE)))


def _too_large(where: str) -> FormatError:
    return FormatError(
        f"{where}: expected at most {MAX_KUBESPRAY_BYTES} bytes and {MAX_KUBESPRAY_FILES} files, "
        "found more",
        "Is it a release of Kubespray?",
    )
