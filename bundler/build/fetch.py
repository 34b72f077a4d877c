"""One blob from its origin to a file: hashed while it arrives, written once, resumed when cut."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bundle.base.content import Content
from bundle.base.digest import PREFIX
from bundle.base.errors import IntegrityError, SizeMismatchError, TransportError
from bundle.base.limits import CHUNK_BYTES, MIN_BYTES_PER_TRY
from bundle.store.atomic import fsync_directory, storage_errors
from bundle.store.hashing import Advance, check_content, write_all
from bundler.build.cache import READ_ONLY
from bundler.sources.common.opener import BlobStream, Opener

ATTEMPTS: Final = 5
"""Tries in a row without a single new byte before a blob is given up."""

_FREE_TRIES: Final = 50


class BlobFetcher:
    """Fetches one blob into `final`; `partial` keeps what came, whatever happens.

    Args:
        content: Digest and size, from a lock.
        opener: Opens the blob at an offset.
        advance: Receives byte counts, and of a negative number when bytes have to come again.
        pause: Waits before try number n; injected, since it is the only thing that takes time.
    """

    def __init__(
        self, content: Content, opener: Opener, advance: Advance, pause: Callable[[int], None]
    ) -> None:
        """Remember; nothing is opened yet."""
        self._content = content
        self._opener = opener
        self._advance = advance
        self._pause = pause
        self._buffer = memoryview(bytearray(CHUNK_BYTES))
        self._state: Any = hashlib.sha256()
        self._written = 0
        self._mirrors = True

    def fetch(self, partial: Path, final: Path) -> None:
        """Fetch, check, and give the blob its name.

        A second process that wants the same blob waits for the first and then finds it.

        Raises:
            TransportError: The origin failed too often, or refused.
            IntegrityError: The origin sent other bytes; they are not kept.
            StorageError: The disk refused.
        """
        with storage_errors(f"write {partial}"):
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if final.exists() and final.lstat().st_size == self._content.size:
                    partial.unlink(missing_ok=True)
                    self._advance(self._content.size)
                    return
                self._fill_checked(descriptor, partial)
                os.fchmod(descriptor, READ_ONLY)
                os.fsync(descriptor)
                partial.replace(final)
                fsync_directory(final.parent)
            finally:
                os.close(descriptor)

    def _fill_checked(self, descriptor: int, partial: Path) -> None:
        """Fill the file with the right bytes; wrong ones get one more try, at the origin alone.

        They may come from a mirror, or from what a crash left of an earlier run.
        """
        try:
            self._fill(descriptor)
            self._check()
        except IntegrityError:
            self._forget(descriptor)
            self._mirrors = False
            try:
                self._fill(descriptor)
                self._check()
            except IntegrityError:
                # These bytes can never become the blob; going on from them would fail for ever.
                partial.unlink(missing_ok=True)
                raise

    def _fill(self, descriptor: int) -> None:
        self._take_up(descriptor)
        failures = tries = 0
        begun = self._written
        while self._written < self._content.size or self._content.size == 0:
            before = self._written
            try:
                self._receive(descriptor)
            except TransportError as error:
                failures = failures + 1 if self._written <= before else 1
                tries += 1
                # A byte in each try would go on for ever.
                came = max(0, self._written - begun)
                endless = tries > _FREE_TRIES + came // MIN_BYTES_PER_TRY
                # The subclasses are refusals, which do not change by asking again.
                if type(error) is not TransportError or failures >= ATTEMPTS or endless:
                    raise
                self._pause(failures)
            else:
                return

    def _take_up(self, descriptor: int) -> None:
        """Hash what an earlier run left, which is why it need not be trusted."""
        if os.fstat(descriptor).st_size > self._content.size:
            os.ftruncate(descriptor, 0)
        while count := os.readv(descriptor, [self._buffer]):
            self._state.update(self._buffer[:count])
            self._written += count
        self._advance(self._written)

    def _receive(self, descriptor: int) -> None:
        """Read one response to its end, from where we are."""
        stream = self._opener(self._written, mirrors=self._mirrors)
        try:
            if stream.start != self._written:
                self._start_over(descriptor, stream)
            while count := stream.readinto(self._buffer):
                chunk = self._buffer[:count]
                if self._written + count > self._content.size:
                    raise self._too_long()
                self._state.update(chunk)
                write_all(descriptor, chunk)
                self._written += count
                self._advance(count)
        finally:
            stream.close()
        if self._written < self._content.size:
            raise TransportError(
                f"{self._content.digest}: the connection ended after {self._written} of "
                f"{self._content.size} bytes",
                "Run the command again; it resumes.",
            )

    def _start_over(self, descriptor: int, stream: BlobStream) -> None:
        if stream.start != 0:
            raise TransportError(
                f"{self._content.digest}: asked for bytes from {self._written}, "
                f"the server sent them from {stream.start}",
                "Run the command again.",
            )
        self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._advance(-self._written)
        self._state = hashlib.sha256()
        self._written = 0

    def _check(self) -> None:
        found = PREFIX + self._state.hexdigest()
        expected = self._content
        check_content(
            expected.digest, expected.size, expected.digest, found_size=self._written, found=found
        )

    def _too_long(self) -> SizeMismatchError:
        return SizeMismatchError(
            f"{self._content.digest}: expected {self._content.size} bytes, the source sent more",
            "The source is broken or hostile; run `isoward lock` again and look at what changed.",
        )
