"""Requirements files: pinned, with hashes, and nothing else.

What says where packages come from, or lets code run, is the definition's to say or nobody's: every
option of pip's but `--hash` and `-r` is refused.

Source: pip, "Requirements File Format"; PyPA, "Dependency specifiers".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from bundle.base.digest import is_digest
from bundle.base.errors import DefinitionError
from bundle.base.limits import MAX_REASON, MAX_REQUIREMENTS_BYTES
from bundle.kinds.python_packages import normal_name
from bundle.store.atomic import storage_errors
from bundle.store.reading import read_bounded

_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")
_HASH: Final = re.compile(r"--hash[= ](\S+)")
_INCLUDE: Final = re.compile(r"(?:-r|--requirement)(?:\s+|=)(\S+)")
_LOGIN: Final = re.compile(r"//[^/\s@]*@")
_MAX_FILES: Final = 50
"""Files that include each other; a cycle ends here."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a requirements file.

    Attributes:
        name: Of the project, in its normal form.
        version: Exactly this one.
        requirement: The line's marker and extras.
        digests: Of the files that may be used.
        where: File and line, for messages.
    """

    name: str
    version: Version
    requirement: Requirement
    digests: frozenset[str]
    where: str


def read_requirements(folder: Path, name: str) -> list[Pin]:
    """Read a requirements file of a definition, with those that it includes.

    Args:
        folder: The definition's; nothing outside of it is read.
        name: Relative to it.
    Raises:
        DefinitionError: There is no such file, or a line is not a pin with hashes.
        StorageError: A blob cannot be read.
    """
    return list(_read(folder, PurePosixPath(name), f"requirements {name!r}", [_MAX_FILES]))


def parse_requirements(text: str, where: str) -> list[Pin]:
    """Read requirements that are one text and include no other.

    Raises:
        DefinitionError: A line is not a pin with hashes.
    """
    return [_pin(line, f"{where}:{number}") for number, line in _logical_lines(text)]


def _read(folder: Path, name: PurePosixPath, asked_by: str, left: list[int]) -> Iterator[Pin]:
    left[0] -= 1
    if left[0] < 0:
        raise DefinitionError(
            f"{asked_by}: expected at most {_MAX_FILES} requirements files, found more",
            "Files must not include each other in a cycle.",
        )
    for number, line in _logical_lines(_text(folder, name, asked_by)):
        where = f"{name}:{number}"
        include = _INCLUDE.fullmatch(line)
        if include is not None:
            yield from _read(folder, name.parent / include[1], where, left)
        else:
            yield _pin(line, where)


def _text(folder: Path, name: PurePosixPath, asked_by: str) -> str:
    plain = ":" not in str(name) and str(name).isprintable()
    inside = plain and not name.is_absolute() and ".." not in name.parts
    path = folder / name
    with storage_errors(f"read {path}"):
        if not inside or not path.resolve().is_relative_to(folder.resolve()):
            raise DefinitionError(
                f"{asked_by}: {str(name)[:200]!r} is outside the definition's folder",
                "Keep requirements files next to the definition, or in a folder below it.",
            )
        if not path.is_file():
            raise DefinitionError(f"{asked_by}: {name}: no such file", "Check the path.")
    larger = DefinitionError(
        f"{name}: expected at most {MAX_REQUIREMENTS_BYTES} bytes, found more",
        "Is it a requirements file?",
    )
    data = read_bounded(path, MAX_REQUIREMENTS_BYTES, larger)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{name}: expected UTF-8: {error}", "Save it as UTF-8.") from error


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines without comments, those that a backslash goes on with put together."""
    parts: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), 1):
        first = first if parts else number
        line = raw.rstrip()
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            parts.append(line[:-1].strip())
            continue
        # pip takes a comment away after it has put lines together.
        parts.append(line.strip())
        whole = _COMMENT.sub("", " ".join(part for part in parts if part)).strip()
        parts = []
        if whole:
            yield first, whole
    rest = _COMMENT.sub("", " ".join(part for part in parts if part)).strip()
    if rest:
        yield first, rest


def _pin(line: str, where: str) -> Pin:
    """Read one line."""
    if line.startswith("-"):
        option = line.split(maxsplit=1)[0].partition("=")[0]
        raise DefinitionError(
            f"{where}: {option[:100]!r} is not accepted: expected packages with hashes",
            "Set the index with index: in the definition, and remove the line.",
        )
    digests = set()
    for found in _HASH.finditer(line):
        if not is_digest(found[1]):
            raise DefinitionError(
                f"{where}: expected --hash=sha256:<64 hex>, found {found[1][:100]!r}",
                "Make the file with `pip-compile --generate-hashes` or `uv pip compile "
                "--generate-hashes`.",
            )
        digests.add(found[1])
    requirement = _requirement(_HASH.sub("", line).strip(), where)
    if not digests:
        raise DefinitionError(
            f"{where}: {requirement.name} has no hash",
            "Make the file with `pip-compile --generate-hashes` or `uv pip compile "
            "--generate-hashes`.",
        )
    return Pin(
        name=normal_name(requirement.name),
        version=_pinned_version(requirement, where),
        requirement=requirement,
        digests=frozenset(digests),
        where=where,
    )


def without_login(text: str) -> str:
    """Return `text` without the users and passwords of the addresses in it."""
    return _LOGIN.sub("//", text)


def _requirement(text: str, where: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError, ValueError) as error:
        reason = without_login(" ".join(str(error).split()))[:MAX_REASON]
        raise DefinitionError(
            f"{where}: {without_login(text)[:200]!r} is not a requirement: {reason}",
            "Write it as name==1.2.3 --hash=sha256:<64 hex>; local paths and URLs are not "
            "accepted.",
        ) from error
    if requirement.url is not None:
        raise DefinitionError(
            f"{where}: {requirement.name} names a URL, expected a version from an index",
            "Publish it to an index, or carry the file under files:.",
        )
    return requirement


def _pinned_version(requirement: Requirement, where: str) -> Version:
    """Return the one version that a requirement allows."""
    specifiers = list(requirement.specifier)
    if len(specifiers) == 1 and specifiers[0].operator == "==":
        try:
            return Version(specifiers[0].version)
        except ValueError:
            pass  # such as 1.*, which is no single version, or a number without end
    raise DefinitionError(
        f"{where}: expected {requirement.name}==<version>, found "
        f"{str(requirement.specifier)[:100] or 'any version'!r}",
        "Make the file with `pip-compile --generate-hashes` or `uv pip compile --generate-hashes`.",
    )
