"""The end of a journal, authenticated: which record is the last one.

The chain of digests vouches for every line but the last. So the last record stands in a file of its
own as well, under a MAC by a key that only the journal's owner can read. It is written before the
line is: a power cut between the two leaves a head that is one record ahead, from which the line is
written again; everything else is a change that nobody of ours made.

Source: docs/FORMAT.md, "Site"; docs/adr/0023-steps-and-a-journal.md.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import Hex64
from bundle.base.documents import API_VERSION, Document
from bundle.base.errors import FormatError
from bundle.base.limits import MIB
from bundle.store.atomic import storage_errors, write_atomic, write_new

_KEY_BYTES: Final = 32
_MAX_HEAD_BYTES: Final = 8 * MIB
"""One record, whose result is the largest part."""

Randomness = Callable[[int], bytes]


class _Head(Document, frozen=True, kw_only=True):
    api_version: Literal["isoward/v1"] = API_VERSION
    kind: Literal["JournalHead"] = "JournalHead"
    line: str
    """The last line of the journal, without its newline."""
    mac: Hex64
    """HMAC-SHA-256 of the line."""


class JournalHead:
    """The files beside a journal that say how it ends."""

    def __init__(self, journal: Path, randomness: Randomness = secrets.token_bytes) -> None:
        """Name them; nothing is touched yet."""
        self.path = journal.with_suffix(".head")
        self.key_path = journal.with_suffix(".key")
        self._randomness = randomness

    def read(self) -> bytes | None:
        """Return the last line, or None where there is no head.

        Raises:
            FormatError: The head is not what was written.
            StorageError: It cannot be read.
        """
        data = _read(self.path, _MAX_HEAD_BYTES)
        if data is None:
            return None
        head = decode_canonical(data, _Head, str(self.path))
        line = head.line.encode()
        if not hmac.compare_digest(head.mac, self._mac(line, self._key())):
            raise FormatError(f"{self.path}: it is not under this site's key")
        return line

    def write(self, line: bytes) -> None:
        """Keep the line that is written to the journal next; it is on the disk when this returns.

        Raises:
            FormatError: The key is not one.
            StorageError: The disk refuses.
        """
        if not os.path.lexists(self.key_path) and not os.path.lexists(self.path):
            write_new(self.key_path, self._randomness(_KEY_BYTES), 0o600)
        head = _Head(line=line.decode(), mac=self._mac(line, self._key()))
        write_atomic(self.path, canonical_json(head), 0o600)

    def _key(self) -> bytes:
        key = _read(self.key_path, _KEY_BYTES)
        if key is None or len(key) != _KEY_BYTES:
            raise FormatError(f"{self.key_path}: expected {_KEY_BYTES} bytes, found another file")
        return key

    @staticmethod
    def _mac(line: bytes, key: bytes) -> str:
        return hmac.new(key, line, hashlib.sha256).hexdigest()


def _read(path: Path, limit: int) -> bytes | None:
    """Read a file of this user or of root, which nobody else may write; None if there is none."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with storage_errors(f"read {path}"):
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(limit + 1)
    others = found.st_uid not in {0, os.geteuid()} or found.st_mode & 0o022
    if not stat.S_ISREG(found.st_mode) or others:
        raise FormatError(f"{path}: expected a file that nobody else can write to, found another")
    if len(data) > limit:
        raise FormatError(f"{path}: expected at most {limit} bytes, found more")
    return data
