"""Reading and hashing files as fast as the hash allows, on a few threads with small buffers."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import BinaryIO, Final, TypeVar

from bundle.base.content import Content
from bundle.base.digest import PREFIX
from bundle.base.errors import DigestMismatchError, SizeMismatchError
from bundle.base.limits import CHUNK_BYTES
from bundle.store.advice import CHANGED, DAMAGED
from bundle.store.atomic import storage_errors

T = TypeVar("T")
HASH_THREADS: Final = 2
"""Two keep one disk and two cores busy; more only contend for memory bandwidth."""


class StoppedError(Exception):
    """Another thread failed, so this result is no longer needed; never seen by a user."""


Advance = Callable[[int], None]


def hash_stream(stream: BinaryIO, size: int, digest: str, name: str, advance: Advance) -> None:
    """Read `stream` to its end and check it.

    Args:
        stream: Unbuffered, untrusted; at most `size` + 1 bytes are read.
        size: Expected, in bytes.
        digest: Expected.
        name: The file's path in the bundle, for messages.
        advance: Receives byte counts while reading.
    Raises:
        SizeMismatchError: It ended early or ran over.
        DigestMismatchError: The length is right, but the bytes differ.
        StorageError: A blob cannot be read.
    """
    state = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    seen = 0
    with storage_errors(f"read {name}"):
        while count := stream.readinto(buffer):  # type: ignore[attr-defined]  # raw files have it
            seen += count
            if seen > size:
                break
            state.update(buffer[:count])
            advance(count)
    check_content(name, size, digest, found_size=seen, found=PREFIX + state.hexdigest())


def copy_hashed(source: Path, target: Path, content: Content, name: str, advance: Advance) -> None:
    """Copy a file in one pass, hashing what is written; `target` is synced.

    Args:
        source: Untrusted; opened without following a link.
        target: Overwritten; removed again if the content is wrong.
        content: Expected digest and size.
        name: For messages.
        advance: Receives byte counts.

    Raises:
        IntegrityError: The content differs from what is expected.
        StorageError: Reading or writing failed.
    """
    with storage_errors(f"copy {name}"):
        read_only = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(read_only, "rb", buffering=0) as stream:
            try:
                copy_stream(stream, target, content, name=name, advance=advance)
            except BaseException:
                target.unlink(missing_ok=True)
                raise


def copy_stream(
    stream: BinaryIO, target: Path, content: Content, name: str, advance: Advance
) -> None:
    """Write `stream` to `target` and check it like `copy_hashed`; a failure leaves `target`."""
    state = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    seen = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(target, flags, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        while count := stream.readinto(buffer):  # type: ignore[attr-defined]  # raw files have it
            seen += count
            if seen > content.size:
                break
            chunk = buffer[:count]
            state.update(chunk)
            write_all(file.fileno(), chunk)
            advance(count)
        check_content(
            name, content.size, content.digest, found_size=seen, found=PREFIX + state.hexdigest()
        )
        os.fsync(file.fileno())


def write_all(descriptor: int, chunk: memoryview) -> None:
    """Write a complete chunk, however many calls that takes."""
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]


def check_content(name: str, size: int, digest: str, found_size: int, found: str) -> None:
    """Compare what was read with what was promised, size before digest.

    Raises:
        SizeMismatchError: The length differs.
        DigestMismatchError: The length is right, but the bytes differ.
    """
    if found_size != size:
        more = "more" if found_size > size else f"{found_size}"
        raise SizeMismatchError(
            f"{name}: expected {size} bytes, found {more}",
            DAMAGED,
            {"file": name, "expected": size, "found": found_size},
        )
    if found != digest:
        raise DigestMismatchError(
            f"{name}: expected {digest}, found {found}",
            CHANGED,
            {"file": name, "expected": digest, "found": found},
        )


def until(stopped: Event, advance: Callable[[int], object]) -> Callable[[int], None]:
    """Return `advance` for work that ends with a StoppedError once `stopped` is set."""

    def checked(count: int) -> None:
        if stopped.is_set():
            raise StoppedError
        advance(count)

    return checked


def run_parallel(
    work: Callable[[T], None], items: Iterable[T], threads: int, stop: Callable[[], None]
) -> None:
    """Run `work` on every item with a few threads; the first error stops it and is raised.

    Args:
        work: Called from threads.
        items: Consumed up front.
        threads: How many at a time.
        stop: Called on the first error or interrupt, so that running work can stop early.
    """
    with ThreadPoolExecutor(max_workers=threads) as pool:
        futures: list[Future[None]] = [pool.submit(work, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            stop()
            for future in futures:
                future.cancel()
            raise
