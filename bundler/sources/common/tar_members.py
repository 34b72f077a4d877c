"""The members of a tar that a stranger made, in one pass, from a file or from a stream.

Headers are read by the standard library, one at a time; what it would read without a bound (long
names, extended headers) is read here. Sparse files, devices and whatever a reader could take in two
ways are refused.

Source: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from bundle.base.errors import FormatError
from bundle.base.limits import (
    MAX_ARCHIVE_MEMBERS,
    MAX_SAFE_INTEGER,
    MAX_TAR_HEADER_BYTES,
)
from bundle.base.paths import is_inner_path

_BLOCK: Final = tarfile.BLOCKSIZE
_ZERO: Final = bytes(_BLOCK)
_FILES: Final = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})
_LINKS: Final = frozenset({tarfile.SYMTYPE, tarfile.LNKTYPE})
_LONG: Final = frozenset({tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK})
_EXTENDED: Final = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE})


class Bytes(Protocol):
    """Where a tar is read from."""

    position: int
    """Bytes that were read or skipped."""

    def read(self, count: int) -> bytes:
        """Return the next bytes, fewer only at the end."""

    def skip(self, count: int) -> None:
        """Go on after that many bytes, or to the end."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file or a link in a tar.

    Attributes:
        name: A path that stays within the archive.
        size: Of its content, in bytes; 0 for a link.
        begin: Where its content begins.
        link: Where a link leads, unchecked; empty for a file.
        symbolic: Whether that is relative to the link's own folder.
    """

    name: str
    size: int
    begin: int
    link: str = ""
    symbolic: bool = False


def tar_members(source: Bytes, where: str) -> Iterator[TarMember]:
    """Yield files and links; before it goes on, the caller may read a file's content.

    Args:
        source: Untrusted, at its beginning.
        where: Names the manifest in messages.
    Raises:
        FormatError: Not a tar, cut, or with something in it that is not carried.
    """
    reader = _Reader(source, where)
    for count in range(MAX_ARCHIVE_MEMBERS + 1):
        member = reader.next()
        if member is None:
            return
        if count == MAX_ARCHIVE_MEMBERS:
            raise reader.refuse(f"it has more than {MAX_ARCHIVE_MEMBERS} files")
        yield member
        rest = member.begin + _padded(member.size) - source.position
        source.skip(rest)


class _Reader:
    """Reads headers until there is a member."""

    def __init__(self, source: Bytes, where: str) -> None:
        self._source = source
        self._where = where
        self._headers = 0

    def next(self) -> TarMember | None:
        """Return the next file or link; None at the end of the archive."""
        told: dict[str, str] = {}
        while (header := self._header()) is not None:
            if header.type in _LONG:
                key = "path" if header.type == tarfile.GNUTYPE_LONGNAME else "linkpath"
                told[key] = self._text(self._payload(header).rstrip(b"\0"))
            elif header.type in _EXTENDED:
                found = self._records(self._payload(header))
                if header.type == tarfile.XHDTYPE:
                    told |= found
                elif not found.keys().isdisjoint({"path", "linkpath", "size"}):
                    raise self.refuse("a global header renames its files")
            elif header.type == tarfile.DIRTYPE:
                told = {}
            else:
                return self._member(header, told)
        if told:
            raise self.refuse("it ends after an extended header")
        return None

    def _header(self) -> tarfile.TarInfo | None:
        self._headers += 1
        if self._headers > 4 * MAX_ARCHIVE_MEMBERS:
            raise self.refuse("it has too many headers")
        block = self._source.read(_BLOCK)
        if block == _ZERO:
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError, OverflowError) as error:
            where = "it is truncated" if len(block) < _BLOCK else str(error)
            raise self.refuse(where) from error

    def _payload(self, header: tarfile.TarInfo) -> bytes:
        if not 0 <= header.size <= MAX_TAR_HEADER_BYTES:
            raise self.refuse(f"a header of {header.size} bytes")
        data = self._source.read(_padded(header.size))
        if len(data) != _padded(header.size):
            raise self.refuse("it is truncated")
        return data[: header.size]

    def _records(self, data: bytes) -> dict[str, str]:
        """Parse the records of an extended header: length, space, key, `=`, value, end of line."""
        found: dict[str, str] = {}
        while data:
            length, _, _ = data[:20].partition(b" ")
            if not length.isdigit() or not len(length) + 1 < int(length) <= len(data):
                raise self.refuse("a malformed extended header")
            record, data = data[len(length) + 1 : int(length)], data[int(length) :]
            key, equals, value = record.partition(b"=")
            if not equals or not value.endswith(b"\n"):
                raise self.refuse("a malformed extended header")
            if key.startswith(b"GNU.sparse"):
                raise self.refuse("a sparse file")
            if key in {b"path", b"linkpath", b"size"}:
                found[key.decode("ascii")] = self._text(value[:-1])
        return found

    def _member(self, header: tarfile.TarInfo, told: dict[str, str]) -> TarMember:
        name = told.get("path", header.name)
        kind = header.type
        if kind not in _FILES | _LINKS:
            raise self.refuse(f"{name[:100]!r} is a device, a sparse file or of unknown type")
        while name.startswith("./"):
            name = name[2:]
        if not is_inner_path(name):
            raise self.refuse(f"the name {name[:100]!r} leads out of it")
        size = header.size
        if "size" in told:
            size = int(told["size"]) if told["size"].isdigit() and len(told["size"]) < 20 else -1  # noqa: PLR2004 - digits of 2^64
        if not 0 <= size <= MAX_SAFE_INTEGER:
            raise self.refuse(f"{name[:100]!r} has the size {size}")
        begin = self._source.position
        if kind in _FILES:
            return TarMember(name, size, begin)
        link = told.get("linkpath", header.linkname)
        return TarMember(name, 0, begin, link, symbolic=kind == tarfile.SYMTYPE)

    def _text(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self.refuse("a name that is not UTF-8") from None

    def refuse(self, why: str) -> FormatError:
        """Make the error that says what is wrong."""
        return FormatError(
            f"{self._where}: not a readable tar: {why}",
            "Create it again with docker save, podman save or skopeo copy.",
        )


def _padded(size: int) -> int:
    return size + -size % _BLOCK
