"""Zarf packages as files: unpacked beside the definition, every byte checked on its way.

What a package says of itself is believed only as far as it goes: zarf.yaml names the digest of
checksums.txt, and that names the digest of each other file; all of them must be there, and no more.

Source: Zarf 0.84, "Packages": layout, checksums and split packages.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec
import zstandard

from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    MissingBlobError,
    SizeMismatchError,
    UnexpectedFileError,
    UsageError,
)
from bundle.base.limits import CHUNK_BYTES, MAX_DEFINITION_BYTES, MAX_DOWNLOAD_BYTES, MIB
from bundle.store.atomic import fsync_directory, storage_errors
from bundle.store.hashing import write_all
from bundler.sources.common.tar_members import TarMember, tar_members
from bundler.sources.images.archive import StreamBytes

PACKAGE: Final = "zarf.yaml"
CHECKSUMS: Final = "checksums.txt"
SIGNATURES: Final = ("zarf.bundle.sig", "zarf.yaml.sig")
_UNLISTED: Final = frozenset({PACKAGE, CHECKSUMS, *SIGNATURES})
_FIRST_PART: Final = ".part000"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_MAX_WINDOW: Final = 128 * MIB
"""Memory for unpacking; `zstd --ultra` writes no more without being told to."""
_MAX_CHECKSUMS: Final = 64 * MIB
_MAX_PARTS: Final = 999
_MAX_RATIO: Final = 100
"""Times its own size that a compressed package may have: its layers were compressed before."""

_FREE_BYTES: Final = 1024 * MIB
"""Beyond that, for lists of components, which compress far better."""


class _Parts(msgspec.Struct, frozen=True, rename="pascal"):
    """The first part of a split package."""

    sha256_sum: str = msgspec.field(name="Sha256Sum")
    bytes_: int = msgspec.field(name="Bytes")
    count: int


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A package that was unpacked.

    Attributes:
        digests: Digest of every file by its path in the package.
        package: The bytes of zarf.yaml.
    """

    digests: dict[str, str]
    package: bytes


def unpack_package(package: Path, folder: Path) -> Unpacked:
    """Unpack a package into a folder that does not exist yet; it is whole, or is not there.

    Args:
        package: A .tar.zst, a .tar, or the first part of a split one.
        folder: What becomes of it.
    Raises:
        UsageError: The folder exists.
        FormatError: Not a package, or cut, or with something that is not carried.
        IntegrityError: A file is not what the package says, is missing, or is one too many.
        StorageError: The disk refused.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists", "Remove it yourself, or choose another --output.")
    aside = folder.with_name(f".{folder.name}.unpacking")
    with storage_errors(f"write {aside}"):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            with _opened(package) as stream:
                source = StreamBytes(package.name, stream, _most(package, stream))
                digests = _write_members(source, package.name, aside)
            data = _read_small(aside, PACKAGE, MAX_DEFINITION_BYTES, package.name)
            _check_sums(digests, _read_small(aside, CHECKSUMS, _MAX_CHECKSUMS, package.name))
            aside.replace(folder)
            fsync_directory(folder.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return Unpacked(digests, data)


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar that was checked, such as a component's, into a folder.

    Raises:
        FormatError: Not a tar that can be read.
        StorageError: The disk refused.
    """
    with storage_errors(f"read {archive}"), archive.open("rb") as file:
        source = StreamBytes(archive.name, file, archive.stat().st_size)
        _write_members(source, archive.name, folder)


def _most(package: Path, stream: Any) -> int:
    """Return how many bytes a package can hold, which its headers may exceed by any number."""
    size = package.stat().st_size
    if package.name.endswith(_FIRST_PART):
        stem = package.name.removesuffix(_FIRST_PART)
        parts = (package.with_name(f"{stem}.part{i:03d}") for i in range(1, _MAX_PARTS + 1))
        size = sum(part.stat().st_size for part in parts if part.is_file())
    if not isinstance(stream, _Unzstd):
        return size
    return min(_FREE_BYTES + _MAX_RATIO * size, MAX_DOWNLOAD_BYTES)


@contextmanager
def _opened(package: Path) -> Iterator[Any]:
    """Open a package as the stream of its tar."""
    if not package.is_file():
        raise DefinitionError(f"{package}: no such file", "Check the path.")
    whole: Any
    with package.open("rb") as first:
        split = package.name.endswith(_FIRST_PART)
        whole = _PartsStream(package, first) if split else first
        begin = whole.read(len(_ZSTD))
        joined = _Joined(begin, whole)
        if begin == _ZSTD:
            yield _Unzstd(package.name, joined)
        else:
            yield joined
        if split:
            whole.check()


class _Joined:
    """A stream whose first bytes were read already."""

    def __init__(self, begin: bytes, rest: Any) -> None:
        self._begin = begin
        self._rest = rest

    def read(self, count: int = -1, /) -> bytes:
        """Return at most `count` bytes."""
        if self._begin:
            data, self._begin = self._begin[:count], self._begin[count:]
            return data
        return bytes(self._rest.read(count))


class _Unzstd:
    """Unpacked bytes of a zstd stream."""

    def __init__(self, where: str, source: _Joined) -> None:
        self._where = where
        unpack = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._stream = unpack.stream_reader(cast("BinaryIO", source), read_across_frames=True)

    def read(self, count: int, /) -> bytes:
        """Return at most `count` bytes."""
        try:
            return self._stream.read(count)
        except zstandard.ZstdError as error:
            raise FormatError(
                f"{self._where}: its compressed data is damaged or truncated ({error})",
                "Fetch the package again.",
            ) from error


class _PartsStream:
    """A split package as one stream, checked against what its first part says."""

    def __init__(self, first: Path, file: BinaryIO) -> None:
        try:
            self._said = msgspec.json.decode(file.read(MIB), type=_Parts)
        except msgspec.MsgspecError as error:
            raise FormatError(
                f"{first.name}: expected a description of the other parts ({error})",
                "Name the first part of a split package, which ends in .part000.",
            ) from error
        if not 1 <= self._said.count <= _MAX_PARTS:
            raise FormatError(
                f"{first.name}: expected 1 to {_MAX_PARTS} parts, found {self._said.count}",
                "Fetch the package again.",
            )
        self._stem = first.with_name(first.name.removesuffix(_FIRST_PART))
        self._state = hashlib.sha256()
        self._size = 0
        self._part = 0
        self._file: BinaryIO | None = None

    def read(self, count: int, /) -> bytes:
        """Return at most `count` bytes, from the part that is due."""
        while True:
            if self._file is None:
                if self._part == self._said.count:
                    return b""
                self._part += 1
                path = self._stem.with_name(f"{self._stem.name}.part{self._part:03d}")
                if not path.is_file():
                    raise MissingBlobError(
                        f"{path.name}: expected {self._said.count} parts, found fewer",
                        "Put all parts in one folder.",
                    )
                self._file = path.open("rb")
            data = self._file.read(count)
            if data:
                self._state.update(data)
                self._size += len(data)
                return data
            self._file.close()
            self._file = None

    def check(self) -> None:
        """Check all that was read, and what was not.

        Raises:
            IntegrityError: It is not what the first part says.
        """
        while self.read(CHUNK_BYTES):
            pass
        if self._size != self._said.bytes_:
            raise SizeMismatchError(
                f"{self._stem.name}: expected {self._said.bytes_} bytes, found {self._size}",
                "Fetch the parts again.",
            )
        if self._state.hexdigest() != self._said.sha256_sum:
            raise DigestMismatchError(
                f"{self._stem.name}: expected sha256:{self._said.sha256_sum[:64]}, found "
                f"sha256:{self._state.hexdigest()}",
                "Fetch the parts again.",
            )


def _write_members(source: StreamBytes, where: str, folder: Path) -> dict[str, str]:
    """Write every file of a tar and return the digests by path."""
    digests: dict[str, str] = {}
    for member in tar_members(source, where):
        if member.link or member.name in digests:
            kind = "a link" if member.link else "a duplicate"
            raise FormatError(
                f"{where}: {member.name[:200]!r}: {kind}", "Create the package again."
            )
        if source.position + member.size > source.limit:
            raise FormatError(
                f"{where}: {member.name[:200]!r}: its stated size is {member.size} bytes, which "
                "is more than the package can hold",
                "Fetch the package again, from a trusted source.",
            )
        path = folder / member.name
        path.parent.mkdir(parents=True, exist_ok=True)
        digests[member.name] = _write(source, member, path, where)
    return digests


def _write(source: StreamBytes, member: TarMember, path: Path, where: str) -> str:
    state = hashlib.sha256()
    rest = member.size
    with path.open("xb") as file:
        while rest:
            data = source.read(min(rest, CHUNK_BYTES))
            if not data:
                raise FormatError(f"{where}: {member.name[:200]!r}: truncated", "Fetch it again.")
            state.update(data)
            write_all(file.fileno(), memoryview(data))
            rest -= len(data)
    return f"sha256:{state.hexdigest()}"


def _read_small(folder: Path, name: str, limit: int, where: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise FormatError(f"{where}: it has no {name}", "Is it a Zarf package?")
    if path.stat().st_size > limit:
        raise FormatError(
            f"{where}: {name}: expected at most {limit} bytes", "Is it the right file?"
        )
    return path.read_bytes()


def _check_sums(digests: dict[str, str], sums: bytes) -> None:
    """Compare what came with checksums.txt, both ways."""
    listed: dict[str, str] = {}
    for line in sums.decode("utf-8", "replace").splitlines():
        digest, _, path = line.partition(" ")
        if path.strip():
            listed[path.strip()] = f"sha256:{digest}"
    for path, digest in listed.items():
        found = digests.get(path)
        if found is None:
            raise MissingBlobError(f"{path[:200]}: the package lacks it", "Fetch it again.")
        if found != digest:
            raise DigestMismatchError(
                f"{path[:200]}: expected {digest[:71]}, found {found}", "Fetch the package again."
            )
    for path in digests:
        if path not in listed and path not in _UNLISTED:
            raise UnexpectedFileError(
                f"{path[:200]}: it is not listed in the package", "Fetch the package again."
            )


def check_aggregate(expected: str, unpacked: Unpacked) -> None:
    """Check that zarf.yaml vouches for checksums.txt.

    Args:
        expected: aggregateChecksum of zarf.yaml, hexadecimal.
        unpacked: The package.
    Raises:
        DigestMismatchError: It does not.
    """
    found = unpacked.digests[CHECKSUMS]
    if found != f"sha256:{expected}":
        raise DigestMismatchError(
            f"{CHECKSUMS}: expected sha256:{expected[:64]}, found {found}",
            "Fetch the package again.",
        )
