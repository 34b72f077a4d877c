"""Python packages: from requirements to the wheels that pip would choose on the sites' machines.

For each named Python on each platform the pins that count are found by their markers, and of each
pin's files the one that pip would take there. Nothing is solved: requirements are complete and
pinned. Those that are not, such as Kubespray's own, are pinned first, see `pinned.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Final

import msgspec
from packaging.utils import canonicalize_name, parse_wheel_filename

from bundle.base.documents import Name
from bundle.base.errors import DefinitionError, DigestMismatchError, FormatError
from bundle.kinds.python_packages import (
    LockedPythonSet,
    LockedWheel,
    PythonEnvironment,
    PythonSource,
    WheelName,
)
from bundle.store.hashing import run_parallel
from bundler.model.definition import Definition
from bundler.sources.common.context import PythonWant, SourceContext
from bundler.sources.python.pinned import pin_requirements
from bundler.sources.python.requirements import Pin, parse_requirements, read_requirements
from bundler.sources.python.simple_index import IndexFile, ProjectIndex, checked_address, pip_index
from bundler.sources.python.target import Target

_PAGE_THREADS: Final = 6
_SHOWN: Final = 5
_MAX_NAME: Final = 255
"""Characters of a file name; no longer one can be locked, or taken apart in bounded time."""
Choice = tuple[Pin, IndexFile]


def resolve_python(
    definition: Definition, wants: Iterable[PythonWant], context: SourceContext
) -> list[LockedPythonSet]:
    """Resolve all sets of Python packages of a definition.

    Args:
        definition: Checked.
        wants: Of its other content.
        context: What sources work with.
    Returns:
        Sorted by name.
    Raises:
        DefinitionError: A requirement is not pinned, or has no wheel for a Python or a platform.
        DigestMismatchError: The index has other files than the requirements' hashes say.
        FormatError: The index is malformed.
        TransportError: And its subclasses, when it cannot be had.
        ProgramError: pip or uv failed.
    """
    asked = list(wants)
    found = [
        _Set(source, definition, asked, context).lock() for source in definition.python_packages
    ]
    return sorted(found, key=lambda locked: locked.name)


class _Set:
    """The resolution of one set."""

    def __init__(
        self,
        source: PythonSource,
        definition: Definition,
        wants: list[PythonWant],
        context: SourceContext,
    ) -> None:
        self._source = source
        self._context = context
        self._wants = wants if source.kubespray else []
        url = source.index or pip_index(context.run)
        self._index = ProjectIndex(url, context)
        self._targets = [
            Target(python, platform, source.glibc)
            for python in source.pythons
            for platform in definition.platforms
        ]

    def lock(self) -> LockedPythonSet:
        """Resolve every environment of the set."""
        pins = self._pins()
        pages = self._pages({pin.name for found in pins.values() for pin in found})
        wheels: dict[str, LockedWheel] = {}
        environments = []
        for (name, target), counting in pins.items():
            chosen = [self._choose(pin, pages[pin.name], target) for pin in counting]
            for _, file in chosen:
                self._add(wheels, file)
            environments.append(
                PythonEnvironment(
                    name=name,
                    python=target.python,
                    platform=target.platform,
                    wheels=tuple(sorted(file.name for _, file in chosen)),
                )
            )
        return LockedPythonSet(
            name=self._source.name,
            files=tuple(wheels[name] for name in sorted(wheels)),
            environments=tuple(sorted(environments, key=_place)),
        )

    def _pins(self) -> dict[tuple[str, Target], list[Pin]]:
        """Return the pins that count, by environment and machine."""
        found: dict[tuple[str, Target], list[Pin]] = {}
        for path in self._source.requirements:
            pins = read_requirements(self._context.folder, path)
            name = _environment_name(path)
            if (name, self._targets[0]) in found:
                raise DefinitionError(
                    f"pythonPackages {self._source.name}: two requirements files are called {name}",
                    "The file names the environment: rename one of them.",
                )
            for target in self._targets:
                found[name, target] = counting_pins(pins, target)
        if self._source.kubespray and not self._wants:
            raise DefinitionError(
                f"pythonPackages {self._source.name}: kubespray: true, but nothing in the "
                "definition needs Python packages",
                "Add kubespray: to the definition, or remove it here.",
            )
        for want in self._wants:
            for target in self._targets:
                text = pin_requirements(want, target, self._index.url, self._context.run)
                pins = parse_requirements(text, f"requirements of {want.by}")
                found[want.environment, target] = counting_pins(pins, target)
        return found

    def _pages(self, projects: set[str]) -> Mapping[str, list[IndexFile]]:
        """Read the page of each project once, a few at a time."""
        pages: dict[str, list[IndexFile]] = {}
        stopped = threading.Event()

        def read(project: str) -> None:
            if not stopped.is_set():
                pages[project] = self._index.files(project)

        run_parallel(read, sorted(projects), _PAGE_THREADS, stopped.set)
        return pages

    def _choose(self, pin: Pin, files: list[IndexFile], target: Target) -> Choice:
        file = choose_wheel(
            pin, files, target, where=self._index.url, measured=self._index.measured
        )
        if file.yanked is not None:
            reason = "".join(c for c in file.yanked if c.isprintable())[:200]
            self._context.progress.note(
                f"{pin.where}: {file.name} was yanked by its project: {reason or 'no reason'}"
            )
        return pin, file

    def _add(self, wheels: dict[str, LockedWheel], file: IndexFile) -> None:
        if file.name in wheels:
            return
        wheels[file.name] = LockedWheel(
            name=msgspec.convert(file.name, WheelName),
            url=checked_address(file, self._index.url),
            digest=file.digest,
            size=self._index.size(file),
            requires_python=_requires(file, self._index.url),
        )


def choose_wheel(
    pin: Pin,
    files: list[IndexFile],
    target: Target,
    where: str,
    measured: Callable[[IndexFile], IndexFile],
) -> IndexFile:
    """Choose among a project's files as pip does for a pin with hashes.

    Args:
        pin: What is wanted.
        files: All of the project.
        target: The machine.
        where: The index, for messages.
        measured: Fetches a file whose digest the index does not say; the best ones come first.
    Raises:
        DefinitionError: No wheel of this version is for this machine.
        DigestMismatchError: There is one, but it is not of the pin's digests.
    Source: pip, CandidateEvaluator: not taken back, then the best tag, then the highest build.
    """
    known, others = _candidates(pin, files, target)
    for place, file in enumerate(known):
        if not file.digest:
            known[place] = measured(file)
        if known[place].digest in pin.digests:
            return known[place]
    if known:
        raise _other_digest(pin, known[0], where)
    raise _no_wheel(pin, others, target, where)


def _candidates(
    pin: Pin, files: list[IndexFile], target: Target
) -> tuple[list[IndexFile], list[str]]:
    """Return the wheels of a pin's version for a machine, the best first, and others' names."""
    fitting: list[tuple[tuple[bool, int, tuple[int, str] | tuple[()]], IndexFile]] = []
    others = []
    for file in files:
        if len(file.name) > _MAX_NAME:
            continue
        try:
            name, version, build, tags = parse_wheel_filename(file.name)
        except ValueError:
            if file.name.endswith((".tar.gz", ".zip")) and str(pin.version) in file.name:
                others.append(file.name)
            continue
        if name != canonicalize_name(pin.name) or version != pin.version:
            continue
        rank = min((target.ranks[tag] for tag in tags if tag in target.ranks), default=None)
        if rank is None or not target.accepts_python(file.requires_python):
            others.append(file.name)
            continue
        fitting.append(((file.yanked is None, -rank, build), file))
    fitting.sort(key=lambda found: (found[0], found[1].name), reverse=True)
    return [file for _, file in fitting], others


def _other_digest(pin: Pin, file: IndexFile, where: str) -> DigestMismatchError:
    return DigestMismatchError(
        f"{pin.where}: {where}: expected {file.name} with one of the {len(pin.digests)} hashes of "
        f"the requirement, found {file.digest or 'no digest'}",
        "The index has a different file than the requirement names; do not use it until you "
        "know why.",
        {"file": file.name, "found": file.digest},
    )


def _no_wheel(pin: Pin, others: list[str], target: Target, where: str) -> DefinitionError:
    known = ", ".join(sorted(name[:100] for name in others)[:_SHOWN]) or "none of this version"
    more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return DefinitionError(
        f"{pin.where}: {where} has no wheel of {pin.name} {pin.version} for {target}, "
        f"found {known}{more}",
        "Only wheels are carried: choose another version, Python or glibc, or publish a wheel "
        "made from the source distribution to an index of your own.",
        {"project": pin.name, "version": str(pin.version), "python": target.python},
    )


def counting_pins(pins: Iterable[Pin], target: Target) -> list[Pin]:
    """Return the pins that count on a machine, each project once, sorted.

    Raises:
        DefinitionError: Two of them pin different versions.
    """
    found: dict[str, Pin] = {}
    for pin in pins:
        if not _counts(pin, target):
            continue
        known = found.setdefault(pin.name, pin)
        if known.version != pin.version:
            raise DefinitionError(
                f"{pin.where}: {pin.name}=={pin.version}, but {known.where} has "
                f"{known.version} for {target}",
                "Keep one of the two.",
            )
        if known is not pin:
            both = known.digests | pin.digests
            found[pin.name] = Pin(pin.name, pin.version, pin.requirement, both, known.where)
    return [found[name] for name in sorted(found)]


def _counts(pin: Pin, target: Target) -> bool:
    try:
        return target.wants(pin.requirement.marker)
    except ValueError as error:
        raise DefinitionError(
            f"{pin.where}: its marker cannot be evaluated: {str(error)[:200]}",
            "Correct the marker, or generate the file again.",
        ) from error


def _environment_name(path: str) -> str:
    name = PurePosixPath(path).stem
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise DefinitionError(
            f"requirements {path!r}: expected a file name of lower-case letters, digits, '.' and "
            f"'-', found {name[:100]!r}",
            "Rename the file, since the environment is served under its name.",
        ) from error


def _requires(file: IndexFile, where: str) -> str:
    text = file.requires_python
    if not text.isprintable() or len(text) > 500:  # noqa: PLR2004 - far above any real one
        raise FormatError(
            f"{where}: {file.name}: its Requires-Python is not a single line", "Ask its operator."
        )
    return text


def _place(environment: PythonEnvironment) -> tuple[str, int, str]:
    return environment.name, int(environment.python.partition(".")[2]), environment.platform
