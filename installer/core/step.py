"""What a step of an installation is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from bundle.base.progress import Progress
from installer.depot.accepted import AcceptedContent
from installer.depot.directory import DepotDirectory
from installer.preflight.shell import Shell
from installer.site.document import Node, Site

Connect = Callable[[Node], AbstractContextManager[Shell]]


@dataclass(frozen=True, slots=True)
class Change:
    """What a step changes, for the plan.

    Attributes:
        where: A node's name, or `this machine`.
        what: For a person, as in "writes /etc/apt/sources.list.d/isoward.sources".
    """

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Context:
    """What every step is given.

    Attributes:
        site: The machines; `site.kubernetes` is there for all steps of a cluster.
        site_path: The site file.
        ssh_key: Our private key, only ever named to programs.
        depot: Where the bundle was imported.
        bundle: That is installed: with Kubespray for a cluster, else with the first image.
        ca: The site's CA, PEM.
        state: The site's own folder, kept between runs, mode 0700: `inventory/`, `kubeconfig`.
        run: The folder of this run alone, mode 0700: events, logs, the receipt.
        overrides: What the site's people put over the inventory, content by path.
        secrets: The site's secrets by name; never written anywhere but to memory-backed files.
        connect: Opens a shell on a node, by its pinned key.
        now: The clock, UTC.
        progress: Told what goes on.
        local: Whether this machine stands for the nodes.
        rehearsal: Whether nothing may be changed on a node.
    """

    site: Site
    site_path: Path
    ssh_key: Path
    depot: DepotDirectory
    bundle: AcceptedContent
    ca: bytes
    state: Path
    run: Path
    overrides: Mapping[str, bytes]
    secrets: Mapping[str, str]
    connect: Connect
    now: Callable[[], datetime]
    progress: Progress
    local: bool = False
    rehearsal: bool = False


class Step(Protocol):
    """One step. It may be run again after it was stopped anywhere, and then goes on."""

    @property
    def name(self) -> str:
        """Stable, for machines and the journal."""

    @property
    def title(self) -> str:
        """For a person, as in "Prepare the machines"."""

    def changes(self, context: Context) -> Sequence[Change]:
        """Say what it is going to change where. Reads only; asks no machine."""

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return plain data (JSON) of all that its result depends on.

        A step that was finished with equal inputs is not done again.
        """

    def run(self, context: Context) -> Mapping[str, Any]:
        """Do it; return plain data (JSON) for the journal and the report.

        Raises:
            IsowardError: Of 50 to 59 when a machine is the cause.
        """
