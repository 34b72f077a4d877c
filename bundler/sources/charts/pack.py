"""A chart's files as an archive: the same bytes on every machine, with every Python and zlib.

They follow from the files' names and content alone. Times are 0, owners are root, modes are 0644.
The gzip container holds stored blocks: what a compressor makes is its own version's business.

Source: RFC 1951, section 3.2.4; RFC 1952, section 2.3; POSIX, pax.
"""

from __future__ import annotations

import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""No name, no time, an unknown system."""
_STORED_BYTES: Final = 0xFFFF
"""Of one block, whose length is two bytes."""
_MODULUS: Final = 0xFFFFFFFF


def pack_chart(name: str, files: Mapping[str, bytes]) -> bytes:
    """Pack a chart.

    Args:
        name: Of the chart, and of the one folder in the archive.
        files: Content by inner path. Chart.yaml comes first, as Helm writes it.
    """
    tar = b"".join(_members(name, files))
    blocks = [tar[start : start + _STORED_BYTES] for start in range(0, len(tar), _STORED_BYTES)]
    return b"".join(
        [
            _HEADER,
            *(_block(data, last=data is blocks[-1]) for data in blocks),
            struct.pack("<II", zlib.crc32(tar), len(tar) & _MODULUS),
        ]
    )


def _members(name: str, files: Mapping[str, bytes]) -> Iterator[bytes]:
    for path in sorted(files, key=lambda path: (path != "Chart.yaml", path)):
        header = tarfile.TarInfo(f"{name}/{path}")
        header.size = len(files[path])
        header.mode = 0o644
        yield header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        yield files[path]
        yield bytes(-len(files[path]) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _block(data: bytes, *, last: bool) -> bytes:
    return struct.pack("<BHH", last, len(data), len(data) ^ _STORED_BYTES) + data
