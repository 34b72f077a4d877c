"""Python packages: what a definition requests, what a lock names, and what the depot serves.

A set is a separate index. Its environments list which wheels are installed together, for one
Python on one platform; those names, not a resolver, decide what a site's machine gets.

Source: PyPA specifications, "Binary distribution format" (names of wheels) and "Names and
normalization".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec

from bundle.base.content import Content
from bundle.base.digest import Digest, Size, hex_of, short
from bundle.base.documents import Document, Name, QueriedUrl, Text, Url, each_once
from bundle.base.errors import DefinitionError
from bundle.base.names import ServedNames
from bundle.base.patterns import formed
from bundle.base.platform import Platform
from bundle.base.progress import counted
from bundle.base.reference import check_url
from bundle.kinds.protocol import BundleHead, DefinitionHead, Kind, LockHead

PythonVersion = Annotated[
    str, formed(r"^3\.(0|[1-9][0-9]?)$(?!\n)", "a minor version of Python", "3.12", max_length=4)
]
"""A minor version of CPython, such as `3.12`."""

GlibcVersion = Annotated[
    str, formed(r"^2\.[1-9][0-9]$(?!\n)", "a version of the GNU C library", "2.28", max_length=4)
]
"""A version of the GNU C library, such as `2.28`."""

WheelName = Annotated[
    str,
    formed(
        (
            r"^[A-Za-z0-9]([A-Za-z0-9._]{0,98}[A-Za-z0-9])?-[0-9A-Za-z.!+_]{1,64}"
            r"(-[0-9][0-9A-Za-z_.]{0,32})?-[0-9A-Za-z_.]{1,64}-[0-9A-Za-z_.]{1,64}"
            r"-[0-9A-Za-z_.]{1,128}\.whl$(?!\n)"
        ),
        "a wheel's file name",
        "idna-3.10-py3-none-any.whl",
        max_length=255,
    ),
]
"""A wheel's file name; a single component of a path."""

MACHINES: Final[dict[str, str]] = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
"""Python's machine names for each platform."""

MERGED: Final = "simple"
"""Below /pypi/ this is the index over all sets, so no set may use the name."""

_SEPARATORS: Final = re.compile(r"[-_.]+")


class PythonSource(Document, frozen=True, kw_only=True):
    """A set of Python packages.

    Each requirements file is an environment: pinned, and with the hashes of its files.
    """

    name: Name
    """Also the folder that it is served below."""
    requirements: tuple[Text, ...] = ()
    """Files, relative to the definition."""
    kubespray: bool = False
    """Whether Kubespray's own requirements belong to it, as the environment `kubespray`."""
    pythons: Annotated[tuple[PythonVersion, ...], msgspec.Meta(min_length=1)]
    glibc: GlibcVersion
    """The oldest C library of the machines at the sites."""
    index: Url | None = None
    """The index; that of pip's own configuration when left out."""


class LockedWheel(Document, frozen=True, kw_only=True):
    """A wheel by URL."""

    name: WheelName
    url: QueriedUrl
    digest: Digest
    size: Size
    requires_python: Text = ""


class PythonEnvironment(Document, frozen=True, kw_only=True):
    """What is installed together, for one Python on one platform."""

    name: Name
    python: PythonVersion
    platform: Platform
    wheels: tuple[WheelName, ...]
    """Sorted; of the set's files."""


class LockedPythonSet(Document, frozen=True, kw_only=True):
    """A set of Python packages in a lock."""

    name: Name
    files: tuple[LockedWheel, ...]
    environments: tuple[PythonEnvironment, ...]


class WheelEntry(Document, frozen=True, kw_only=True):
    """A wheel in bundle.json."""

    name: WheelName
    digest: Digest
    requires_python: Text = ""


class PythonSet(Document, frozen=True, kw_only=True):
    """A set of Python packages in bundle.json, served below /pypi/<name>/."""

    name: Name
    files: tuple[WheelEntry, ...]
    environments: tuple[PythonEnvironment, ...]


def normal_name(name: str) -> str:
    """Return a project's name in its one normal form."""
    return _SEPARATORS.sub("-", name).lower()


def project_of(wheel: str) -> str:
    """Return the normal name of the project that a wheel is of."""
    return normal_name(wheel.partition("-")[0])


def version_of(wheel: str) -> str:
    """Return the version in a wheel's name, as it is written there."""
    return wheel.split("-", 2)[1]


def python_entry(locked: LockedPythonSet) -> PythonSet:
    """Return a set of a lock as it stands in bundle.json."""
    return PythonSet(
        name=locked.name,
        files=tuple(
            WheelEntry(name=f.name, digest=f.digest, requires_python=f.requires_python)
            for f in locked.files
        ),
        environments=locked.environments,
    )


def requirements_text(found: PythonSet, environment: str) -> str:
    """Write an environment as a requirements file: pinned, with hashes, for every Python of it.

    Args:
        found: The set.
        environment: Its name.
    Returns:
        What `pip install --require-hashes -r` takes; an empty text when there is no such
        environment.
    Source: pip, "Requirements File Format" and "Secure installs".
    """
    members = [e for e in found.environments if e.name == environment]
    targets = {(e.python, MACHINES[e.platform]) for e in members}
    digests = {file.name: file.digest for file in found.files}
    pins: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for member in members:
        for wheel in member.wheels:
            pin = pins.setdefault((project_of(wheel), version_of(wheel)), {})
            pin[member.python, MACHINES[member.platform]] = digests[wheel]
    lines = []
    for (project, version), wanted in sorted(pins.items()):
        marker = "" if wanted.keys() == targets else f" ; {_marker(wanted, targets)}"
        hashes = sorted({hex_of(digest) for digest in wanted.values()})
        lines.append(
            " \\\n    ".join(
                [f"{project}=={version}{marker}", *(f"--hash=sha256:{value}" for value in hashes)]
            )
        )
    return "".join(f"{line}\n" for line in lines)


def _marker(wanted: Iterable[tuple[str, str]], targets: Iterable[tuple[str, str]]) -> str:
    """Say on which Pythons and machines a pin counts."""
    chosen, all_targets = set(wanted), set(targets)
    pythons = sorted({python for python, _ in chosen}, key=_minor)
    if chosen == {target for target in all_targets if target[0] in pythons}:
        return " or ".join(f'python_version == "{python}"' for python in pythons)
    return " or ".join(
        f'(python_version == "{python}" and platform_machine == "{machine}")'
        for python, machine in sorted(chosen, key=lambda pair: (_minor(pair[0]), pair[1]))
    )


def _minor(python: str) -> int:
    return int(python.partition(".")[2])


def check_python_sources(
    sources: tuple[PythonSource, ...], platforms: tuple[Platform, ...]
) -> None:
    """Check what the structure of a definition alone cannot say.

    Raises:
        DefinitionError: A set is a duplicate, asks for nothing, or is for a platform that has no
            wheels that we know of.
    """
    each_once([source.name for source in sources], "pythonPackages")
    for i, source in enumerate(sources):
        where = f"pythonPackages[{i}]"
        if source.name == MERGED:
            raise DefinitionError(
                f"{where}.name: {MERGED!r} is reserved for the index over all sets",
                "Choose another name.",
            )
        if not source.requirements and not source.kubespray:
            raise DefinitionError(
                f"{where}: expected requirements: or kubespray: true, found neither",
                "Name a requirements file with pinned versions and hashes.",
            )
        each_once(list(source.requirements), f"{where}.requirements")
        each_once(list(source.pythons), f"{where}.pythons")
        if source.index is not None:
            check_url(source.index, f"{where}.index")
        for platform in platforms:
            if platform not in MACHINES:
                raise DefinitionError(
                    f"{where}: expected one of {', '.join(MACHINES)}, found platform {platform}",
                    "Move this set to a definition for those platforms.",
                )


def check_locked_python(found: LockedPythonSet) -> None:
    """Check a set of a lock.

    Raises:
        DefinitionError: It names what it does not list, or an address that may not be asked.
    """
    check_python_set(python_entry(found), ServedNames())
    for file in found.files:
        check_url(file.url, f"pythonPackages {found.name}")


def check_python_sets(sets: tuple[PythonSet, ...]) -> None:
    """Check the sets of bundle.json.

    Raises:
        DefinitionError, FormatError: As `check_python_set`, or a name is a duplicate.
    """
    each_once([found.name for found in sets], "pythonPackages")
    served = ServedNames()
    for found in sets:
        check_python_set(found, served)


def check_python_set(found: PythonSet, served: ServedNames) -> None:
    """Check a set of bundle.json.

    Args:
        found: The set.
        served: Collects every name below which its content is served.
    Raises:
        DefinitionError: It names what it does not list, or lists what it does not need.
        FormatError: A name means two things.
    """
    where = f"pythonPackages {found.name}"
    if found.name == MERGED:
        raise DefinitionError(f"{where}: the name is reserved", "Choose another name.")
    listed = {file.name for file in found.files}
    for file in found.files:
        served.add(f"pypi {found.name} {_one_spelling(file.name)}", file.digest)
    if len(listed) != len(found.files):
        raise DefinitionError(f"{where}: duplicate wheel", "Run `isoward lock` again.")
    each_once([f"{e.name} {e.python} {e.platform}" for e in found.environments], where)
    named: set[str] = set()
    for environment in found.environments:
        inside = f"{where}, {environment.name} for Python {environment.python}"
        if environment.platform not in MACHINES:
            raise DefinitionError(
                f"{inside}: {environment.platform} has no wheels", "Run `isoward lock` again."
            )
        each_once([project_of(wheel) for wheel in environment.wheels], inside)
        named.update(environment.wheels)
    if named != listed:
        odd = min(named ^ listed)
        raise DefinitionError(
            f"{where}: {odd} must be both listed and used by an environment",
            "Run `isoward lock` again.",
        )


def python_digests(sets: Iterable[PythonSet]) -> Mapping[str, str]:
    """Return the digest of every wheel by what it is called in messages."""
    return {f"{found.name}/{file.name}": file.digest for found in sets for file in found.files}


def _one_spelling(wheel: str) -> str:
    """Return a wheel's name in one spelling: installers take others for the same file."""
    project, _, rest = wheel.partition("-")
    return f"{normal_name(project)}-{rest.lower()}"


def _check_definition(definition: DefinitionHead) -> None:
    check_python_sources(PYTHON_PACKAGES.asked(definition), definition.platforms)


def _check_lock(lock: LockHead) -> None:
    for found in PYTHON_PACKAGES.locked(lock):
        check_locked_python(found)


def _contents(locked: LockedPythonSet) -> Iterator[Content]:
    yield from (Content(digest=wheel.digest, size=wheel.size) for wheel in locked.files)


def _check_bundle(bundle: BundleHead) -> None:
    check_python_sets(PYTHON_PACKAGES.entries(bundle))


def _page(bundle: BundleHead) -> Iterator[str]:
    for found in PYTHON_PACKAGES.entries(bundle):
        yield f"Python packages {found.name} ({len(found.files)})"
        for env in found.environments:
            wheels = counted(len(env.wheels), "wheel")
            yield f"  {env.name} for Python {env.python} on {env.platform}: {wheels}"
        yield from (f"  {short(file.digest)}  {file.name}" for file in found.files)


def _facts(found: PythonSet) -> dict[str, Any]:
    return {
        "name": found.name,
        "environments": [
            {"name": e.name, "python": e.python, "platform": e.platform, "wheels": len(e.wheels)}
            for e in found.environments
        ],
        "files": [{"name": file.name, "digest": file.digest} for file in found.files],
    }


PYTHON_PACKAGES: Final = Kind[PythonSource, LockedPythonSet, PythonSet](
    field="python_packages",
    title="Python package",
    source=PythonSource,
    entry=python_entry,
    checks_together=(_check_definition,),
    check_lock=_check_lock,
    check_bundle=_check_bundle,
    contents=_contents,
    hosts=lambda locked: (urlsplit(wheel.url).netloc for wheel in locked.files),
    asked_hosts=lambda source: (source.index and urlsplit(source.index).netloc,),
    named=lambda found: python_digests([found]).items(),
    compared=lambda found: python_digests([found]).items(),
    number=lambda found: len(found.files),
    page=_page,
    facts=_facts,
)
