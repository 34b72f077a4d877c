"""install.sh of a bundle: the script's text with the tables of what it uses from the medium."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from bundle.base.digest import hex_of
from bundle.texts.install_text import INSTALL


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


def install_script(start: Start) -> str:
    """Return install.sh.

    Args:
        start: Its values are checked: none has a character that means something to a shell.
    """
    text = INSTALL
    words = {
        "ISOWARD": start.isoward,
        "PYTHONS": " ".join(start.pythons),
        "MACHINES": " ".join(start.machines),
        "PIP": start.pip,
    }
    for name, word in words.items():
        text = text.replace(f"@{name}@", word)
    parts = [
        text,
        _comment("The wheels: digest and file name."),
        _function("wheels", _here(_table(start.wheels))),
        _comment("What pip installs, each with the digests that it may have."),
        _function("requirements", _here(start.requirements)),
        _comment("packages SYSTEM: digest and path of the packages and indexes that have a Python"),
        _function("packages", _choice((s.release, _here(_table(s.files))) for s in start.systems)),
        _comment("install_packages SYSTEM: as root, once they have their names below $work/os"),
        _function("install_packages", _choice((s.release, _install(s)) for s in start.systems)),
        'main "$@"\n',
    ]
    return "".join(parts)


def _comment(text: str) -> str:
    return f"\n# {text}\n"


def _function(name: str, body: str) -> str:
    return f"{name}() {{\n{body}}}\n"


def _choice(cases: Iterable[tuple[str, str]]) -> str:
    written = "".join(f"{value})\n{body};;\n" for value, body in cases)
    return f'case "$1" in\n{written}*) return 0 ;;\nesac\n'


def _here(text: str) -> str:
    return f"cat <<'{_END}'\n{text}{_END}\n"


def _table(digests: Mapping[str, str]) -> str:
    return "".join(f"{hex_of(digest)} {path}\n" for path, digest in sorted(digests.items()))


def _install(system: System) -> str:
    write = _apt_source if system.kind == "apt" else _rpm_source
    lines = "".join(write(repository, system.keyring) for repository in system.repositories)
    program = "apt_install" if system.kind == "apt" else "dnf_install"
    return f'cat >"$work/sources" <<{_END}\n{lines}{_END}\n{program} {system.package}\n'


def _apt_source(repository: SystemRepository, keyring: str) -> str:
    options = f"arch=$(dpkg --print-architecture) signed-by=$work/os/{keyring}"
    where = f"file:$work/os/{repository.folder}"
    return f"{' '.join(['deb', f'[{options}]', where, repository.suite, *repository.components])}\n"


def _rpm_source(repository: SystemRepository, keyring: str) -> str:
    return (
        f"[{repository.folder}]\n"
        f"name={repository.folder}\n"
        f"baseurl=file://$work/os/{repository.folder}\n"
        "gpgcheck=1\n"
        f"repo_gpgcheck={int(repository.signed_index)}\n"
        f"gpgkey=file://$work/os/{keyring}\n"
    )
