"""Folders and files in memory: what must never reach a disk, not even for a moment."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from bundle.base.errors import StorageError
from bundle.store.atomic import storage_errors
from installer.ansible_run.text import ansible_variables

_SHARED: Final = Path("/dev/shm")  # noqa: S108 - memory, in a folder of our own
_NAME: Final = re.compile(r"isoward-([0-9]+)-([0-9]+)-.*")


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Give an empty folder in memory, gone after the block.

    One that a killed process left is removed as well.

    Raises:
        StorageError: This machine has no such memory, or it is full.
    """
    if not os.path.ismount(_SHARED):
        raise StorageError(
            f"expected a memory-backed file system at {_SHARED}, found none",
            f"Mount one: `mount -t tmpfs tmpfs {_SHARED}`.",
        )
    _remove_left()
    pid = os.getpid()
    with storage_errors(f"create a folder in {_SHARED}"):
        folder = Path(mkdtemp(prefix=f"isoward-{pid}-{started(pid)}-", dir=_SHARED))
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def write_variables(folder: Path, variables: Mapping[str, Any]) -> Path:
    """Write variables for Ansible into a folder in memory, for ourselves alone, as data.

    Raises:
        StorageError: The memory is full.
    """
    path = folder / "variables.yml"
    with storage_errors(f"write {path}"):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(ansible_variables(variables).encode())
    return path


def started(pid: int) -> int:
    """Return when a process started, in ticks since the machine did; 0 when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    # The program's name is in brackets and may have any character.
    return int(text.rpartition(")")[2].split()[19])


def _remove_left() -> None:
    for path in _SHARED.glob("isoward-*"):
        found = _NAME.fullmatch(path.name)
        if found is None or not _is_ours(path):
            continue
        if started(int(found[1])) != int(found[2]) and _is_left(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(path: Path) -> bool:
    try:
        return path.lstat().st_uid == os.geteuid() and not path.is_symlink()
    except FileNotFoundError:
        # Another run was as quick to end it.
        return False


def _is_left(path: Path) -> bool:
    """Say whether nobody holds a folder; a process in another container has no id that we see."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
