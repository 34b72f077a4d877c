"""The operating systems that a site's machines may run: one table for everything.

A release is supported if and only if it is listed here, whether for preflight, osPackages, the
start of a bare machine or Kubespray.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

Release = Literal[
    "debian-12",
    "debian-13",
    "rocky-9",
    "rocky-10",
    "ubuntu-22.04",
    "ubuntu-24.04",
]
"""As a definition and a bundle name it; the keys of `SYSTEMS`."""

Tool = Literal["apt", "rpm"]
_NUMBER: Final = re.compile(r"v?(2)\.(\d{1,3})\.")
"""Of a release of Kubespray, all of which are 2; a fork may count otherwise."""


@dataclass(frozen=True, slots=True)
class SupportedSystem:
    """A release of a distribution.

    Attributes:
        name: For a person, without the version.
        version: As os-release has it; of Rocky the major one.
        tool: What its packages are for.
        python_package: The package that brings a Python which isoward runs with.
        python: That Python.
        glibc: Its C library: wheels for an older one work as well.
        kubespray: The first version of Kubespray that makes cluster nodes of it.
    """

    name: str
    version: str
    tool: Tool
    python_package: str
    python: str
    glibc: str
    kubespray: tuple[int, int]

    @property
    def major(self) -> str:
        """The version as Ansible's `distribution_major_version` has it."""
        return self.version.partition(".")[0]


SYSTEMS: Final[dict[Release, SupportedSystem]] = {
    "debian-12": SupportedSystem("Debian", "12", "apt", "python3", "3.11", "2.36", (2, 23)),
    "debian-13": SupportedSystem("Debian", "13", "apt", "python3", "3.13", "2.41", (2, 29)),
    # Its own Python, 3.9, is too old, as is the next one's, 3.10.
    "rocky-9": SupportedSystem("Rocky", "9", "rpm", "python3.11", "3.11", "2.34", (2, 20)),
    "rocky-10": SupportedSystem("Rocky", "10", "rpm", "python3", "3.12", "2.39", (2, 29)),
    "ubuntu-22.04": SupportedSystem(
        "Ubuntu", "22.04", "apt", "python3.11", "3.11", "2.35", (2, 19)
    ),
    "ubuntu-24.04": SupportedSystem("Ubuntu", "24.04", "apt", "python3", "3.12", "2.39", (2, 25)),
}

BY_MAJOR: Final = frozenset({"rocky"})
"""Distributions, by their ID in os-release, whose minor releases count as one."""


def release_name(distribution: str, version: str) -> str:
    """Return how a machine's system is called, supported or not.

    Args:
        distribution: ID of os-release.
        version: VERSION_ID of os-release.
    """
    short = version.partition(".")[0] if distribution in BY_MAJOR else version
    return f"{distribution}-{short}"


def supported(release: str) -> SupportedSystem | None:
    """Return what is known of a release, or None if it is not supported."""
    return next((system for name, system in SYSTEMS.items() if name == release), None)


def systems_text() -> str:
    """Return all of them in words, such as `Debian 12 or 13, Rocky 9 or 10`."""
    versions: dict[str, list[str]] = {}
    for system in SYSTEMS.values():
        versions.setdefault(system.name, []).append(system.version)
    return ", ".join(f"{name} {' or '.join(found)}" for name, found in versions.items())


def makes_nodes(kubespray: str, release: Release) -> bool:
    """Return whether a version of Kubespray makes cluster nodes of a release.

    Args:
        kubespray: Such as `v2.31.0`; of one that is no release of Kubespray nothing is known.
        release: The nodes'.
    """
    found = _NUMBER.match(kubespray)
    return found is None or (int(found[1]), int(found[2])) >= SYSTEMS[release].kubespray
