"""Asking all nodes of a site side by side; those of a cluster are then judged together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from bundle.base.progress import NO_PROGRESS, Progress
from bundle.kinds.systems import BY_MAJOR
from bundle.model.finding import Finding, fail, ok
from installer.preflight import (
    judge_disks,
    judge_leftovers,
    judge_machine,
    judge_names,
    judge_network,
    judge_outside,
    system,
)
from installer.preflight import reachable as reach
from installer.preflight.answers import NodeAnswers, Report
from installer.preflight.ask import Connect, visit
from installer.preflight.facts import Facts, ask_facts
from installer.preflight.ports import listened, reached, tunnel
from installer.preflight.question import Machine, Question, Wanted
from installer.preflight.situation import Cluster, Judgement, Offset, Subject, shown
from installer.site.document import Node, Site

_ASKED_FIRST: Final = ("root", "system", "architecture", "python", "systemd")
_NEEDED: Final = ("root", "python")
"""Without these no fact can be asked for."""
QUESTIONS: Final = (*system.QUESTIONS, *reach.QUESTIONS)
"""All that is asked where no cluster will be; a node answers by itself."""
DIRECT: Final = (
    *(question for question in system.QUESTIONS if question.id in _ASKED_FIRST),
    *(question for question in reach.QUESTIONS if question.id == "way-out"),
)
"""What of it is asked of a node of a cluster as well, before our program asks for its facts."""
SIDE_BY_SIDE: Final = 16
"""Nodes that are asked at once."""
_EPOCH: Final = re.compile(r"\d{1,12}\.\d{1,9}")


def _judge_facts(subject: Subject) -> Finding:
    troubles = subject.facts.troubles
    expected = "facts of every kind"
    if not troubles:
        return ok(expected, "all of them")
    return fail(
        expected,
        shown([f"{part}: {why}" for part, why in sorted(troubles.items())]),
        "What could not be found out is not asked below. Is the machine slow, or its disk bad?",
    )


JUDGEMENTS: Final = (
    Judgement("facts", "Could everything be found out?", "", _judge_facts),
    *judge_machine.JUDGEMENTS,
    *judge_names.JUDGEMENTS,
    *judge_disks.JUDGEMENTS,
    *judge_leftovers.JUDGEMENTS,
    *judge_network.JUDGEMENTS,
    *judge_outside.JUDGEMENTS,
)


@dataclass(frozen=True, slots=True)
class Enquiry:
    """What is asked of a site's nodes.

    Attributes:
        questions: What a node answers by itself.
        judgements: Of a cluster's nodes, each with all the others known, in the report's order.
    """

    questions: Sequence[Question]
    judgements: Sequence[Judgement] = JUDGEMENTS


@dataclass(frozen=True, slots=True)
class _Visited:
    """A node that was asked: its own answers, and what it said if it could be asked for facts."""

    answers: NodeAnswers
    facts: Facts | None = None
    offset: Offset | None = None


def ask_site(
    site: Site,
    connect: Connect,
    wanted: Wanted,
    *,
    progress: Progress = NO_PROGRESS,
    enquiry: Enquiry | None = None,
) -> Report:
    """Ask every node; where there is to be a cluster, judge each with all the others known.

    Args:
        site: Whose nodes to ask.
        connect: Opens a node.
        wanted: What the installation is about to do.
        progress: Told a line for each node.
        enquiry: What is asked; all for a site of its kind when left out.
    Raises:
        IsowardError: We cannot ask at all, such as for a private key that cannot be used.
    """
    known = Cluster(site, wanted)
    enquiry = enquiry or Enquiry(QUESTIONS if site.kubernetes is None else DIRECT)

    def ask(node: Node) -> _Visited:
        visited = _visit(node, connect, enquiry.questions, known)
        progress.note(f"{node.name}: asked")
        return visited

    with ThreadPoolExecutor(max_workers=min(len(site.nodes), SIDE_BY_SIDE)) as pool:
        found = dict(
            zip((node.name for node in site.nodes), pool.map(ask, site.nodes), strict=True)
        )
    known = replace(
        known,
        facts={name: each.facts for name, each in found.items() if each.facts is not None},
        offsets={name: each.offset for name, each in found.items() if each.offset is not None},
    )
    return Report(
        tuple(
            _judged(node, found[node.name].answers, known, enquiry.judgements)
            for node in site.nodes
        )
    )


def _judged(
    node: Node, own: NodeAnswers, cluster: Cluster, judgements: Sequence[Judgement]
) -> NodeAnswers:
    facts = cluster.facts.get(node.name)
    if facts is None:
        return own
    subject = Subject(node, facts, cluster)
    answers: list[Finding] = []
    for judgement in judgements:
        if judgement.part in facts.troubles:
            continue
        finding = judgement.judge(subject)
        if finding is not None:
            answers.append(finding.under(judgement.id, judgement.asked, node.name))
    return replace(own, answers=(*own.answers, *answers))


def _visit(
    node: Node, connect: Connect, questions: Sequence[Question], cluster: Cluster
) -> _Visited:
    site, wanted = cluster.site, cluster.wanted
    facts: list[Facts] = []
    offsets: list[Offset] = []

    def ask(machine: Machine) -> list[Finding]:
        answers = [question.answer(machine, wanted, node.name) for question in questions]
        if site.kubernetes is None:
            return answers
        failed = [a.id for a in answers if a.verdict.blocks and a.id in _NEEDED]
        if not failed:
            offsets.append(measure_offset(machine, wanted))
            facts.append(ask_facts(machine, wants(node, site, wanted)))
            return answers
        return [_last_of(answer) if answer.id == failed[0] else answer for answer in answers]

    answers = visit(node, connect, ask)
    return _Visited(answers, facts[0] if facts else None, offsets[0] if offsets else None)


def _last_of(answer: Finding) -> Finding:
    return replace(answer, advice=f"{answer.advice} Until then nothing else can be asked.")


def measure_offset(machine: Machine, wanted: Wanted) -> Offset:
    """Compare a node's clock with the installer's, halfway through the question."""
    before = wanted.now()
    answer = machine.run("date", "+%s.%N")
    took = (wanted.now() - before).total_seconds()
    if not _EPOCH.fullmatch(answer.out.strip()):
        return Offset(0.0, 0.0, answer.said)
    return Offset(float(answer.out) - before.timestamp() - took / 2, took / 2)


def wants(node: Node, site: Site, wanted: Wanted) -> dict[str, Any]:
    """Return what a node's program needs to know, as JSON."""
    options = Cluster(site, wanted).options
    others = [other for other in site.nodes if other.name != node.name]
    return {
        "address": node.address,
        "peers": [
            {
                "name": peer.name,
                "address": peer.address,
                "ports": reached(peer, options),
                "tunnel": tunnel(peer, options),
            }
            for peer in others
        ],
        "by_major": sorted(BY_MAJOR),
        "names": ["localhost", *(each.name for each in site.nodes)],
        "listen": sorted(listened(node, options)),
        "places": judge_disks.places_of(node),
        "etcd_folder": judge_disks.ETCD if "etcd" in node.roles else "",
        "features": judge_machine.FEATURES,
        "sysctls": judge_machine.SYSCTLS,
        "depots": judge_outside.depot_wants(site.depots, wanted),
        "ca": wanted.ca.decode("ascii", errors="replace"),
        "outside": judge_outside.OUTSIDE,
        "dns_servers": list(site.dns_servers),
        "outside_name": judge_outside.OUTSIDE_NAME,
    }
