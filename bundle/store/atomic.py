"""Files that exist either completely or not at all, even after a power failure."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bundle.base.errors import BusyError, NoSpaceError, StorageError, UsageError

LOCK_NAME: Final = ".lock"
"""What `directory_lock` leaves in a folder."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_SECOND_NAMES: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""How FAT, exFAT and some network file systems reject a hard link."""
_OTHERS: Final = 0o077


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` to `path`: temporary file, fsync, rename, fsync of the directory.

    Raises:
        StorageError: The write failed, or the file would be readable by others despite `mode`;
            `path` is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    with storage_errors(f"write {path}"):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                # The process's umask removed bits from the mode passed to os.open.
                os.fchmod(file.fileno(), mode)
                require_private(path, file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        fsync_directory(path.parent)


def require_private(path: Path, descriptor: int, mode: int) -> None:
    """Check that a private file really is private, before anything is written to it.

    FAT and some network file systems silently ignore modes.

    Args:
        path: For messages.
        descriptor: Of the file, after its mode was set.
        mode: As requested; nothing is checked if others may read it.
    Raises:
        StorageError: Others can read or write the file.
    """
    found = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if not mode & _OTHERS and found & _OTHERS:
        raise StorageError(
            f"{path}: expected the mode {mode:04o}, found {found:04o}: this file system has no "
            "modes, so anyone could read the secret",
            "Use a file system that supports modes, such as ext4, or one that is mounted for "
            "you alone (for FAT: the options uid= and umask=0077).",
        )


def require_new(path: Path) -> None:
    """Check that nothing is at `path`.

    Raises:
        UsageError: Something is there.
    """
    if os.path.lexists(path):
        raise UsageError(
            f"{path}: already exists and is not overwritten", "Choose another file name."
        )


def write_new(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a complete file, like `write_atomic`, but only if `path` does not exist yet.

    Raises:
        UsageError: `path` exists; it is unchanged.
        StorageError: The write failed; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        write_atomic(temporary, data, mode)
        with storage_errors(f"write {path}"):
            try:
                _name_new(path, temporary)
            except FileExistsError:
                require_new(path)
                raise
    finally:
        temporary.unlink(missing_ok=True)
    with storage_errors(f"write {path}"):
        fsync_directory(path.parent)


def _name_new(path: Path, temporary: Path) -> None:
    """Give a complete file its final name, which must be free."""
    try:
        # Unlike a rename, a hard link never replaces a file.
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_SECOND_NAMES:
            raise
        # Sticks mostly use FAT. Whoever creates the empty file owns the name and renames over it.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def make_directory(directory: Path, mode: int = 0o755) -> None:
    """Make a directory and its missing parents, so that all of them survive a power failure.

    Args:
        directory: Left unchanged if it exists.
        mode: Of each new directory, whatever the umask.

    Raises:
        StorageError: A directory could not be made.
    """
    with storage_errors(f"create {directory}"):
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        for path in reversed(missing):
            try:
                # Private at first: nobody gets in before it has its final mode.
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue  # Another process was faster.
            path.chmod(mode)
            fsync_directory(path.parent)
        if not directory.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(directory))


def fsync_directory(directory: Path) -> None:
    """Make renames and new names in `directory` survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def directory_lock(directory: Path) -> Iterator[None]:
    """Hold `directory` for this process alone; the lock ends with the process, however it ends.

    Raises:
        BusyError: Another process holds it.
    """
    with storage_errors(f"lock {directory}"):
        make_directory(directory)
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with _held(descriptor, directory):
        yield


@contextlib.contextmanager
def locked_folder(directory: Path) -> Iterator[None]:
    """Lock a folder like `directory_lock`, but without a lock file: a bundle must not contain one.

    Raises:
        BusyError: Another process holds it.
    """
    with storage_errors(f"lock {directory}"):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with _held(descriptor, directory):
        yield


@contextlib.contextmanager
def _held(descriptor: int, directory: Path) -> Iterator[None]:
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                f"{directory} is in use by another isoward process",
                "Wait until it has finished, then run this command again.",
            ) from error
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn OSError into StorageError, or NoSpaceError when the disk is full.

    Args:
        what: What was being done, such as `write /x/y`, for the message.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise NoSpaceError(
                f"cannot {what}: {reason}", "Free some space and run the command again."
            ) from error
        raise StorageError(
            f"cannot {what}: {reason}", "Check the path, its permissions and the disk."
        ) from error


def remove_stale_temporaries(directory: Path) -> None:
    """Remove what `write_atomic` left when its process was killed; call it under the lock only."""
    with storage_errors(f"clean {directory}"):
        for path in directory.glob(".*.tmp"):
            path.unlink(missing_ok=True)
