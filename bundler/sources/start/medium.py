"""The start of a bare machine: isoward's own wheel, and the sets that install.sh takes it with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError
from bundle.kinds.os_packages import LockedOs
from bundle.kinds.python_packages import (
    LockedPythonSet,
    PythonEnvironment,
    project_of,
)
from bundle.kinds.start import (
    LockedOwnWheel,
    LockedStart,
    StartSource,
    check_locked_start,
)
from bundler.sources.common.context import SourceContext
from bundler.sources.common.opener import BlobStream, Opener, WholeBytes
from bundler.sources.files.local import below
from bundler.sources.start.own_wheel import MadeWheel, make_wheel, read_wheel, requirements_of


def resolve_start(
    source: StartSource,
    python_sets: Iterable[LockedPythonSet],
    os_sets: Iterable[LockedOs],
    context: SourceContext,
) -> LockedStart:
    """Lock what a bare machine starts with; its wheel is kept in the store.

    Args:
        source: Of the definition.
        python_sets: The definition's sets of Python packages, resolved.
        os_sets: Its sets of packages of operating systems, resolved.
        context: What sources work with.
    Raises:
        DefinitionError: A machine could not start with it.
        DigestMismatchError: The isoward that runs is not what was installed.
        StorageError: The disk refused.
    """
    wheel = _wheel(source.wheel, context.folder)
    digest = digest_of(wheel.data)
    context.store.put_bytes(digest, wheel.data)
    sets = {found.name: found for found in python_sets}
    chosen = sets[source.python_packages]
    environment = source.environment or _only_environment(chosen)
    locked = LockedStart(
        wheel=LockedOwnWheel(
            name=wheel.name, digest=digest, size=len(wheel.data), path=source.wheel
        ),
        python_packages=source.python_packages,
        environment=environment,
        os_packages=source.os_packages,
    )
    check_locked_start(locked, sets.values(), os_sets)
    for member in chosen.environments:
        if member.name == environment:
            _check_needs(wheel, member, chosen.name)
    return locked


def start_openers(locked: LockedStart, context: SourceContext) -> Iterator[tuple[str, Opener]]:
    """Yield how a build opens isoward's own wheel when the cache has it no longer, by digest."""
    yield locked.wheel.digest, _own_wheel(locked.wheel, context.folder)


def _own_wheel(locked: LockedOwnWheel, folder: Path) -> Opener:

    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it is always whole
        wheel = _wheel(locked.path, folder)
        found = digest_of(wheel.data)
        if found != locked.digest:
            raise FormatError(
                f"start: expected {locked.name} as {locked.digest}, found {wheel.name} as {found}",
                "Another isoward wrote the lock: use that one, or run `isoward lock` again.",
            )
        return WholeBytes(wheel.data)

    return opener


def _wheel(path: str | None, folder: Path) -> MadeWheel:
    if path is None:
        return make_wheel()
    below(folder, path, f"start.wheel: {path}")
    return read_wheel(folder / path)


def _only_environment(found: LockedPythonSet) -> str:
    names = sorted({member.name for member in found.environments})
    if len(names) != 1:
        raise DefinitionError(
            f"start: {found.name!r} has the environments {', '.join(names)}",
            "Choose one with `environment:` under `start:`.",
        )
    return names[0]


def _check_needs(wheel: MadeWheel, member: PythonEnvironment, name: str) -> None:
    """Check that an environment has every project that isoward needs, by name."""
    missing = (requirements_of(wheel) or frozenset()) - set(map(project_of, member.wheels))
    if missing:
        raise DefinitionError(
            f"start: {name} {member.name} for Python {member.python} lacks "
            f"{', '.join(sorted(missing))}, which {wheel.name} needs",
            "Pin isoward's own dependencies in its requirements, as requirements/start.txt does.",
        )
