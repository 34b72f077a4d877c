"""The programs of this machine that a definition needs, asked for before anything is resolved.

Else the last chart of a long lock would be where a missing Helm is said.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Final

from bundle.base.errors import MissingProgramError
from bundle.store.programs import Runner
from bundler.model.definition import Definition
from bundler.sources.os.rpm.solve import PYTHONS

_GIT: Final = ("git", "--version")
_HELM: Final = ("helm", "version", "--short")
_GPGV: Final = ("gpgv", "--version")
_UV: Final = (sys.executable, "-m", "uv", "--version")
_RPM: Final = (("gpg", "--version"), _GPGV, ("rpmkeys", "--version"))
_APT: Final = (("apt-get", "--version"), _GPGV)


def require_programs(definition: Definition, run: Runner) -> None:
    """Check that this machine has what will be run.

    Args:
        definition: Checked.
        run: Runs the machine's programs; each one is asked for its version only.
    Raises:
        MissingProgramError: It lacks some; all of them are named, with what needs them.
    """
    needed: dict[tuple[str, ...], list[str]] = {}
    for command, who in _needs(definition):
        needed.setdefault(tuple(command), []).append(who)
    missing = dict(_missing(needed, run))
    for who in _without_dnf(definition, run):
        missing.setdefault("python3-dnf", []).append(who)
    if missing:
        said = "; ".join(f"{name} (for {', '.join(who[:3])})" for name, who in missing.items())
        names = ", ".join(missing)
        helm = " Helm can also be named under helm:." if "helm" in missing else ""
        raise MissingProgramError(
            f"missing on this machine, but needed by the definition: {said}",
            f"Install {names}, and make sure that programs are on the PATH.{helm}",
            {"program": names},
        )


def _needs(definition: Definition) -> Iterator[tuple[Sequence[str], str]]:
    for i, chart in enumerate(definition.charts):
        if chart.not_rendered is None and definition.helm is None:
            yield _HELM, f"charts[{i}]"
    yield from ((_GIT, place) for place in _from_git(definition))
    for i, source in enumerate(definition.os_packages):
        for command in _APT if source.kind == "apt" else _RPM:
            yield command, f"osPackages[{i}]"
    for i, python in enumerate(definition.python_packages):
        if python.kubespray:
            yield _UV, f"pythonPackages[{i}]"


def _from_git(definition: Definition) -> Iterator[str]:
    yield from (f"charts[{i}]" for i, one in enumerate(definition.charts) if one.git)
    yield from (f"files[{i}]" for i, one in enumerate(definition.files) if one.git)
    if definition.kubespray is not None and definition.kubespray.git is not None:
        yield "kubespray"


def _missing(
    needed: dict[tuple[str, ...], list[str]], run: Runner
) -> Iterator[tuple[str, list[str]]]:
    for command, who in needed.items():
        name = "uv" if command == _UV else command[0]
        try:
            done = run(command)
        except MissingProgramError:
            yield name, who
        else:
            # Python is always there; the module is what may be missing.
            if command == _UV and done.code != 0:
                yield name, who


def _without_dnf(definition: Definition, run: Runner) -> Iterator[str]:
    wanting = [i for i, one in enumerate(definition.os_packages) if one.kind == "rpm"]
    if not wanting or any(_has_dnf(python, run) for python in PYTHONS):
        return
    yield from (f"osPackages[{i}]" for i in wanting)


def _has_dnf(python: str, run: Runner) -> bool:
    try:
        return run([python, "-I", "-c", "import dnf, hawkey"]).code == 0
    except MissingProgramError:
        return False
