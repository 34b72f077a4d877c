"""Reading and hashing files at the speed of the hash, on a few threads with small buffers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import BinaryIO, Final, TypeVar

from bundle.model.digest import PREFIX
from bundle.model.errors import DigestMismatchError, SizeMismatchError
from bundle.model.limits import CHUNK_BYTES
from bundle.store.atomic import storage_errors

T = TypeVar("T")
HASH_THREADS: Final = 2
"""Two keep one disk and two cores busy; more only contend for memory bandwidth."""

Advance = Callable[[int], None]


def hash_stream(stream: BinaryIO, size: int, digest: str, name: str, advance: Advance) -> None:
    """Read `stream` to its end and check it.

    Args:
        stream: Unbuffered, untrusted; at most `size` + 1 bytes are read.
        size: Expected, in bytes.
        digest: Expected.
        name: The file's path in the bundle, for messages.
        advance: Told of bytes as they are read.
    Raises:
        SizeMismatchError: It ended early or ran over.
        DigestMismatchError: Right length, other bytes.
        StorageError: It cannot be read.
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
    check_content(name, size, digest, seen, PREFIX + state.hexdigest())


def check_content(name: str, size: int, digest: str, found_size: int, found: str) -> None:
    """Compare what was read with what was promised, size before digest.

    Raises:
        SizeMismatchError: Another length.
        DigestMismatchError: Right length, other bytes.
    """
    if found_size != size:
        more = "more" if found_size > size else f"{found_size}"
        raise SizeMismatchError(
            f"{name}: expected {size} bytes, found {more}",
            "The file is damaged; copy it again from a good medium.",
            {"file": name, "expected": size, "found": found_size},
        )
    if found != digest:
        raise DigestMismatchError(
            f"{name}: expected {digest}, found {found}",
            "The file is damaged or was changed; copy it again from a good medium.",
            {"file": name, "expected": digest, "found": found},
        )


def run_parallel(
    work: Callable[[T], None], items: Iterable[T], threads: int, stop: Callable[[], None]
) -> None:
    """Run `work` on every item with a few threads; the first error ends it and is raised.

    Args:
        work: Called from threads.
        items: Consumed up front.
        threads: How many at a time.
        stop: Called on the first error or interrupt, so that running work can end early.
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
