"""An archive of images on this machine: a tar, a compressed tar, a stream, or a plain folder.

A tar's files are read from where they lie in it. What can be read once only goes into the store as
it comes, and is read from there.
"""

from __future__ import annotations

import gzip
import io
import posixpath
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from bundle.base.content import Content
from bundle.base.errors import DigestMismatchError, FormatError
from bundle.base.limits import CHUNK_BYTES, MAX_UNPACKED_BYTES
from bundle.base.paths import is_inner_path
from bundle.store.atomic import storage_errors
from bundler.sources.common.context import SourceContext, Store
from bundler.sources.common.download import check_bytes
from bundler.sources.common.keep import keeping
from bundler.sources.common.tar_members import TarMember, tar_members
from bundler.sources.files.local import open_local

GZIP: Final = b"\x1f\x8b"
_MAX_HOPS: Final = 8
"""Links to links; docker and podman make one."""

Seen = Callable[[memoryview], None]


class Archive(ABC):
    """Files by name, of an image archive."""

    def __init__(self, where: str) -> None:
        """Name it for messages."""
        self.where = where

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes; None when there is none of that name."""

    @abstractmethod
    def chunks(self, name: str) -> Iterator[memoryview]:
        """Yield the content of a file that there is; each part is gone with the next."""

    def read(self, name: str, limit: int) -> bytes:
        """Return a small file.

        Raises:
            FormatError: There is none, it is cut or larger than `limit`.
        """
        size = self._required(name)
        if size > limit:
            raise self.refuse(f"{name} has {size} bytes, expected at most {limit}")
        data = b"".join(bytes(chunk) for chunk in self.chunks(name))
        if len(data) != size:
            raise self.refuse(f"{name} is truncated")
        return data

    def keep(self, name: str, store: Store, content: Content | None, seen: Seen) -> Content:
        """Put a file into the store in one pass.

        Args:
            name: Of the file.
            store: Where it goes.
            content: What it must be, if that is known.
            seen: Shown all of the bytes; what it raises, it is refused for.
        Returns:
            What it is.
        Raises:
            FormatError: There is none, or it is cut.
            IntegrityError: It is something else than `content`.
            StorageError: The disk refused.
        """
        size = self._required(name)
        with keeping(store) as kept:
            for chunk in self.chunks(name):
                kept.write(chunk)
                seen(chunk)
            found = kept.content
            if found.size != size:
                raise self.refuse(f"{name} is truncated")
            if content is not None and not _is(found, content):
                raise DigestMismatchError(
                    f"{self.where}: {name}: expected {content.digest} with {content.size} bytes, "
                    f"found {found.digest} with {found.size}",
                    "The archive is damaged or was changed; create it again.",
                )
        return found

    def refuse(self, why: str) -> FormatError:
        """Make the error that says what is wrong."""
        return FormatError(
            f"{self.where}: not a usable image archive: {why}",
            "Create it again with docker save, podman save or skopeo copy.",
        )

    def _required(self, name: str) -> int:
        size = self.size(name)
        if size is None:
            raise self.refuse(f"{name[:200]!r} is not in it")
        return size


def _is(found: Content, content: Content) -> bool:
    """Compare with what may say more than digest and size."""
    return (found.digest, found.size) == (content.digest, content.size)


class TarIndex:
    """The files of a tar by name, with links followed."""

    def __init__(self, where: str) -> None:
        """Begin with none."""
        self._where = where
        self._files: dict[str, TarMember] = {}

    def add(self, member: TarMember) -> None:
        """Note a member.

        Raises:
            FormatError: Another one has its name.
        """
        if member.name in self._files:
            raise FormatError(
                f"{self._where}: duplicate entry {member.name[:200]!r}", "Create it again."
            )
        self._files[member.name] = member

    def find(self, name: str) -> TarMember | None:
        """Return a file, also by a link's name."""
        for _ in range(_MAX_HOPS):
            member = self._files.get(name)
            if member is None or not member.link:
                return member
            base = posixpath.dirname(member.name) if member.symbolic else ""
            name = posixpath.normpath(posixpath.join(base, member.link))
            if not is_inner_path(name):
                return None
        return None


class FileArchive(Archive):
    """A plain tar on this machine, which stays open."""

    def __init__(self, where: str, file: io.FileIO) -> None:
        """Read the headers.

        Raises:
            FormatError: Not a tar that can be read.
        """
        super().__init__(where)
        self._file = file
        self._index = TarIndex(where)
        for member in tar_members(_FileBytes(file), where):
            self._index.add(member)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes."""
        member = self._index.find(name)
        return None if member is None else member.size

    def chunks(self, name: str) -> Iterator[memoryview]:
        """Yield the content of a file."""
        member = self._index.find(name)
        buffer = memoryview(bytearray(CHUNK_BYTES))
        place, rest = (member.begin, member.size) if member else (0, 0)
        while rest:
            with storage_errors(f"read {self.where}"):
                self._file.seek(place)
                count = self._file.readinto(buffer[: min(rest, CHUNK_BYTES)])
            if not count:
                return
            yield buffer[:count]
            place, rest = place + count, rest - count


class StreamArchive(Archive):
    """A tar that can be read once only: every file of it goes into the store."""

    def __init__(self, where: str, stream: Stream, store: Store) -> None:
        """Read it to its end.

        Raises:
            FormatError: Not a tar that can be read, or one of too much.
            StorageError: The disk refused.
        """
        super().__init__(where)
        self._store = store
        self._index = TarIndex(where)
        self._kept: dict[str, Content] = {}
        source = StreamBytes(where, stream)
        for member in tar_members(source, where):
            self._index.add(member)
            if not member.link:
                self._kept[member.name] = self._keep(member, source)
        while source.read(CHUNK_BYTES):
            # What follows a tar means nothing, but a cut stream is only noticed at its end.
            pass

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes."""
        member = self._index.find(name)
        return None if member is None else member.size

    def chunks(self, name: str) -> Iterator[memoryview]:
        """Yield the content of a file, from the store."""
        member = self._index.find(name)
        if member is None:
            return
        path = self._store.blob_path(self._kept[member.name].digest)
        buffer = memoryview(bytearray(CHUNK_BYTES))
        with storage_errors(f"read {path}"), path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                yield buffer[:count]

    def keep(self, name: str, store: Store, content: Content | None, seen: Seen) -> Content:
        """Return what the store has; see `Archive.keep`."""
        member = self._index.find(name)
        kept = self._kept[member.name] if member else None
        if kept is None or (content is not None and not _is(kept, content)):
            return super().keep(name, store, content, seen)
        for chunk in self.chunks(name):
            seen(chunk)
        return kept

    def _keep(self, member: TarMember, source: StreamBytes) -> Content:
        with keeping(self._store) as kept:
            rest = member.size
            while rest and (chunk := source.read(min(rest, CHUNK_BYTES))):
                kept.write(chunk)
                rest -= len(chunk)
            if rest:
                raise self.refuse("it is truncated")
        return kept.content


class FolderArchive(Archive):
    """A folder, such as an OCI image layout; no link may lead out of the document's folder."""

    def __init__(self, path: str, folder: Path) -> None:
        """Open `path` below the document's folder."""
        super().__init__(path)
        self._folder = folder

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes."""
        path = self._folder / self.where / name
        if not is_inner_path(name) or not path.is_file():
            return None
        return path.stat().st_size

    def chunks(self, name: str) -> Iterator[memoryview]:
        """Yield the content of a file."""
        buffer = memoryview(bytearray(CHUNK_BYTES))
        with open_local(self._folder, f"{self.where}/{name}") as file:
            while count := file.readinto(buffer):
                yield buffer[:count]


class Stream(Protocol):
    """Bytes that come once."""

    def read(self, count: int, /) -> bytes:
        """Return at most `count` bytes; none at the end."""


@contextmanager
def open_archive(path: str, context: SourceContext) -> Iterator[Archive]:
    """Open an archive below the document's folder, whatever its form.

    Args:
        path: A checked inner path.
        context: What sources work with.
    Raises:
        DefinitionError: It is not there, leads out of the folder, or is neither file nor folder.
        FormatError: Not an archive that can be read.
        IntegrityError: It changed while it was read.
        StorageError: A blob cannot be read.
    """
    if (context.folder / path).is_dir():
        yield FolderArchive(path, context.folder)
        return
    with open_local(context.folder, path) as file:
        with storage_errors(f"read {path}"):
            compressed = file.read(len(GZIP)) == GZIP
            file.seek(0)
        if compressed:
            context.progress.note(f"unpacking {path} into the cache")
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                yield StreamArchive(path, unpacked, context.store)
        else:
            yield FileArchive(path, file)


def known_bytes(archive: Archive, name: str, content: Content, limit: int) -> bytes:
    """Return a small file of which digest and size are known.

    Raises:
        FormatError: There is none, or it is larger than `limit`.
        IntegrityError: It is something else.
    """
    data = archive.read(name, limit)
    check_bytes(data, content, f"{archive.where}: {name}")
    return data


class _FileBytes:
    """A file as a tar's source."""

    def __init__(self, file: io.FileIO) -> None:
        self.position = 0
        self._file = file

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        self._file.seek(self.position)
        data = b""
        while len(data) < count and (part := self._file.read(count - len(data))):
            data += part
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        """Go on."""
        self.position += count


class StreamBytes:
    """A stream as a tar's source, of which there is an end."""

    def __init__(self, where: str, stream: Stream, limit: int | None = None) -> None:
        self.position = 0
        self.limit = MAX_UNPACKED_BYTES if limit is None else limit
        self._where = where
        self._stream = stream

    def read(self, count: int) -> bytes:
        """Return the next bytes."""
        parts: list[bytes] = []
        try:
            while count and (part := self._stream.read(count)):
                parts.append(part)
                count -= len(part)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FormatError(
                f"{self._where}: its compressed data is damaged or truncated ({error})",
                "Create it again.",
            ) from error
        data = b"".join(parts)
        self.position += len(data)
        if self.position > self.limit:
            raise FormatError(
                f"{self._where}: it unpacks to more than {self.limit} bytes",
                "Unpack it, and name the plain tar instead.",
            )
        return data

    def skip(self, count: int) -> None:
        """Go on."""
        while count > 0 and (data := self.read(min(count, CHUNK_BYTES))):
            count -= len(data)
