"""Opening the nodes of a site to ask them, and refusing to go on unless all are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from bundle.base.errors import PreflightError, UnreachableError
from bundle.model.finding import Finding, advice_of, fail, lines_of, ok
from installer.preflight.answers import NodeAnswers, Report
from installer.preflight.question import Machine
from installer.preflight.shell import LocalShell, Shell
from installer.preflight.sudo import SUDO, SudoShell
from installer.site.document import Node, Site
from installer.site.host_key import parse_host_key

Connect = Callable[[Node], AbstractContextManager[Shell]]
_REACHED: Final = ("ssh", "Does it answer, with its pinned key?")


def over_ssh(site: Site, ssh_key: Path, sudo_password: str = "") -> Connect:
    """Reach nodes over SSH; the password is for sudo, where that wants one."""
    # Not at the top: a rehearsal on this machine needs no paramiko.
    from installer.preflight.ssh import connect

    if not sudo_password:
        return lambda node: connect(site, ssh_key, node)

    @contextmanager
    def with_sudo(node: Node) -> Iterator[Shell]:
        with connect(site, ssh_key, node) as shell:
            yield SudoShell(shell, sudo_password)

    return with_sudo


def on_this_machine(_: Node) -> AbstractContextManager[Shell]:
    """Take this machine for the node."""
    return nullcontext(LocalShell())


def require_ready(report: Report) -> None:
    """Refuse to go on unless every node is ready.

    Raises:
        UnreachableError: Of a node that could not be reached, the first in order.
        PreflightError: Nodes lack something; the message names all of it.
    """
    for node in report.nodes:
        if not node.reachable:
            answer = node.answers[0]
            raise UnreachableError(
                answer.found, answer.advice,
                {"node": node.node, "address": node.address, "expected": answer.expected},
            )  # fmt: skip
    lacking = [answer for node in report.nodes for answer in node.failed]
    if lacking:
        raise PreflightError(
            f"{len(lacking)} answer(s) forbid the installation: {lines_of(lacking)}",
            advice_of(lacking, "The table says what to do about each."),
            {"failed": len(lacking)},
        )


def visit(node: Node, connect: Connect, ask: Callable[[Machine], Sequence[Finding]]) -> NodeAnswers:
    """Open a node and ask it; one that cannot be opened is an answer, and no error."""
    expected = parse_host_key(node.host_key, f"{node.name}.hostKey").fingerprint
    try:
        with connect(node) as shell:
            local = isinstance(shell, LocalShell)
            found = "this machine itself" if local else "the pinned key"
            first = ok(expected, found).under(*_REACHED, node.name)
            root = shell.run("id", "-u").out.strip() == "0"
            answers = (first, *ask(Machine(shell, () if root else SUDO)))
    except UnreachableError as error:
        answer = fail(expected, error.message, error.hint).under(*_REACHED, node.name)
        return NodeAnswers(node.name, node.address, reachable=False, answers=(answer,))
    return NodeAnswers(node.name, node.address, reachable=True, answers=answers)
