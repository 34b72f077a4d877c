"""Real apt in a root of its own, which knows one system: an empty one.

It reads nothing of this machine's own apt: not its sources, keys, preferences or package database.
Its repositories are folders that hold what was fetched for it, so it asks no network.

Source: apt.conf(5), sources.list(5), apt-patterns(7).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from bundle.base.errors import DefinitionError, FormatError, SignatureError
from bundle.kinds.os_packages import OsPlace
from bundle.store.atomic import storage_errors
from bundle.store.programs import Finished, Runner
from bundler.sources.common.promised import Promise

_FOLDERS: Final = (
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/sources.list.d",
    "etc/apt/trusted.gpg.d",
    "var/cache/apt/archives/partial",
    "var/lib/apt/lists/partial",
    "var/lib/dpkg",
    "var/log/apt",
)
_BASE: Final = ("?essential", "?priority(required)")
"""What every system of the release has, so that an older one can be brought to the same state."""

_LINE: Final = re.compile(
    r"'copy:([^']+)' (\S+) ([0-9]{1,15}) ?(?:(SHA256|SHA512):([0-9a-f]{64,128}))?.*"
)
_BOTH: Final = ("SHA256", "SHA512")
"""A digest by the first is taken where there is one, since a bundle names all by SHA-256."""

_SHOWN: Final = 1200


@dataclass(frozen=True, slots=True)
class Chosen:
    """A package that apt would install.

    Attributes:
        path: Of the archive, below the mirror's folder.
        name: Of the package.
        version: Of the package.
        architecture: Of the package.
        promise: Of the archive.
    """

    path: str
    name: str
    version: str
    architecture: str
    promise: Promise


class AptRoot:
    """A root for one architecture."""

    def __init__(self, folder: Path, mirror: Path, run: Runner) -> None:
        """Work in an empty folder.

        Args:
            folder: The root itself.
            mirror: Holds a folder for each repository, laid out as it is served.
            run: Runs apt-get.
        """
        self._folder = folder
        self._mirror = mirror
        self._run = run

    def prepare(
        self, architecture: str, places: Iterable[OsPlace], keyring: Path, *, recommends: bool
    ) -> None:
        """Write its configuration.

        Raises:
            StorageError: The disk refused.
        """
        with storage_errors(f"write {self._folder}"):
            for name in _FOLDERS:
                (self._folder / name).mkdir(parents=True)
            (self._folder / "var/lib/dpkg/status").touch()
            signed_by = self._folder / keyring.name
            shutil.copyfile(keyring, signed_by)
            text = "\n".join(self._stanza(place, architecture, signed_by) for place in places)
            sources = self._folder / "etc/apt/sources.list.d/isoward.sources"
            sources.write_text(text, encoding="utf-8")
            settings = _settings(self._folder, architecture, recommends=recommends)
            (self._folder / "apt.conf").write_text(settings, encoding="utf-8")

    def update(self, where: str) -> None:
        """Let apt verify the repositories' signatures, and the indexes against what is signed.

        Raises:
            SignatureError: It refused one; the error has its words.
            ProgramError: It is missing, or did not end.
        """
        done = self._apt("update")
        if done.code != 0:
            raise SignatureError(
                f"{where}: apt does not accept the repository: {_words(done)}",
                "Is `keyring` the distribution's own and current? Do not continue until you know "
                "why.",
            )

    def closure(self, packages: Sequence[str], where: str) -> list[Chosen]:
        """Return what apt would install into an empty system, with and without the base.

        Of alternatives apt takes the one that is there already, so neither need contain the other.

        Raises:
            DefinitionError: It cannot: a package does not exist, or something that it needs.
            FormatError: The repository gives a package no SHA-256 or SHA-512, or no sane path.
            ProgramError: apt is missing, or did not end.
        """
        chosen = [
            found
            for base in ((), _BASE)
            for found in self._install(["--", *packages, *base], where)
        ]
        return list({found.path: found for found in chosen}.values())

    def _install(self, wanted: Sequence[str], where: str) -> list[Chosen]:
        lines: dict[str, re.Match[str]] = {}
        for algorithm in _BOTH:
            done = self._apt(
                "install", "--print-uris", f"-oAcquire::ForceHash={algorithm}", *wanted
            )
            if done.code != 0 and not lines:
                raise DefinitionError(
                    f"{where}: apt cannot install the packages: {_words(done)}",
                    "Correct their names, or add the repository that has the missing ones.",
                )
            for line in done.output.decode("utf-8", "replace").splitlines():
                found = _LINE.fullmatch(line.rstrip())
                if line.startswith("'") and found is None:
                    raise _refuse(where, line)
                if found is not None and not (lines.get(found[1]) or found)[4]:
                    lines[found[1]] = found
                elif found is not None:
                    lines.setdefault(found[1], found)
            if all(found[4] for found in lines.values()):
                break
        return [self._chosen(found, where) for found in lines.values()]

    def _chosen(self, found: re.Match[str], where: str) -> Chosen:
        parts = unquote(found[2]).removesuffix(".deb").split("_")
        folder = f"{self._mirror}/"
        path = unquote(found[1])
        if len(parts) != 3 or not path.startswith(folder) or not found[4]:  # noqa: PLR2004
            raise _refuse(where, found[0])
        name, version, architecture = parts
        promise = Promise(found[4].lower(), found[5], int(found[3]))
        return Chosen(plain_path(path.removeprefix(folder)), name, version, architecture, promise)

    def _apt(self, *arguments: str) -> Finished:
        return self._run(
            ["apt-get", "--yes", "--quiet", *arguments],
            folder=self._folder,
            environment={"APT_CONFIG": str(self._folder / "apt.conf")},
        )

    def _stanza(self, place: OsPlace, architecture: str, keyring: Path) -> str:
        # A flat repository has none, and apt refuses the field for it.
        components = f"Components: {' '.join(place.components)}\n" if place.components else ""
        return (
            "Types: deb\n"
            f"URIs: copy:{quote(str(self._mirror / place.folder))}\n"
            f"Suites: {place.suite}\n"
            f"{components}"
            f"Architectures: {architecture}\n"
            f"Signed-By: {keyring}\n"
        )


def plain_path(path: str) -> str:
    """Return a path without what means nothing in it: many lists have `./pool/...`."""
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def _refuse(where: str, line: str) -> FormatError:
    return FormatError(
        f"{where}: expected a package with a path and a digest by SHA-256 or SHA-512, found "
        f"{line[:200]!r}",
        "The repository is too old, or broken; ask its publisher.",
    )


def _settings(folder: Path, architecture: str, *, recommends: bool) -> str:
    """Return apt.conf; it is read first, so apt looks for all else below `folder`."""
    settings = {
        "Dir": f"{folder}/",
        "Dir::Bin::methods": "/usr/lib/apt/methods",
        "Dir::State::status": f"{folder}/var/lib/dpkg/status",
        "APT::Architecture": architecture,
        "APT::Install-Recommends": "true" if recommends else "false",
        "APT::Install-Suggests": "false",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Check-Valid-Until": "true",
        "Acquire::Languages": "none",
    }
    lines = [f'{name} "{value}";' for name, value in settings.items()]
    return "\n".join([*lines, f'APT::Architectures {{ "{architecture}"; }};', ""])


def _words(done: Finished) -> str:
    """Return what apt said was wrong."""
    lines = done.errors.decode("utf-8", "replace").splitlines()
    said = [line.removeprefix("E: ") for line in lines if line.startswith(("E: ", "W: "))]
    # What cannot be met is explained on the standard output.
    shown = done.output.decode("utf-8", "replace").partition("unmet dependencies:")[2].split("\n")
    said += [" ".join(line.split()) for line in shown if line.strip()]
    return "; ".join(said)[:_SHOWN] or "no reason given"
