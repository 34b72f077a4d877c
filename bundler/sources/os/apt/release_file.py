"""What an InRelease or Release file says, read before apt has verified it.

Nothing is believed here: what is read only decides which indexes are fetched for apt to look at,
and apt refuses an index that the verified file does not name.

Source: the Debian repository format, "Release files".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bundle.base.errors import DefinitionError, FormatError
from bundle.kinds.os_packages import is_flat
from bundler.sources.common.promised import LENGTHS, Promise

_HINT: Final = "Check the repository's address and suite; unsigned ones are not carried."
_BEGIN: Final = "-----BEGIN PGP SIGNED MESSAGE-----"
_END: Final = "-----BEGIN PGP SIGNATURE-----"
_ENTRY: Final = re.compile(r"[ \t]+([0-9A-Fa-f]{64,128})[ \t]+([0-9]{1,15})[ \t]+(\S+)")
_FORMS: Final = (".xz", ".zst", ".gz", ".bz2", ".lzma", ".lz4", "")
"""Of an index; apt takes any one of them. The smallest that every release's apt reads is first."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that a Release file names.

    Attributes:
        path: Below the folder of the Release file.
        promises: What it must be, SHA-256 first where it has that.
    """

    path: str
    promises: tuple[Promise, ...]


@dataclass(frozen=True, slots=True)
class AptRelease:
    """A Release file.

    Attributes:
        names: The suite's names; many small repositories have none.
        by_hash: Whether indexes can be fetched under their digest.
        all_apart: Whether packages of no architecture have an index of their own; some publishers
            have no other.
        contents: What it names, by path.
    """

    names: frozenset[str]
    by_hash: bool
    all_apart: bool
    contents: Mapping[str, Listed]

    def is_suite(self, suite: str) -> bool:
        """Return whether it may be the Release file of a suite, by its own word.

        The folder of a flat repository is no name, and where no name is given none is wrong.
        Source: apt, `pkgAcqMetaBase::VerifyVendor`, which compares what is before the last slash.
        """
        named = {suite, suite.rpartition("/")[0]}
        return is_flat(suite) or not self.names or not self.names.isdisjoint(named)

    def indexes(self, component: str, architecture: str) -> Iterator[tuple[Listed, ...]]:
        """Yield the forms of each index of packages, the one to ask for first.

        Args:
            component: Empty for a flat repository.
            architecture: In Debian's words.
        Raises:
            DefinitionError: It has none of this component and architecture.
        """
        folder = f"{component}/binary-{architecture}/" if component else ""
        found = self._forms(folder)
        apart = self._forms(f"{component}/binary-all/") if component and self.all_apart else ()
        if not found and not apart:
            raise DefinitionError(
                f"component {component}: the repository has no packages for {architecture}"
                if component
                else "the repository lists no packages by SHA-256 or SHA-512: it has no Packages",
                "Correct `suite`, `components` or `platforms`, or name the repository that has "
                "them.",
            )
        yield from (forms for forms in (found, apart) if forms)

    def _forms(self, folder: str) -> tuple[Listed, ...]:
        paths = [f"{folder}Packages{form}" for form in _FORMS]
        return tuple(self.contents[path] for path in paths if path in self.contents)


def read_in_release(data: bytes, where: str) -> AptRelease:
    """Read the signed text of an InRelease file.

    Raises:
        FormatError: It is not one.
    """
    try:
        first, *lines = (line.rstrip("\r") for line in _lines(data))
        # The blank line ends the armour's own headers.
        text = lines[lines.index("") + 1 : lines.index(_END)]
    except ValueError:
        first, text = "", []
    if not text or first.rstrip() != _BEGIN:
        raise _refuse(where, "a signed InRelease file")
    return _read(text, where)


def read_release(data: bytes, where: str) -> AptRelease:
    """Read a Release file, whose signature lies beside it.

    Raises:
        FormatError: It is not one.
    """
    return _read(_lines(data), where)


def _lines(data: bytes) -> list[str]:
    """Return the lines; a label in another encoding is nothing that is read here, nor by apt."""
    return data.decode("utf-8", "replace").split("\n")


def _read(lines: list[str], where: str) -> AptRelease:
    fields = dict(_fields(lines))
    all_architectures = "all" in fields.get("architectures", "").split()
    separate = "Packages" not in fields.get("no-support-for-architecture-all", "").split()
    contents = _contents(lines)
    if not contents:
        weak = [name for name in ("sha1", "md5sum") if name in fields]
        found = f"only {' and '.join(weak)}" if weak else "no list of files"
        raise FormatError(
            f"{where}: expected digests by SHA-256 or SHA-512, found {found}",
            "Such digests are no longer secure: ask the repository's publisher for SHA-256."
            if weak
            else _HINT,
        )
    return AptRelease(
        names=frozenset(fields[key] for key in ("suite", "codename") if fields.get(key)),
        by_hash=fields.get("acquire-by-hash", "").lower() == "yes",
        all_apart=all_architectures and separate,
        contents=contents,
    )


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and name and not line.startswith(" "):
            yield name.lower(), value.strip()


def _contents(lines: list[str]) -> dict[str, Listed]:
    found: dict[str, dict[str, Promise]] = {}
    algorithm = ""
    for line in lines:
        if not line.startswith((" ", "\t")):
            algorithm = line.rstrip().lower().removesuffix(":")
            continue
        entry = _ENTRY.fullmatch(line.rstrip()) if algorithm in LENGTHS else None
        if entry is not None and len(entry[1]) == LENGTHS[algorithm]:
            promise = Promise(algorithm, entry[1].lower(), int(entry[2]))
            found.setdefault(entry[3], {})[algorithm] = promise
    return {
        path: Listed(path, tuple(by[name] for name in LENGTHS if name in by))
        for path, by in found.items()
    }


def _refuse(where: str, expected: str) -> FormatError:
    return FormatError(f"{where}: expected {expected}, found something else", _HINT)
