"""Looking into wheels: an environment that needs what it does not have fails here, not at a site.

Source: PyPA specifications, "Binary distribution format" and "Core metadata".
"""

from __future__ import annotations

import email.parser
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from packaging.requirements import Requirement
from packaging.version import Version

from bundle.base.errors import DefinitionError, FormatError
from bundle.base.limits import (
    MAX_REASON,
    MAX_WHEEL_MEMBERS,
    MAX_WHEEL_METADATA_BYTES,
    MAX_WHEEL_REQUIRES,
)
from bundle.kinds.python_packages import PythonEnvironment, normal_name, project_of, version_of
from bundle.kinds.start import EXTRA, OWN_PROJECT, is_wheel_name
from bundle.model.manifest import Manifest
from bundle.store.atomic import storage_errors
from bundle.store.layout import BundleDirectory
from bundler.sources.python.target import Target

_SUFFIX: Final = ".dist-info/METADATA"
_BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OverflowError,
    ValueError,
    RuntimeError,
)
"""What reading a broken archive or its metadata may raise, the parsers' own errors among them."""


@dataclass(frozen=True, slots=True)
class WheelMetadata:
    """What a wheel says of itself.

    Attributes:
        version: Its own.
        python: Which Pythons it is for.
        requires: What it needs.
    """

    version: Version
    python: str
    requires: tuple[Requirement, ...]


def check_wheels(bundle: BundleDirectory, manifest: Manifest) -> None:
    """Check that each environment of a bundle has all that its wheels, and isoward's own, need.

    Args:
        bundle: Its blobs, which are of their digests.
        manifest: Of the bundle.
    Raises:
        DefinitionError: A wheel needs a package that its environment has not, or not so.
        FormatError: A wheel is not what its name says.
        StorageError: A blob cannot be read.
    """
    start = manifest.start
    for found in manifest.python_packages:
        known = {
            file.name: read_metadata(bundle.blob_path(file.digest), file.name)
            for file in found.files
        }
        for environment in found.environments:
            where = (
                f"pythonPackages {found.name}: {environment.name} for Python "
                f"{environment.python} on {environment.platform}"
            )
            _check_environment(environment, known, where)
            if start is not None and start.takes(found.name, environment.name):
                wheel = start.wheel
                own = {wheel.name: read_metadata(bundle.blob_path(wheel.digest), wheel.name)}
                both = replace(environment, wheels=(*environment.wheels, wheel.name))
                _check_environment(both, known | own, f"start: {where}", EXTRA)


def _check_environment(
    environment: PythonEnvironment, known: dict[str, WheelMetadata], where: str, own_extra: str = ""
) -> None:
    # The C library is no matter here: markers do not know it.
    target = Target(environment.python, environment.platform, "2.17")
    members = {project_of(wheel): known[wheel] for wheel in environment.wheels}
    for project, member in members.items():
        if not target.accepts_python(member.python):
            raise DefinitionError(
                f"{where}: {project} {member.version} is for Python {member.python[:100]}",
                "Choose another version; the index did not tell.",
            )
    # Extras that some member asks of another are followed until none is new.
    pending: list[tuple[str, str]] = [(project, "") for project in sorted(members)]
    if own_extra:
        pending.append((OWN_PROJECT, own_extra))
    seen = set(pending)
    while pending:
        project, extra = pending.pop()
        for requirement in members[project].requires:
            if not _counts(project, requirement, target, extra):
                continue
            needed = normal_name(requirement.name)
            _check_has(members, needed, requirement, f"{where}: {project}")
            more = [(needed, wanted) for wanted in sorted(requirement.extras)]
            pending += [pair for pair in more if pair not in seen]
            seen.update(more)


def _counts(project: str, requirement: Requirement, target: Target, extra: str) -> bool:
    try:
        return target.wants(requirement.marker, extra)
    except ValueError as error:
        why = f"the marker of {requirement.name[:100]} cannot be evaluated: {error}"
        raise _refuse(project, why[:MAX_REASON]) from error


def _check_has(
    members: dict[str, WheelMetadata], needed: str, requirement: Requirement, who: str
) -> None:
    found = members.get(needed)
    shown = f"{requirement.name}{requirement.specifier}"[:200]
    if found is None or not requirement.specifier.contains(found.version, prereleases=True):
        raise DefinitionError(
            f"{who} needs {shown}, found {found.version if found else 'none'}",
            "Make the requirements file again with `pip-compile` or `uv pip compile --universal`, "
            "for all of these Pythons, then run `isoward lock` again.",
        )


def read_metadata(path: Path, name: str) -> WheelMetadata:
    """Read what a wheel says of itself.

    Args:
        path: Of the wheel; of the bytes that were promised, else untrusted.
        name: The wheel's file name.
    Raises:
        FormatError: It is no wheel, or not the one that its name says.
        StorageError: A blob cannot be read.
    """
    try:
        with (
            storage_errors(f"read {path}"),
            path.open("rb") as file,
            zipfile.ZipFile(file) as zipped,
        ):
            data, project = _member(zipped, name)
        return _parse(data, name, project)
    except _BROKEN as error:
        raise _refuse(name, f"{type(error).__name__}: {error}"[:200]) from error


def _member(zipped: zipfile.ZipFile, name: str) -> tuple[bytes, str]:
    """Return the bytes of METADATA, and the project by its folder; nothing else is unpacked."""
    entries = zipped.infolist()
    if len(entries) > MAX_WHEEL_MEMBERS:
        raise _refuse(name, f"it has more than {MAX_WHEEL_MEMBERS} files")
    # Of two entries with one name the later counts, as for all that read archives of this kind.
    found = list(
        {
            entry.filename: entry
            for entry in entries
            if entry.filename.endswith(_SUFFIX) and entry.filename.count("/") == 1
        }.values()
    )
    if len(found) != 1:
        raise _refuse(name, f"it has {len(found)} METADATA files, expected 1")
    if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refuse(name, "it uses an unsupported compression")
    with zipped.open(found[0]) as member:
        data = member.read(MAX_WHEEL_METADATA_BYTES + 1)
    if len(data) > MAX_WHEEL_METADATA_BYTES:
        raise _refuse(name, f"its METADATA has more than {MAX_WHEEL_METADATA_BYTES} bytes")
    return data, found[0].filename.removesuffix(_SUFFIX).partition("-")[0]


def _parse(data: bytes, name: str, project: str) -> WheelMetadata:
    """Read METADATA as pip does; obsolete fields and unknown ones say nothing to either.

    Args:
        data: Untrusted.
        name: The wheel's file name.
        project: As the folder of METADATA has it, for one that does not say its name.
    """
    head = email.parser.Parser().parsestr(data.decode("utf-8"), headersonly=True)
    lines = head.get_all("Requires-Dist", [])
    if len(lines) > MAX_WHEEL_REQUIRES:
        raise _refuse(name, f"it needs more than {MAX_WHEEL_REQUIRES} others")
    version = Version(str(head.get("Version", "")))
    said = normal_name(str(head.get("Name") or project).strip())
    if (said, version) != (project_of(name), Version(version_of(name))):
        raise _refuse(name, f"it claims to be {said[:100]} {str(version)[:100]}")
    # A long line is folded, and the first of its parts may be empty.
    requires = tuple(Requirement(" ".join(str(line).split())) for line in lines)
    return WheelMetadata(version, str(head.get("Requires-Python", "")).strip(), requires)


def _refuse(name: str, why: str) -> FormatError:
    hint = "Ask the index's operator; do not use it until you know why."
    if is_wheel_name(name):
        hint = "Reinstall isoward, or name a wheel of it as `wheel:` under `start:`."
    return FormatError(f"{name}: the wheel does not match its name: {why}", hint)
