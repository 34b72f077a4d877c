"""What a question is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bundle.base.reference import Reference
from bundle.model.finding import Finding
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

    def answer(self, machine: Machine, wanted: Wanted, node: str) -> Finding:
        """Ask a node."""
        return self.ask(machine, wanted).under(self.id, self.asked, node)
