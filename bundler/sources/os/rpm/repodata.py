"""repomd.xml: which metadata files an rpm repository has, each by its checksum.

What those files hold is for dnf to read; this one is read here, since it says what to fetch.

Source: createrepo_c; libsolv, repo_repomdxml.c; dnf.conf(5), "optional_metadata_types".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_OS_INDEX_BYTES, MAX_REASON, MAX_REPOMD_DEPTH
from bundler.sources.common.promised import LENGTHS, Promise

NAMESPACE: Final = "http://linux.duke.edu/metadata/repo"
CARRIED: Final = frozenset(
    {"primary", "filelists", "other", "group", "modules", "updateinfo", "prestodelta"}
)
"""What dnf asks for, also compressed in other ways (`group_gz`, `primary_zck`)."""

_FORMS: Final = frozenset({"", "gz", "xz", "zst", "zck"})
_SEPARATOR: Final = " "
_DATA: Final = (f"{NAMESPACE}{_SEPARATOR}repomd", f"{NAMESPACE}{_SEPARATOR}data")
_MAX_TEXT: Final = 1000
_MAX_FILES: Final = 100
_HEX: Final = re.compile(r"[0-9a-f]+")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """A file of a repository's metadata.

    Attributes:
        kind: As repomd.xml calls it.
        path: Below the repository's address, unchecked.
        promise: Of the file as it is sent.
    """

    kind: str
    path: str
    promise: Promise


def read_repomd(data: bytes, where: str) -> tuple[MetadataFile, ...]:
    """Return the files that dnf may ask for, sorted by path.

    Args:
        data: repomd.xml, of bounded size.
        where: Its address, for messages.
    Raises:
        FormatError: Not such a document, without a primary, or with a file without a checksum of
            SHA-2.
    """
    reader = _Reader(where)
    # The encoding is said outright: a document could name any that Python knows, or none.
    parser = expat.ParserCreate("utf-8", _SEPARATOR)
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)  # noqa: FBT003 - expat's own signature: this is all of it
    except expat.ExpatError as error:
        raise refuse(where, f"it is not XML ({str(error)[:MAX_REASON]})") from error
    files = [_file(entry, where) for entry in reader.entries if is_carried(entry.kind)]
    for files_of in ([file.kind for file in files], [file.path for file in files]):
        if len(set(files_of)) != len(files_of):
            raise refuse(where, "duplicate metadata type or file")
    if "primary" not in {file.kind for file in files}:
        raise refuse(where, "it names no primary metadata")
    return tuple(sorted(files, key=lambda file: file.path))


def is_carried(kind: str) -> bool:
    """Return whether dnf may ask for metadata of this kind."""
    base, _, form = kind.partition("_")
    return base in CARRIED and form in _FORMS


def refuse(where: str, why: str) -> FormatError:
    """Return an error about a document of a repository."""
    return FormatError(
        f"{where}: {why}", "Is it the address of an rpm repository? Otherwise ask its operator."
    )


@dataclass(slots=True)
class _Entry:
    kind: str
    path: str = ""
    checksums: dict[str, str] = field(default_factory=dict)
    size: str = ""


class _Reader:
    """Takes expat's events; bounded in depth, number and length."""

    def __init__(self, where: str) -> None:
        self.entries: list[_Entry] = []
        self._where = where
        self._open: list[str] = []
        self._text = ""
        self._checksum = ""

    def doctype(self, *_: object) -> None:
        """Refuse what entities are declared in."""
        raise refuse(self._where, "it has a document type, which could declare entities")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Enter an element."""
        self._open.append(name)
        if len(self._open) > MAX_REPOMD_DEPTH:
            raise refuse(self._where, f"nested deeper than {MAX_REPOMD_DEPTH} levels")
        if self._open[0] != _DATA[0]:
            raise refuse(self._where, "it is another kind of XML document")
        self._text = ""
        if tuple(self._open) == _DATA:
            self.entries.append(_Entry(attributes.get("type", "")))
            if len(self.entries) > _MAX_FILES:
                raise refuse(self._where, f"it names more than {_MAX_FILES} files")
        elif self._in_entry() == "location":
            if f"http://www.w3.org/XML/1998/namespace{_SEPARATOR}base" in attributes:
                raise elsewhere(f"{self._where}: the metadata {self.entries[-1].kind[:50]}")
            self.entries[-1].path = attributes.get("href", "")
        elif self._in_entry() == "checksum":
            self._checksum = attributes.get("type", "")

    def end(self, _: str) -> None:
        """Leave an element."""
        what = self._in_entry()
        if what == "checksum":
            self.entries[-1].checksums[self._checksum] = self._text.strip()
        elif what == "size":
            self.entries[-1].size = self._text.strip()
        self._open.pop()

    def text(self, data: str) -> None:
        """Take text within an element."""
        if self._in_entry():
            self._text += data
            if len(self._text) > _MAX_TEXT:
                raise refuse(self._where, f"an element has more than {_MAX_TEXT} characters")

    def _in_entry(self) -> str:
        """Return the name of the element of a file that is open, if one is."""
        inside = len(self._open) == len(_DATA) + 1 and tuple(self._open[: len(_DATA)]) == _DATA
        return self._open[-1].removeprefix(NAMESPACE + _SEPARATOR) if inside else ""


def promised(checksums: Mapping[str, str], size: int | None, where: str) -> Promise:
    """Return the best of some checksums.

    Args:
        checksums: In hexadecimal, by the name of their kind.
        size: In bytes, if it is known.
        where: What has them, for messages.
    Raises:
        FormatError: None is of SHA-2.
    """
    for algorithm, length in LENGTHS.items():
        value = checksums.get(algorithm, "").lower()
        if len(value) == length and _HEX.fullmatch(value):
            return Promise(algorithm, value, size)
    found = ", ".join(sorted(checksums)) or "none"
    weak = not {"sha", "sha1", "md5"}.isdisjoint(checksums)
    raise FormatError(
        f"{where}: expected a checksum by SHA-256 or SHA-512, found {found[:MAX_REASON]}",
        "Such a checksum is no longer secure: ask the repository's operator for metadata made by "
        "`createrepo_c --checksum sha256`."
        if weak
        else "Ask the repository's operator for metadata with SHA-256.",
    )


def elsewhere(what: str) -> FormatError:
    """Return the error about something that the metadata wants fetched from another address."""
    return FormatError(
        f"{what} is at another address (xml:base)",
        "The signed metadata is fixed, so a site's machines would ask that address and not the "
        "depot: use a mirror of the repository with the packages below its own address.",
    )


def _file(entry: _Entry, where: str) -> MetadataFile:
    size = int(entry.size) if _NUMBER.fullmatch(entry.size) else -1
    # Old metadata has no sizes at all.
    if entry.size and not 0 <= size <= MAX_OS_INDEX_BYTES:
        raise refuse(
            where,
            f"{entry.kind}: expected a size up to {MAX_OS_INDEX_BYTES} bytes, "
            f"found {entry.size[:30]!r}",
        )
    known = size if entry.size else None
    return MetadataFile(
        entry.kind, entry.path, promised(entry.checksums, known, f"{where}: {entry.kind}")
    )
