"""A Python environment for Kubespray, out of the wheels that a bundle carries.

It is made below the depot, once for each set of wheels, and used by every run afterwards. A virtual
environment cannot be moved, so it grows where it stays; a marker, written last, says that it is
whole. What has no marker is made anew.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import DefinitionError, InstallError
from bundle.base.progress import Progress
from bundle.kinds.python_packages import (
    MACHINES,
    PythonEnvironment,
    PythonSet,
    project_of,
    version_of,
)
from bundle.model.manifest import Manifest
from bundle.store.atomic import directory_lock, make_directory, storage_errors, write_atomic
from bundle.store.hashing import hash_stream
from bundle.store.programs import Bounds, Runner, require_success, run_program
from installer.depot.accepted import AcceptedContent
from installer.depot.directory import DepotDirectory

NAME: Final = "kubespray"
"""What a bundle calls the environment with Kubespray's Ansible."""

FOLDER: Final = "environments"
_MARKER: Final = "finished.json"
_PROGRAM: Final = "ansible-playbook"
_NAME_LENGTH: Final = 16
_SECONDS: Final = 1800.0
_ISOLATED: Final[dict[str, str]] = {
    "PIP_CONFIG_FILE": os.devnull,
    "PYTHONHOME": "",
    "PYTHONPATH": "",
}
"""Nothing that the user or the machine has set may decide what is installed."""


_PIP_LEAST: Final = (22, 3)
"""The first pip that installs for another Python (`--python`)."""
_NUMBER: Final = re.compile(r"[0-9]+")


def _own_pip() -> str | None:
    try:
        return metadata.version("pip")
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """What an environment has to fit.

    Attributes:
        machine: As `uname -m` says it.
        python: Version of the Python that runs this, such as `3.11`.
        program: That Python.
        find: Finds another program by its name; None when there is none.
        run: Runs programs.
        pip: Version of the pip beside the Python that runs this; None when there is none.
    """

    machine: str = field(default_factory=platform.machine)
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"
    program: str = sys.executable
    find: Callable[[str], str | None] = shutil.which
    run: Runner = run_program
    pip: str | None = field(default_factory=_own_pip)


@dataclass(frozen=True, slots=True)
class ChosenEnvironment:
    """The environment of a bundle that this machine can have.

    Attributes:
        python: Its version of Python.
        program: The Python of this machine that it is made with.
        wheels: Digest of each wheel by its file name.
    """

    python: str
    program: str
    wheels: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Of all that decides what it becomes."""
        return digest_of(canonical_json({"python": self.python, "wheels": dict(self.wheels)}))


def choose_environment(manifest: Manifest, machine: ThisMachine | None = None) -> ChosenEnvironment:
    """Choose the environment `kubespray` of a bundle for a Python that this machine has.

    Raises:
        DefinitionError: The bundle has no such environment.
        InstallError: It has none for a Python and a platform of this machine.
    """
    here = machine or ThisMachine()
    offered = [
        (found, environment)
        for found in manifest.python_packages
        for environment in found.environments
        if environment.name == NAME
    ]
    if not offered:
        raise DefinitionError(
            f"the bundle {manifest.metadata.name} {manifest.metadata.version} has no Python "
            f"environment {NAME!r}, which Kubespray runs in",
            "Ask the vendor for a bundle whose pythonPackages have kubespray: true.",
        )
    fitting = [pair for pair in offered if MACHINES.get(pair[1].platform) == here.machine]
    # Our own Python comes first: it is known to be there, and to work.
    fitting.sort(key=lambda pair: (pair[1].python != here.python, -_minor(pair[1].python)))
    for found, environment in fitting:
        program = _program_of(environment, here)
        if program is not None:
            return _chosen(found, environment, program)
    has = ", ".join(sorted({f"Python {e.python} on {e.platform}" for _, e in offered}))
    raise InstallError(
        f"expected a Python that the bundle has Kubespray's environment for ({has}), found "
        f"Python {here.python} on {here.machine}",
        "Install one of these beside it, from the media of the operating system.",
    )


def prepare_environment(
    depot: DepotDirectory,
    bundle: AcceptedContent,
    chosen: ChosenEnvironment,
    progress: Progress,
    machine: ThisMachine | None = None,
) -> Path:
    """Make an environment, unless it is there already; return its ansible-playbook.

    Args:
        depot: Which has the wheels' blobs.
        bundle: That the environment was chosen from.
        chosen: The environment.
        progress: Told when it takes a while.
        machine: This one, or a test's.
    Raises:
        IntegrityError: A wheel is not the one that the bundle names.
        ProgramError: pip did not install it.
        BusyError: Another process is making one.
        StorageError: The disk refused.
    """
    here = machine or ThisMachine()
    folder = depot.path / FOLDER
    # The whole digest would make first lines of scripts longer than some kernels read.
    target = folder / hex_of(chosen.digest)[:_NAME_LENGTH]
    made = canonical_json({"python": chosen.python, "wheels": dict(chosen.wheels)})
    make_directory(folder, 0o700)
    folder.chmod(0o700)
    with directory_lock(folder):
        marker = target / _MARKER
        if not marker.is_file() or marker.read_bytes() != made:
            progress.note(f"making Kubespray's Python environment in {target}")
            with storage_errors(f"make {target}"):
                shutil.rmtree(target, ignore_errors=True)
                _make(depot, bundle, chosen, target=target, here=here)
            write_atomic(marker, made)
    return target / "bin" / _PROGRAM


def _make(
    depot: DepotDirectory,
    bundle: AcceptedContent,
    chosen: ChosenEnvironment,
    target: Path,
    here: ThisMachine,
) -> None:
    hint = "Check the free space; then run the same command again."
    with TemporaryDirectory(prefix="isoward-wheels-") as temporary:
        wheels = Path(temporary)
        for name, digest in chosen.wheels.items():
            _link_checked(depot, bundle, name, digest=digest, target=wheels / name)
        pins = wheels / "requirements.txt"
        pins.write_text(_requirements(chosen), encoding="utf-8")
        done = here.run(
            [chosen.program, "-I", "-m", "venv", "--without-pip", str(target)],
            environment=_ISOLATED,
        )
        require_success(done, "python -m venv", hint)
        python = target / "bin" / "python"
        pip = _pip(depot, bundle, wheels, python=python, here=here)
        # The list is complete, so there is nothing to resolve; whether it is, pip says afterwards.
        options = ["--no-index", "--no-deps", "--find-links", str(wheels), "--require-hashes"]
        options += ["--only-binary", ":all:", "--no-compile", "--no-cache-dir", "--no-input"]
        done = here.run(
            [*pip, "install", *options, "-r", str(pins)],
            environment=_ISOLATED,
            bounds=Bounds(_SECONDS),
        )
        require_success(done, f"pip install of Kubespray's environment into {target}", hint)
        done = here.run([*pip, "check"], environment=_ISOLATED, bounds=Bounds(_SECONDS))
        # What is missing stands in its output.
        done = replace(done, errors=done.errors + done.output)
        require_success(done, f"pip check of {target}", "Ask the vendor for a complete bundle.")
    done = here.run([str(target / "bin" / _PROGRAM), "--version"], environment=_ISOLATED)
    require_success(done, f"{_PROGRAM} --version", "The bundle's environment does not run here.")
    # The marker must not outlive a power cut that its files did not.
    os.sync()


def _pip(
    depot: DepotDirectory,
    bundle: AcceptedContent,
    wheels: Path,
    python: Path,
    here: ThisMachine,
) -> list[str]:
    """Return the command that is pip: out of a wheel of the bundle, else our own."""
    quiet = ["--isolated", "--disable-pip-version-check"]
    for found in bundle.manifest.python_packages:
        for file in found.files:
            if project_of(file.name) == "pip":
                _link_checked(
                    depot, bundle, file.name, digest=file.digest, target=wheels / file.name
                )
                return [str(python), "-I", str(wheels / file.name / "pip"), *quiet]
    if here.pip is None or tuple(map(int, _NUMBER.findall(here.pip)[:2])) < _PIP_LEAST:
        raise InstallError(
            f"expected pip in the bundle, or one from {'.'.join(map(str, _PIP_LEAST))} on beside "
            f"{here.program}, found {here.pip or 'none'}",
            "Ask the vendor for a bundle with start:, which has pip.",
        )
    return [here.program, "-I", "-m", "pip", "--python", str(python), *quiet]


def _link_checked(
    depot: DepotDirectory, bundle: AcceptedContent, name: str, digest: str, target: Path
) -> None:
    """Give a blob the name of a wheel, after its bytes were checked."""
    blob = depot.blob_path(digest)
    with storage_errors(f"read {name}"), blob.open("rb", buffering=0) as stream:
        hash_stream(stream, bundle.sizes[digest], digest, name=name, advance=lambda _: None)
        if not target.is_symlink():
            target.symlink_to(blob)


def _requirements(chosen: ChosenEnvironment) -> str:
    return "".join(
        f"{project_of(wheel)}=={version_of(wheel)} --hash=sha256:{hex_of(digest)}\n"
        for wheel, digest in sorted(chosen.wheels.items())
    )


def _chosen(found: PythonSet, environment: PythonEnvironment, program: str) -> ChosenEnvironment:
    digests = {file.name: file.digest for file in found.files}
    wheels = {name: digests[name] for name in environment.wheels}
    return ChosenEnvironment(environment.python, program, wheels)


def _program_of(environment: PythonEnvironment, here: ThisMachine) -> str | None:
    if environment.python == here.python:
        return here.program
    return here.find(f"python{environment.python}")


def _minor(python: str) -> int:
    return int(python.partition(".")[2])
