"""What an InRelease file says, read before apt has verified it.

Nothing is believed here: what is read only decides which indexes are fetched for apt to look at,
and apt refuses an index that the verified file does not name.

Source: the Debian repository format, "Release files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bundle.model.digest import PREFIX
from bundle.model.errors import DefinitionError, FormatError
from bundle.model.lock import Content

_BEGIN: Final = "-----BEGIN PGP SIGNED MESSAGE-----"
_END: Final = "-----BEGIN PGP SIGNATURE-----"
_ENTRY: Final = re.compile(r" ([0-9a-f]{64})[ \t]+([0-9]{1,15})[ \t]+(\S+)")
_FORMS: Final = (".xz", ".zst", ".gz", ".bz2", "")
"""Of an index; apt takes any one of them. The smallest that every release's apt reads is first."""


@dataclass(frozen=True, slots=True)
class AptRelease:
    """A Release file.

    Attributes:
        names: The suite's names.
        by_hash: Whether indexes can be fetched under their digest.
        all_apart: Whether packages of no architecture have an index of their own.
        contents: What it names, by path, with SHA-256.
    """

    names: frozenset[str]
    by_hash: bool
    all_apart: bool
    contents: Mapping[str, Content]

    def indexes(self, component: str, architecture: str) -> Iterator[tuple[str, Content]]:
        """Yield the path and content of each index of packages, in one compression.

        Raises:
            DefinitionError: It has none of this component and architecture.
        """
        found = self._index(component, architecture)
        if found is None:
            raise DefinitionError(
                f"component {component}: the repository has no packages for {architecture}",
                "Correct `components` or `platforms`, or name the repository that has them.",
            )
        yield found
        apart = self._index(component, "all") if self.all_apart else None
        if apart is not None:
            yield apart

    def _index(self, component: str, architecture: str) -> tuple[str, Content] | None:
        for form in _FORMS:
            path = f"{component}/binary-{architecture}/Packages{form}"
            if path in self.contents:
                return path, self.contents[path]
        return None


def read_release(data: bytes, where: str) -> AptRelease:
    """Read the signed text of an InRelease file.

    Raises:
        FormatError: It is not one.
    """
    try:
        first, *lines = data.decode("utf-8").split("\n")
        # The blank line ends the armour's own headers.
        text = lines[lines.index("") + 1 : lines.index(_END)]
    except ValueError:
        first, text = "", []
    if not text or first.rstrip() != _BEGIN:
        raise FormatError(
            f"{where}: expected a signed InRelease file, found something else",
            "Check the repository's address and suite; one without an InRelease cannot be carried.",
        )
    fields = dict(_fields(text))
    all_architectures = "all" in fields.get("architectures", "").split()
    separate = "Packages" not in fields.get("no-support-for-architecture-all", "").split()
    return AptRelease(
        names=frozenset(fields[key] for key in ("suite", "codename") if fields.get(key)),
        by_hash=fields.get("acquire-by-hash", "").lower() == "yes",
        all_apart=all_architectures and separate,
        contents=dict(_contents(text)),
    )


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name and not line.startswith(" "):
            yield name.lower(), value.strip()


def _contents(lines: list[str]) -> Iterator[tuple[str, Content]]:
    inside = False
    for line in lines:
        if not line.startswith(" "):
            inside = line.rstrip().lower() == "sha256:"
            continue
        entry = _ENTRY.fullmatch(line.rstrip()) if inside else None
        if entry is not None:
            yield entry[3], Content(digest=PREFIX + entry[1], size=int(entry[2]))
