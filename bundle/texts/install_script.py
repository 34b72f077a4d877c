"""install.sh of a bundle: files/install.sh with the tables of what it uses from the medium."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from bundle.base.digest import hex_of
from bundle.texts.render import render


@dataclass(frozen=True, slots=True)
class SystemRepository:
    """A repository of packages of an operating system.

    Attributes:
        folder: Below which its files lie.
        suite: Of an apt repository; empty for rpm.
        components: Of an apt repository.
        signed_index: Whether an rpm repository's index has a signature of its own.
    """

    folder: str
    suite: str = ""
    components: tuple[str, ...] = ()
    signed_index: bool = False


@dataclass(frozen=True, slots=True)
class System:
    """An operating system that the medium has a Python for.

    Attributes:
        release: As install.sh names it, such as `debian-12`.
        kind: Of its packages.
        package: That brings Python.
        repositories: In this order.
        keyring: Path of the public keys that sign them.
        files: Digest of every file by its path.
    """

    release: str
    kind: Literal["apt", "rpm"]
    package: str
    repositories: tuple[SystemRepository, ...]
    keyring: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Start:
    """What a machine starts with.

    Attributes:
        isoward: The version of isoward.
        pythons: Versions that the wheels are for, such as `3.11`.
        machines: As `uname -m` says them.
        wheels: Digest of every wheel by its file name.
        pip: File name of the wheel of pip.
        requirements: For `pip install --no-deps --require-hashes`; complete.
        systems: Of which the medium has a Python.
    """

    isoward: str
    pythons: tuple[str, ...]
    machines: tuple[str, ...]
    wheels: Mapping[str, str]
    pip: str
    requirements: str
    systems: tuple[System, ...] = ()


_END: Final = "END"
"""Ends a table; no line of one is this, for each begins with a digest or a project's name."""
_UNQUOTED: Final = re.compile(r"[A-Za-z0-9 ._+~:!/-]+")
"""What no shell takes for anything else, with or without quotes."""


def install_script(start: Start) -> str:
    """Return install.sh, in ASCII.

    It is POSIX sh, with what a bare Debian, Ubuntu or Rocky machine has: coreutils, grep, sed, apt
    or dnf.

    Args:
        start: What it says was checked when the lock was read.
    Raises:
        ValueError: A value means something to a shell; a mistake of ours.
    """
    systems = start.systems
    return render(
        __package__,
        "files/install.sh",
        {
            "ISOWARD": _plain(start.isoward),
            "PYTHONS": _plain(" ".join(start.pythons)),
            "MACHINES": _plain(" ".join(start.machines)),
            "PIP": _plain(start.pip),
        },
        {
            "WHEELS": _table(start.wheels),
            "REQUIREMENTS": _here(start.requirements),
            "PACKAGES": _cases(
                (s.release, f"cat <<'{_END}'\n{_table(s.files)}{_END}\n") for s in systems
            ),
            "INSTALLATIONS": _cases((s.release, _install(s)) for s in systems),
        },
    )


def _plain(text: str) -> str:
    if not _UNQUOTED.fullmatch(text):
        raise ValueError(f"install.sh: expected no character of a shell's, found {text!r}")
    return text


def _cases(cases: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{_plain(value)})\n{body};;\n" for value, body in cases)


def _table(digests: Mapping[str, str]) -> str:
    return _here("".join(f"{hex_of(d)} {path}\n" for path, d in sorted(digests.items())))


def _here(text: str) -> str:
    """Return what stands in a here-document whose end is quoted."""
    if _END in text.split("\n"):
        raise ValueError(f"install.sh: a line of a table is {_END!r}")
    return text


def _install(system: System) -> str:
    write = _apt_source if system.kind == "apt" else _rpm_source
    lines = "".join(write(repository, system.keyring) for repository in system.repositories)
    program = "apt_install" if system.kind == "apt" else "dnf_install"
    return f'cat >"$work/sources" <<{_END}\n{lines}{_END}\n{program} {_plain(system.package)}\n'


def _apt_source(repository: SystemRepository, keyring: str) -> str:
    options = f"arch=$(dpkg --print-architecture) signed-by=$work/os/{_plain(keyring)}"
    what = _plain(" ".join([repository.folder, repository.suite, *repository.components]))
    return f"deb [{options}] file:$work/os/{what}\n"


def _rpm_source(repository: SystemRepository, keyring: str) -> str:
    folder = _plain(repository.folder)
    return (
        f"[{folder}]\n"
        f"name={folder}\n"
        f"baseurl=file://$work/os/{folder}\n"
        "gpgcheck=1\n"
        f"repo_gpgcheck={int(repository.signed_index)}\n"
        f"gpgkey=file://$work/os/{_plain(keyring)}\n"
    )
