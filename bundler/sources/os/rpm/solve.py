"""What an empty system would install: dnf's answer over metadata that was verified before.

The repositories are laid out in a folder, by links into the blob cache. dnf reads them there, so
it needs no network, and what it solves with is exactly what the lock names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from bundle.base.errors import DefinitionError, FormatError, MissingProgramError, ProgramError
from bundle.base.limits import (
    MAX_REASON,
    MAX_RPM_BYTES,
    MAX_RPM_PACKAGES,
    RPM_SOLVER_MEMORY,
    RPM_SOLVER_SECONDS,
)
from bundle.base.yaml.strict import readable_problem
from bundle.kinds.os_names import OsPath, PackageArchitecture, PackageName, PackageVersion
from bundle.store.atomic import storage_errors
from bundle.store.programs import Bounds, Finished, Runner
from bundler.sources.common.promised import Promise
from bundler.sources.os.rpm import solver as rpm_solver
from bundler.sources.os.rpm.repodata import elsewhere, promised

PYTHONS: Final = ("/usr/bin/python3", "/usr/libexec/platform-python")
"""The system's own, for which dnf is installed; ours is another one, in an environment."""


_ANSWER: Final = "answer.json"


class Solved(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A package of the closure, as the repository's primary metadata has it.

    Attributes:
        repository: The name under which the job has it.
        location: Below the repository's address.
        base: Another address that the metadata wants it fetched from; none is accepted.
        checksum: In hexadecimal.
        size: In bytes.
    """

    repository: str
    name: PackageName
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    version: PackageVersion
    release: PackageVersion
    architecture: PackageArchitecture
    location: OsPath
    base: Annotated[str, msgspec.Meta(max_length=0)]
    checksum_kind: str
    checksum: str
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_RPM_BYTES)]

    @property
    def promise(self) -> Promise:
        """What the package's file must be.

        Raises:
            FormatError: It has no checksum of SHA-2.
        """
        return promised({self.checksum_kind: self.checksum}, self.size, self.name)

    @property
    def full_version(self) -> str:
        """Epoch, version and release; an epoch of 0 is not written, as rpm does not."""
        epoch = f"{self.epoch}:" if self.epoch else ""
        return f"{epoch}{self.version}-{self.release}"

    @property
    def identity(self) -> str:
        """What the package's own header must say."""
        return f"{self.name}-{self.epoch}:{self.version}-{self.release}.{self.architecture}"


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    packages: tuple[msgspec.Raw, ...] = ()
    missing: bool = False
    unsolved: str = ""
    unknown: str = ""
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What dnf is asked.

    Attributes:
        repositories: Folders with their repodata, by name.
        packages: Their names, or what they provide.
        release: `releasever`, such as `9`.
        architecture: In rpm's words, such as `x86_64`.
        weak: Whether what they recommend is wanted as well.
    """

    repositories: Mapping[str, Path]
    packages: tuple[str, ...]
    release: str
    architecture: str
    weak: bool


def solve(question: Question, folder: Path, run: Runner, where: str) -> tuple[Solved, ...]:
    """Ask dnf for the closure of some packages on an empty system.

    Args:
        question: Its repositories' metadata is verified.
        folder: Private and empty.
        run: Runs the machine's programs.
        where: What it is for, for messages.
    Returns:
        Sorted by repository and location.
    Raises:
        DefinitionError: A package is not there, or something that one needs is not.
        FormatError: The metadata cannot be read, or says what cannot be.
        MissingProgramError: This machine has no dnf.
        ProgramError: dnf failed.
        StorageError: The disk refused.
    """
    path = folder / "job.json"
    with storage_errors(f"write {path}"):
        path.write_text(json.dumps(_job(question, folder)), encoding="utf-8")
    answer = _ask(path, folder / _ANSWER, run, where)
    if answer.unknown or answer.unsolved:
        raise DefinitionError(
            f"{where}: dnf cannot install this on an empty system: "
            f"{_line(answer.unknown or answer.unsolved)}",
            "Add the repository that has the missing packages, or correct the package's name.",
        )
    if answer.unreadable:
        raise FormatError(
            f"{where}: dnf cannot read the repositories' metadata: {_line(answer.unreadable)}",
            "Is one of them incomplete? Ask its operator.",
        )
    if len(answer.packages) > MAX_RPM_PACKAGES:
        raise FormatError(
            f"{where}: expected at most {MAX_RPM_PACKAGES} packages, found {len(answer.packages)}",
            "Split the list into several.",
        )
    return tuple(_package(raw, where) for raw in answer.packages)


def _job(question: Question, folder: Path) -> dict[str, Any]:
    """Return the question as `rpm_solver` takes it."""
    return {
        "repositories": {n: path.resolve().as_uri() for n, path in question.repositories.items()},
        "packages": sorted(question.packages),
        "release": question.release,
        "modulePlatform": f"platform:el{question.release}",
        "architecture": question.architecture,
        "weak": question.weak,
        "folder": str(folder),
        "answer": str(folder / _ANSWER),
        "memory": RPM_SOLVER_MEMORY,
    }


def _ask(job: Path, answer: Path, run: Runner, where: str) -> _Answer:
    """Run the program with the first Python of the system that has dnf."""
    program = str(Path(rpm_solver.__file__).resolve())
    for python in PYTHONS:
        try:
            # -I: neither this process's environment nor its folder decide what is imported.
            done = run(
                [python, "-I", "-B", program, str(job)],
                folder=job.parent,
                environment={"HOME": str(job.parent)},
                bounds=Bounds(RPM_SOLVER_SECONDS),
            )
        except MissingProgramError:
            continue
        found = _decode(done, answer, where)
        if not found.missing:
            return found
    raise MissingProgramError(
        f"{where}: this machine has no dnf for {' or '.join(PYTHONS)}",
        "Install python3-dnf, and rpm with it.",
        {"program": "python3-dnf"},
    )


def _decode(done: Finished, answer: Path, where: str) -> _Answer:
    if done.code != 0:
        words = done.errors.decode("utf-8", "replace").strip().splitlines() or [
            "it printed nothing"
        ]
        raise ProgramError(
            f"{where}: expected dnf to exit with 0, found {done.code}: {_line(words[-1])}",
            "Is the metadata of a repository damaged, or far larger than a distribution's?",
            {"exitCode": done.code},
        )
    try:
        with storage_errors(f"read {answer}"):
            return msgspec.json.decode(answer.read_bytes(), type=_Answer)
    except msgspec.MsgspecError as error:
        raise ProgramError(
            f"{where}: dnf gave an invalid answer ({error})", "Is its Python the system's own?"
        ) from error


def _package(raw: msgspec.Raw, where: str) -> Solved:
    said = msgspec.json.decode(raw)
    if isinstance(said, dict) and said.get("base"):
        raise elsewhere(f"{where}: the package {_line(str(said.get('name')))}")
    try:
        found = msgspec.json.decode(raw, type=Solved)
    except msgspec.MsgspecError as error:
        raise FormatError(
            f"{where}: the metadata has an unsupported package, "
            f"{_line(str(said.get('name')))} at {_line(str(said.get('location')))}: "
            f"{readable_problem(str(error), said)}",
            "Do not use the repository until you know why.",
        ) from error
    promised({found.checksum_kind: found.checksum}, found.size, f"{where}: {found.name}")
    return found


def _line(text: str) -> str:
    """Return foreign text as one bounded line."""
    return " ".join(text.split())[:MAX_REASON]
