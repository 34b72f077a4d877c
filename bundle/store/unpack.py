"""Unpacks a tar into a folder that it cannot leave, with any Python from 3.11 on.

Python's own filters came with 3.11.4, and Debian 12 has 3.11.2. What they refuse is refused here.

Source: PEP 706, "Filter for tarfile.extractall", the filter `data`.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from pathlib import Path, PurePosixPath
from typing import Final

_OTHERS_CANNOT_WRITE: Final = 0o755
_OWNER_CAN: Final = 0o600


def unpack_tar(tar: tarfile.TarFile, target: Path) -> None:
    """Unpack files, folders and symbolic links, without owners and special modes.

    Args:
        tar: Untrusted.
        target: An empty folder of ours.
    Raises:
        tarfile.TarError: A member leads out of the folder, or is not a file, folder or symbolic
            link; nothing was written then. Or the archive is broken.
        OSError: Writing failed.
    """
    members = tar.getmembers()
    links = {_path_of(member) for member in members if member.issym()}
    for member in members:
        _check(member, links)
    # Where Python has its own filter, that one checks too; without one it would warn.
    tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
    for member in members:
        member.mode = (member.mode & _OTHERS_CANNOT_WRITE) | _OWNER_CAN
        if member.isdir():
            member.mode = _OTHERS_CANNOT_WRITE
        member.uid, member.gid, member.uname, member.gname = os.geteuid(), os.getegid(), "", ""
    tar.extractall(target, members)  # noqa: S202 - each member was checked


def _check(member: tarfile.TarInfo, links: set[str]) -> None:
    shown = member.name[:200]
    if not (member.isreg() or member.isdir() or member.issym()):
        raise tarfile.ExtractError(f"{shown!r} is not a file, folder or symbolic link")
    path = _path_of(member)
    if _leaves(path) or "\\" in path:
        raise tarfile.ExtractError(f"{shown!r} leads out of the folder")
    above = {str(parent) for parent in PurePosixPath(path).parents}
    if above & links:
        raise tarfile.ExtractError(f"{shown!r} is below a symbolic link")
    if member.issym():
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(path), member.linkname))
        if member.linkname.startswith("/") or _leaves(aim):
            raise tarfile.ExtractError(f"{shown!r} is a link that leads out of the folder")


def _path_of(member: tarfile.TarInfo) -> str:
    # Not made absolute first: a leading slash is refused.
    return posixpath.normpath(member.name)


def _leaves(path: str) -> bool:
    return path == ".." or path.startswith(("/", "../"))
