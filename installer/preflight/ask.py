"""Asking every node of a site, side by side, before judging any answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Final

from bundle.base.errors import PreflightError, UnreachableError
from bundle.base.progress import NO_PROGRESS, Progress
from installer.preflight import reachable as reach
from installer.preflight import system
from installer.preflight.answers import Answer, NodeAnswers, Report, Verdict
from installer.preflight.question import Machine, Question, Wanted, answer_of
from installer.preflight.shell import LocalShell, Shell
from installer.preflight.sudo import SUDO, SudoShell
from installer.site.document import Node, Site
from installer.site.host_key import parse_host_key

Connect = Callable[[Node], AbstractContextManager[Shell]]
QUESTIONS: Final = (*system.QUESTIONS, *reach.QUESTIONS)
_REACHED: Final = ("ssh", "Does it answer, with its pinned key?")
SIDE_BY_SIDE: Final = 16
"""Nodes that are asked at once."""


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


def ask_site(
    site: Site,
    connect: Connect,
    wanted: Wanted,
    *,
    progress: Progress = NO_PROGRESS,
    rehearsal: bool = False,
    questions: Sequence[Question] = QUESTIONS,
) -> Report:
    """Ask every node every question.

    Args:
        site: Whose nodes to ask.
        connect: Opens a node.
        wanted: What the installation is about to do.
        progress: Told a line for each node.
        rehearsal: Tell every failure as a need, for a run here that changes nothing.
        questions: In the order of the report.
    Raises:
        IsowardError: We cannot ask at all, such as for a private key that cannot be used.
    """

    def ask(node: Node) -> NodeAnswers:
        answers = visit(
            node,
            connect,
            lambda machine: [answer_of(q, q.ask(machine, wanted)) for q in questions],
        )
        if rehearsal:
            answers = _as_rehearsal(answers)
        failed = len(answers.failed)
        verdict = f"{failed} of {len(answers.answers)} answers forbid it" if failed else "ready"
        progress.note(f"{node.name}: asked: {'rehearsing' if rehearsal else verdict}")
        return answers

    with ThreadPoolExecutor(max_workers=min(len(site.nodes), SIDE_BY_SIDE)) as pool:
        return Report(tuple(pool.map(ask, site.nodes)))


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
    lacking = [
        f"{node.node}: {answer.id}: expected {answer.expected}, found {answer.found}"
        for node in report.nodes
        for answer in node.failed
    ]
    if lacking:
        advice = [answer.advice for node in report.nodes for answer in node.failed]
        raise PreflightError(
            f"{len(lacking)} answer(s) forbid the installation: {'; '.join(lacking)}",
            advice[0] if len(advice) == 1 else "The table says what to do about each.",
            {"failed": len(lacking)},
        )


def visit(node: Node, connect: Connect, ask: Callable[[Machine], Sequence[Answer]]) -> NodeAnswers:
    """Open a node and ask it; one that cannot be opened is an answer, and no error."""
    expected = parse_host_key(node.host_key, f"{node.name}.hostKey").fingerprint
    id_, asked = _REACHED
    try:
        with connect(node) as shell:
            local = isinstance(shell, LocalShell)
            found = "this machine itself" if local else "the pinned key"
            first = Answer(id_, asked, expected, found, Verdict.OK)
            root = shell.run("id", "-u").out.strip() == "0"
            answers = (first, *ask(Machine(shell, () if root else SUDO)))
    except UnreachableError as error:
        answer = Answer(id_, asked, expected, error.message, Verdict.FAIL, error.hint)
        return NodeAnswers(node.name, node.address, reachable=False, answers=(answer,))
    return NodeAnswers(node.name, node.address, reachable=True, answers=answers)


def _as_rehearsal(node: NodeAnswers) -> NodeAnswers:
    return replace(
        node,
        answers=tuple(
            replace(answer, verdict=Verdict.NEED) if answer.verdict is Verdict.FAIL else answer
            for answer in node.answers
        ),
    )
