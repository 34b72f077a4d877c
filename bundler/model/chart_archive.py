r"""The files in a chart's archive, by the paths that Helm gives them; nothing is unpacked to disk.

Helm drops the first part of every name, whatever it is, takes `\` for a separator where a name has
one, reads whatever is no folder as a file, a link as an empty one, and of two files with one name
the later; of Chart.yaml a later one replaces what it says again.

Source: Helm, pkg/chart/loader/archive/archive.go, `LoadArchiveFiles`; pkg/chart/v2/loader/load.go.
"""

from __future__ import annotations

import gzip
import io
import json
import posixpath
import re
import tarfile
import unicodedata
import zlib
from collections.abc import Callable
from typing import Final

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_CHART_UNPACKED_BYTES, MIB
from bundler.model.yaml_go import GoYamlError, go_document

CHART_YAML: Final = "Chart.yaml"
_MAX_READ: Final = 2 * MIB
_DRIVE: Final = re.compile(r"[a-zA-Z]:/")
_BOM: Final = b"\xef\xbb\xbf"


def chart_files(
    archive: bytes, where: str, limit_of: Callable[[str], int], take: Callable[[int], None]
) -> dict[str, bytes]:
    """Read the files of a chart's archive.

    Args:
        archive: Untrusted, of bounded size.
        where: Names the manifest in messages.
        limit_of: Most bytes of the file at a path; none for one whose content is not wanted.
        take: Told of the size of each member; raises when it was too much.
    Returns:
        Content by path within the chart.
    Raises:
        FormatError: It is not a chart's archive, has a path that leads out, or holds too much.
    """
    files: dict[str, bytes] = {}
    try:
        with (
            BoundedGzip(archive, where) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r:") as tar,
        ):
            for member in tar:
                take(member.size)
                if member.isdir():
                    continue
                if not (member.isreg() or member.issym() or member.islnk()):
                    raise refuse(where, f"{member.name[:200]!r} is neither a file nor a folder")
                path = helm_path(member.name, where)
                data = _content(tar, member, limit_of(path), where)
                if path == CHART_YAML and path in files:
                    data = _both(files[path], data)
                files[path] = data
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise refuse(where, f"not a gzip-compressed tar archive ({error})") from error
    return files


def helm_path(name: str, where: str) -> str:
    """Return the path within a chart that Helm gives to a member of its archive.

    Raises:
        FormatError: It is none.
    """
    separator = "\\" if "\\" in name else "/"
    first, _, rest = name.partition(separator)
    rest = rest.replace(separator, "/")
    path = posixpath.normpath(rest) if rest else "."
    # Helm drops these first parts as any other; what unpacks the archive would not.
    leads_out = first in {"", ".."} or _DRIVE.match(f"{first}/") is not None
    if leads_out or any(unicodedata.category(character) == "Cc" for character in name):
        raise refuse(where, f"{name[:200]!r} is not a path within the chart's folder")
    if path == ".":
        raise refuse(where, f"{name[:200]!r} is not within the chart's folder")
    bad = rest.startswith("/") or path.startswith("..") or _DRIVE.match(path)
    if bad or first == CHART_YAML:
        raise refuse(where, f"{name[:200]!r} is not a path within the chart's folder")
    return path


def refuse(where: str, why: str) -> FormatError:
    """Return the error for a chart that cannot be carried."""
    return FormatError(f"{where}: not a usable chart: {why}", "Check the chart.")


class BoundedGzip(gzip.GzipFile):
    """Refuses to give much at once or much in all: tarfile reads extended headers whole."""

    def __init__(self, archive: bytes, where: str) -> None:
        super().__init__(fileobj=io.BytesIO(archive), mode="rb")
        self._where = where

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, which must be few."""
        if size is None or not 0 <= size <= _MAX_READ:
            raise refuse(self._where, "one of its headers is far too large")
        self._check(self.tell() + size)
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place that is not too far."""
        self._check(offset)
        return super().seek(offset, whence)

    def _check(self, position: int) -> None:
        if position > MAX_CHART_UNPACKED_BYTES:
            raise refuse(self._where, "it unpacks to far more than its size")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int, where: str) -> bytes:
    if not limit or not member.isreg():
        return b""
    if member.size > limit:
        raise refuse(where, f"{member.name[:200]!r} is too large: more than {limit} bytes")
    stream = tar.extractfile(member)
    return stream.read().removeprefix(_BOM) if stream is not None else b""


def _both(first: bytes, second: bytes) -> bytes:
    """Return one Chart.yaml that says what two say."""
    try:
        trees = [tree for tree in map(go_document, (first, second)) if isinstance(tree, dict)]
    except GoYamlError:
        # Whoever reads the later one says what is wrong with it.
        return second
    return json.dumps({key: value for tree in trees for key, value in tree.items()}).encode()
