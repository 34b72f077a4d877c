"""What each machine is, asked before anything is changed on any of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bundle.base.errors import StepError
from bundle.kinds.systems import release_name
from installer.core.step import Connect
from installer.preflight.question import Machine
from installer.preflight.shell import Shell
from installer.preflight.sudo import SUDO
from installer.site.document import Node, Site

_SIDE_BY_SIDE: Final = 16
_WORD: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_TIME: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class System:
    """One machine, by its own word.

    Attributes:
        release: As bundles name it, such as `debian-12`.
        architecture: As the kernel says it, such as `x86_64`.
        ahead: Seconds by which its clock is ahead of ours for certain: what the answer's own time
            on the way may account for does not count. Negative if behind.
    """

    release: str
    architecture: str
    ahead: float


def ask_systems(site: Site, connect: Connect, now: Callable[[], datetime]) -> dict[str, System]:
    """Ask every node of a site, side by side.

    Args:
        site: Whose nodes.
        connect: Opens a shell on one.
        now: Our clock, UTC.
    Returns:
        Each node's answer by its name.
    Raises:
        UnreachableError: A node does not answer, or not with its pinned key.
        StepError: A node's answer makes no sense.
    """

    def ask(node: Node) -> System:
        with connect(node) as shell:
            return _ask(node, shell, now)

    with ThreadPoolExecutor(max_workers=min(len(site.nodes), _SIDE_BY_SIDE)) as pool:
        found = list(pool.map(ask, site.nodes))
    return {node.name: system for node, system in zip(site.nodes, found, strict=True)}


def set_clock(node: Node, connect: Connect, now: Callable[[], datetime]) -> None:
    """Set a node's clock to ours, and the one that it starts with if it has one.

    Raises:
        UnreachableError: It does not answer.
        StepError: It cannot be set.
    """
    with connect(node) as shell:
        root = shell.run("id", "-u").out.strip() == "0"
        machine = Machine(shell, () if root else SUDO)
        done = machine.run_as_root("date", "--utc", f"--set=@{now().timestamp():.3f}")
        if done.code != 0:
            raise StepError(
                f"{node.name}: its clock is off and cannot be set: {done.said}",
                "Set it on the machine's console (date -s), or name timeServers in the site file.",
                {"node": node.name},
            )
        # A virtual machine may have none; the next boot's clock is then its host's business.
        machine.run_as_root("hwclock", "--systohc", "--utc")


def _ask(node: Node, shell: Shell, now: Callable[[], datetime]) -> System:
    release = _release(shell.run("cat", "/etc/os-release").out)
    architecture = shell.run("uname", "-m").out.strip()
    before = now()
    said = shell.run("date", "+%s.%N").out.strip()
    after = now()
    if not (_WORD.fullmatch(release) and _WORD.fullmatch(architecture)):
        raise StepError(
            f"{node.name}: expected a system that says what it is, found {release[:60]!r} for "
            f"{architecture[:60]!r}",
            "See /etc/os-release and `uname -m` on the node.",
            {"node": node.name},
        )
    return System(release, architecture, _ahead(node, said, before, after))


def _ahead(node: Node, said: str, before: datetime, after: datetime) -> float:
    if not _TIME.fullmatch(said):
        raise StepError(
            f"{node.name}: expected the time, found {said[:60]!r}",
            "The node has no usable `date`.",
            {"node": node.name},
        )
    theirs = float(said)
    # It answered some time between the two.
    if theirs > after.timestamp():
        return theirs - after.timestamp()
    return min(0.0, theirs - before.timestamp())


def _release(text: str) -> str:
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    name, version = (_unquoted(fields.get(key, "")) for key in ("ID", "VERSION_ID"))
    return release_name(name, version)


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value))
    except ValueError:
        return ""
