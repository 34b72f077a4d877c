"""Kubespray's `contrib/offline` lists: files.list and images.list, joined with its checksums.

The lists have no digests. Kubespray's own checksums.yml has them, by tool, architecture and
version; an address is joined to the one entry whose tool, architecture and version it names.

Source: Kubespray 2.31, contrib/offline/generate_list.sh, roles/kubespray_defaults/vars/main.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bundle.base.digest import PREFIX, is_digest
from bundle.base.errors import DefinitionError
from bundle.kinds.files import FileSource
from bundler.formats.converted import Converted, UnpinnedFile
from bundler.formats.image_list import list_lines, read_image_list
from bundler.formats.yaml_lines import read_documents

_SUFFIX: Final = "_checksums"
_EVERY_ARCHITECTURE: Final = "no_arch"
_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le"}
_FORMS: Final = ("_binary", "_archive")
"""How a tool comes; no part of its name."""
_SHA512: Final = "sha512:"
_LONG: Final = re.compile(r"sha512:[0-9a-f]{128}")
"""Some tools have only these; the file is then fetched once, for a digest of ours."""
_GENERIC: Final = frozenset({"crds", "install"})
"""Words that a tool's name has and its address may lack."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One checksum, of SHA-256 or SHA-512: of a tool, for an architecture, at a version."""

    tool: str
    architecture: str
    version: str
    digest: str


def read_kubespray_lists(
    files: bytes, images: bytes, checksums: bytes, where: tuple[str, str, str]
) -> Converted:
    """Read the two lists and join the files with their checksums.

    Args:
        files: files.list, untrusted.
        images: images.list, untrusted.
        checksums: checksums.yml of the same Kubespray.
        where: The three files' names, for messages.
    Raises:
        DefinitionError: A line is malformed, or a file has no checksum or could have two.
    """
    entries = list(_entries(checksums, where[2]))
    pinned: dict[str, FileSource] = {}
    unpinned: dict[str, UnpinnedFile] = {}
    for line, url in list_lines(files, where[0]):
        place = f"{where[0]}: line {line}"
        digest = _checksum(url, entries, place)
        if digest.startswith(PREFIX):
            pinned[url] = FileSource(url=url, digest=digest)
        else:
            unpinned[url] = UnpinnedFile(url, place, digest.removeprefix(_SHA512))
    return Converted(
        images=read_image_list(images, where[1]).images,
        files=tuple(pinned[url] for url in sorted(pinned)),
        unpinned=tuple(unpinned[url] for url in sorted(unpinned)),
    )


def _entries(data: bytes, where: str) -> Iterator[_Entry]:
    for document in read_documents(data, where):
        if not isinstance(document.value, dict):
            raise document.place.refuse("expected a mapping", "Is it Kubespray's checksums.yml?")
        for name, architectures in document.value.items():
            if not str(name).endswith(_SUFFIX):
                continue
            for architecture, versions in _mapping(architectures).items():
                for version, digest in _mapping(versions).items():
                    text = str(digest)
                    text = text if ":" in text else f"{PREFIX}{text}"
                    if is_digest(text) or _LONG.fullmatch(text):
                        tool = str(name).removesuffix(_SUFFIX)
                        yield _Entry(tool, str(architecture), str(version), text)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}


def _checksum(url: str, entries: list[_Entry], where: str) -> str:
    """Find the one checksum that an address can mean."""
    named = [entry for entry in entries if _names(url, entry)]
    best = max((_weight(url, entry.tool) for entry in named), default=0)
    digests = {entry.digest for entry in named if _weight(url, entry.tool) == best}
    if len(digests) != 1:
        tools = ", ".join(sorted({f"{e.tool} {e.version}" for e in named})) or "none"
        raise DefinitionError(
            f"{where}: {url[:200]}: expected one checksum that fits, found {tools}",
            "Remove the line, or write the file with its digest into the definition by hand.",
        )
    return digests.pop()


def _names(url: str, entry: _Entry) -> bool:
    """Return whether an address names an entry's version, its architecture and all of its tool."""
    version = re.escape(entry.version)
    if not re.search(rf"(?<![0-9A-Za-z])(?:v|(?<![0-9]\.)){version}(?![0-9A-Za-z]|\.[0-9])", url):
        return False
    if entry.architecture != _EVERY_ARCHITECTURE:
        spellings = (entry.architecture, _MACHINES.get(entry.architecture, entry.architecture))
        if not any(re.search(rf"(?<![A-Za-z0-9]){s}(?![A-Za-z0-9])", url) for s in spellings):
            return False
    squeezed = _squeezed(url)
    return all(word in squeezed for word in _words(entry.tool) if word not in _GENERIC)


def _weight(url: str, tool: str) -> int:
    """Weigh how well a tool's words fit: longer ones more, and those of the file's name double."""
    squeezed, name = _squeezed(url), _squeezed(url.rpartition("/")[2])
    words = _words(tool)
    return sum(len(w) * ((w in squeezed) + (w in name)) for w in words)


def _words(tool: str) -> list[str]:
    for form in _FORMS:
        tool = tool.removesuffix(form)
    return tool.split("_")


def _squeezed(text: str) -> str:
    return re.sub(r"[-_.]", "", text.lower())
