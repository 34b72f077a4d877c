"""What a question is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bundle.base.reference import Reference
from installer.preflight.answers import Answer, Finding
from installer.preflight.shell import Result, Shell


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the installation is about to do, as far as the questions depend on it.

    Attributes:
        depot_address: Host name or address of the depot, as the nodes reach it.
        depot_port: Its port.
        ca: The site's CA, PEM.
        image: The first image, by digest.
        platforms: The platforms that the image is for.
        now: The installer's clock, UTC.
        settings: Of Kubespray, as far as they were chosen, such as `kube_proxy_mode`.
        releases: The releases that the bundle has OS packages of, such as `debian-12`.
        has_packages: Whether it has any for a release and an architecture, such as `x86_64`.
    """

    depot_address: str
    depot_port: int
    ca: bytes
    image: Reference
    platforms: tuple[str, ...]
    now: Callable[[], datetime]
    settings: Mapping[str, str] = field(default_factory=dict)
    releases: tuple[str, ...] = ()
    has_packages: Callable[[str, str], bool] = lambda _release, _architecture: True


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that can be asked.

    Attributes:
        shell: Runs programs on it.
        privileged: What to put before a program that must run as root: nothing, or sudo.
    """

    shell: Shell
    privileged: tuple[str, ...] = ()

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        """Run a program as the user that we are."""
        return self.shell.run(*argv, stdin=stdin)

    def run_as_root(self, *argv: str, stdin: bytes = b"") -> Result:
        """Run a program as root, without being asked for a password."""
        return self.shell.run(*self.privileged, *argv, stdin=stdin)


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: Stable, for machines.
        asked: For a person.
        ask: Finds the answer out; it changes nothing on the machine.
    """

    id: str
    asked: str
    ask: Callable[[Machine, Wanted], Finding]


class Asked(Protocol):
    """Whatever is asked: what its answer is called."""

    @property
    def id(self) -> str:
        """Stable, for machines."""

    @property
    def asked(self) -> str:
        """For a person."""


def answer_of(question: Asked, finding: Finding) -> Answer:
    """Put a finding under its question."""
    return Answer(
        question.id,
        question.asked,
        finding.expected,
        finding.found,
        finding.verdict,
        finding.advice,
    )
