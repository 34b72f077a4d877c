"""How a bare machine starts: isoward's own wheel on the medium, and what install.sh needs.

A definition names the set of Python packages with isoward's dependencies, and the sets of OS
packages that provide a Python for machines without one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

from bundle.base.content import Content
from bundle.base.digest import Digest, Size, short
from bundle.base.documents import Document, Name
from bundle.base.errors import DefinitionError
from bundle.base.extras import OPERATOR
from bundle.base.paths import InnerPath, check_inner_path
from bundle.base.patterns import formed
from bundle.kinds.os_packages import OS_PACKAGES, LockedOs, OsEntry, os_entry
from bundle.kinds.protocol import BundleHead, DefinitionHead, Kind, LockHead
from bundle.kinds.python_packages import (
    MACHINES,
    PYTHON_PACKAGES,
    LockedPythonSet,
    PythonEnvironment,
    PythonSet,
    project_of,
    python_entry,
    requirements_text,
    version_of,
)
from bundle.kinds.systems import SYSTEMS
from bundle.texts.install_script import Start, System, SystemRepository, install_script

OwnWheelName = Annotated[
    str,
    formed(
        r"^isoward-[0-9][0-9A-Za-z.!+_]{0,63}-py3-none-any\.whl$(?!\n)",
        "the file name of a wheel of isoward",
        "isoward-0.1.0-py3-none-any.whl",
        max_length=128,
    ),
]
"""The file name of a wheel of isoward."""

INSTALL_NAME: Final = "install.sh"
"""The script's name, at the top of the bundle."""

OWN_PROJECT: Final = "isoward"

EXTRA: Final = OPERATOR
"""What of isoward a site gets."""

_OWN_NAME: Final = re.compile(r"isoward-[0-9][0-9A-Za-z.!+_]{0,63}-py3-none-any\.whl")


class StartSource(Document, frozen=True, kw_only=True):
    """What a bare machine needs to start."""

    python_packages: Name
    """The set that has what isoward needs, and pip."""
    environment: Name | None = None
    """The environment within the set; may be omitted if it has only one."""
    os_packages: tuple[Name, ...] = ()
    """The sets that have a Python, one a release."""
    wheel: InnerPath | None = None
    """A wheel of isoward, relative to the definition; if omitted, built from the running code."""


class OwnWheel(Document, frozen=True, kw_only=True):
    """The wheel of isoward."""

    name: OwnWheelName
    digest: Digest


class LockedOwnWheel(OwnWheel, frozen=True, kw_only=True):
    """The wheel of isoward in a lock; `path` is relative to it, if a wheel was named."""

    size: Size
    path: InnerPath | None = None


class LockedStart(Document, frozen=True, kw_only=True):
    """What a bare machine starts with, resolved."""

    wheel: LockedOwnWheel
    python_packages: Name
    environment: Name
    os_packages: tuple[Name, ...] = ()


class StartEntry(Document, frozen=True, kw_only=True):
    """What a bare machine starts with, in bundle.json; install.sh follows from it."""

    wheel: OwnWheel
    python_packages: Name
    environment: Name
    os_packages: tuple[Name, ...] = ()

    def takes(self, name: str, environment: str) -> bool:
        """Return whether isoward is installed with this environment of this set."""
        return (name, environment) == (self.python_packages, self.environment)


def is_wheel_name(text: str) -> bool:
    """Return whether a file's name is that of a wheel of isoward."""
    return _OWN_NAME.fullmatch(text) is not None


def start_entry(locked: LockedStart) -> StartEntry:
    """Return the start of a lock as it stands in bundle.json."""
    return StartEntry(
        wheel=OwnWheel(name=locked.wheel.name, digest=locked.wheel.digest),
        python_packages=locked.python_packages,
        environment=locked.environment,
        os_packages=locked.os_packages,
    )


def check_start_source(
    start: StartSource, python_sets: Iterable[str], os_sets: Iterable[str]
) -> None:
    """Check what the structure of a definition alone cannot say.

    Args:
        start: Of the definition.
        python_sets: Names of its sets of Python packages.
        os_sets: Names of its sets of packages of operating systems.
    Raises:
        DefinitionError: It names a set that the definition lacks, or an invalid path.
    """
    _require_known([start.python_packages], python_sets, "pythonPackages")
    _require_known(start.os_packages, os_sets, "osPackages")
    if start.wheel is not None:
        check_inner_path(start.wheel, "start.wheel")


def check_locked_start(
    start: LockedStart,
    python_sets: Iterable[LockedPythonSet],
    os_sets: Iterable[LockedOs],
) -> None:
    """Check the start of a lock.

    Raises:
        DefinitionError: A machine could not start with it.
    """
    parts_of(start_entry(start), map(python_entry, python_sets), map(os_entry, os_sets))
    if start.wheel.path is not None:
        check_inner_path(start.wheel.path, "start.wheel.path")


def parts_of(
    start: StartEntry, python_sets: Iterable[PythonSet], os_sets: Iterable[OsEntry]
) -> Start:
    """Return what install.sh has to know, from what bundle.json says.

    Raises:
        DefinitionError: A set is missing, or lacks what a machine needs to start.
    """
    chosen = {found.name: found for found in python_sets}
    _require_known([start.python_packages], chosen, "pythonPackages")
    found = chosen[start.python_packages]
    members = [e for e in found.environments if e.name == start.environment]
    if not members:
        raise DefinitionError(
            f"start.environment: {found.name!r} has no environment {start.environment!r}",
            f"Name one of: {', '.join(sorted({e.name for e in found.environments}))}.",
        )
    wanted = {wheel for member in members for wheel in member.wheels}
    wheels = {file.name: file.digest for file in found.files if file.name in wanted}
    wheels[start.wheel.name] = start.wheel.digest
    version = version_of(start.wheel.name)
    own = f"{OWN_PROJECT}[{EXTRA}]=={version} --hash={start.wheel.digest}\n"
    pythons = tuple(sorted({e.python for e in members}, key=lambda text: int(text[2:])))
    return Start(
        isoward=version,
        pythons=pythons,
        machines=tuple(sorted({MACHINES[e.platform] for e in members})),
        wheels=wheels,
        pip=_pip(members),
        requirements=own + requirements_text(found, start.environment),
        systems=tuple(_systems(start, os_sets, pythons)),
    )


def _pip(members: Iterable[PythonEnvironment]) -> str:
    """Return the name of the wheel of pip, which each member must have, and the same one."""
    found = [{w for w in member.wheels if project_of(w) == "pip"} for member in members]
    both = set.intersection(*found)
    if not both:
        raise DefinitionError(
            "start: expected pip in the environment, the same for every Python, found none",
            "Add pip to the requirements, pinned and with its hashes.",
        )
    return both.pop()


def _systems(
    start: StartEntry, os_sets: Iterable[OsEntry], pythons: tuple[str, ...]
) -> Iterator[System]:
    known = {entry.name: entry for entry in os_sets}
    _require_known(start.os_packages, known, "osPackages")
    releases: set[str] = set()
    for name in start.os_packages:
        entry = known[name]
        brought = SYSTEMS[entry.release]
        package, python = brought.python_package, brought.python
        if entry.release in releases:
            raise DefinitionError(
                f"start.osPackages: duplicate {entry.release}", "Name one set per release."
            )
        releases.add(entry.release)
        if package not in {found.name for found in entry.packages}:
            raise DefinitionError(
                f"start.osPackages: {name!r} has no package {package}",
                f"Add {package} to its packages, so that a machine without it can start.",
            )
        if python not in pythons:
            raise DefinitionError(
                f"start.osPackages: {name!r} provides Python {python}, found wheels for "
                f"{', '.join(pythons)} only",
                f'Add "{python}" to the pythons of {start.python_packages!r}.',
            )
        yield _system(entry, package)


def _system(entry: OsEntry, package: str) -> System:
    paths = {file.path for file in entry.files}
    return System(
        release=entry.release,
        kind=entry.kind,
        package=package,
        repositories=tuple(
            SystemRepository(
                folder=place.folder,
                suite=place.suite or "",
                components=place.components,
                signed_index=f"{place.folder}/repodata/repomd.xml.asc" in paths,
            )
            for place in entry.repositories
        ),
        keyring=entry.keyring.path,
        files={file.path: file.digest for file in (entry.keyring, *entry.files)},
    )


def _require_known(wanted: Iterable[str], known: Iterable[str], kind: str) -> None:
    names = set(known)
    for name in wanted:
        if name not in names:
            raise DefinitionError(
                f"start.{kind}: {name!r} is not the name of a set under {kind}:",
                f"Name one of: {', '.join(sorted(names)) or 'there are none'}.",
            )


def _check_definition(definition: DefinitionHead) -> None:
    for start in START.asked(definition):
        python = [source.name for source in PYTHON_PACKAGES.asked(definition)]
        systems = [source.name for source in OS_PACKAGES.asked(definition)]
        check_start_source(start, python, systems)


def _check_glibc(definition: DefinitionHead) -> None:
    """Check that the wheels of the start work with the C library of each of its systems.

    Raises:
        DefinitionError: They would not.
    """
    for start in START.asked(definition):
        sets = PYTHON_PACKAGES.asked(definition)
        wanted = [one.glibc for one in sets if one.name == start.python_packages]
        for system in OS_PACKAGES.asked(definition):
            has = SYSTEMS[system.release].glibc
            if system.name in start.os_packages and any(_minor(has) < _minor(w) for w in wanted):
                raise DefinitionError(
                    f"start: {system.release} has glibc {has}, and the wheels of "
                    f"{start.python_packages} are for glibc {', '.join(wanted)}",
                    f"Write glibc: '{has}' or an older one for {start.python_packages}.",
                )


def _minor(glibc: str) -> int:
    return int(glibc.partition(".")[2])


def _check_lock(lock: LockHead) -> None:
    for start in START.locked(lock):
        check_locked_start(start, PYTHON_PACKAGES.locked(lock), OS_PACKAGES.locked(lock))


def _check_bundle(bundle: BundleHead) -> None:
    if bool(START.entries(bundle)) != (INSTALL_NAME in {file.path for file in bundle.layout}):
        raise DefinitionError(f"{INSTALL_NAME} and `start` require each other", "")
    for start in START.entries(bundle):
        parts_of(start, PYTHON_PACKAGES.entries(bundle), OS_PACKAGES.entries(bundle))


def _layout(lock: LockHead) -> Iterator[tuple[str, bytes]]:
    """Yield the layout file of a medium that carries its own start."""
    python, systems = PYTHON_PACKAGES.locked(lock), OS_PACKAGES.locked(lock)
    for start in START.locked(lock):
        parts = parts_of(start_entry(start), map(python_entry, python), map(os_entry, systems))
        yield INSTALL_NAME, install_script(parts).encode("ascii")


def _page(bundle: BundleHead) -> Iterator[str]:
    for start in START.entries(bundle):
        systems = ", ".join(start.os_packages) or "no system"
        packages = f"{start.python_packages} ({start.environment})"
        yield f"start ({INSTALL_NAME})"
        yield f"  {short(start.wheel.digest)}  {start.wheel.name}"
        yield f"  with Python packages {packages}, a Python for {systems}"


START: Final = Kind[StartSource, LockedStart, StartEntry](
    field="start",
    title="start",
    source=StartSource,
    entry=start_entry,
    single=True,
    is_content=False,
    checks_together=(_check_definition, _check_glibc),
    check_lock=_check_lock,
    check_bundle=_check_bundle,
    contents=lambda start: [Content(digest=start.wheel.digest, size=start.wheel.size)],
    layout=_layout,
    named=lambda start: [(start.wheel.name, start.wheel.digest)],
    compared=lambda start: [(start.wheel.name, start.wheel.digest)],
    compared_in=PYTHON_PACKAGES.field,
    dependencies=lambda start: [(start.wheel.digest, start.wheel.name, "")],
    told=lambda _: "a start for machines without isoward",
    page=_page,
)
