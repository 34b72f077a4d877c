"""Asking many nodes side by side: what each says of itself, and what they say of each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from bundle.base.errors import PreflightError, UnreachableError
from bundle.model.finding import fail
from installer.preflight.answers import NodeAnswers, Report
from installer.preflight.ask import require_ready
from installer.preflight.ask_site import ask_site, measure_offset, wants
from installer.preflight.facts import read_facts
from installer.preflight.question import Machine
from installer.preflight.shell import NO_ANSWER, NOT_FOUND, Result, Shell
from installer.preflight.table import by_question
from installer.site.document import Node
from tests.support.sites.node_facts import NOON, Raw, cluster_site, good_facts, wanted

_SITE = cluster_site()


class NodeShell:
    """Answers as a good Debian node of the site does; a test may change single answers."""

    def __init__(self, number: int, **answers: Result) -> None:
        self.answers = {
            "id": _said("0"),
            "cat": _said("ID=debian\nVERSION_ID=12\n"),
            "uname": _said("x86_64"),
            "systemctl": _said("running"),
            "ip": Result(2, "", "Network is unreachable"),
            "date": _said(f"{NOON.timestamp():.0f}.000000000"),
            **answers,
        }
        self.facts = answers.get("facts", _said(json.dumps(good_facts(number))))
        self.work: dict[str, Any] = {}

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        program = [part for part in argv if part not in {"sudo", "-n", "--"}]
        if program[0] == "python3" and "python3" not in self.answers:
            if not stdin:
                return _said("3.11.2")
            self.work = json.loads(stdin)
            return self.facts
        return self.answers.get(program[0], Result(NOT_FOUND, "", "no such file"))


def _said(text: str) -> Result:
    return Result(0, text, "")


def _ask(**shells: Shell | UnreachableError) -> Report:
    @contextmanager
    def connect(node: Node) -> Iterator[Shell]:
        shell = shells.get(node.name, NodeShell(int(node.name[-1])))
        if isinstance(shell, UnreachableError):
            raise shell
        yield shell

    return ask_site(_SITE, connect, wanted())


def _alarms(report: Report) -> set[tuple[str, str]]:
    return {
        (node.node, answer.id)
        for node in report.nodes
        for answer in node.answers
        if answer.verdict.value != "ok"
    }


def test_good_nodes_are_ready() -> None:
    report = _ask()
    assert _alarms(report) == set()
    require_ready(report)
    assert len(report.nodes[0].answers) > 40


def test_the_table_has_a_line_for_each_question() -> None:
    raw = good_facts(2)
    raw["machine"]["swap"] = ["/dev/sda2"]
    lines = by_question(_ask(node2=NodeShell(2, facts=_said(json.dumps(raw)))))
    assert len([line for line in lines if line.startswith("  ok    kernel ")]) == 1
    assert "  ok    hostname             2 nodes" in lines
    assert "  ok    kernel               6.1.0-25-amd64" in lines
    swap = lines.index("  fail  swap                 node2: /dev/sda2")
    assert lines[swap + 1].strip() == "expected: no swap"
    assert "swapoff" in lines[swap + 2]
    assert lines[swap - 1] == "  ok    swap                 none"
    assert lines[-1].startswith("2 nodes: ")
    assert lines[-1].endswith(" ok, 1 fail")


def test_what_many_nodes_lack_is_advised_once() -> None:
    answers = tuple(fail("no swap", f"/dev/sd{c}", "swapoff").under("swap", "?") for c in "ab")
    report = Report(tuple(NodeAnswers(f"n{i}", "x", True, (a,)) for i, a in enumerate(answers)))
    assert by_question(report) == [
        "  fail  swap  n0: /dev/sda",
        "              n1: /dev/sdb",
        "              expected: no swap",
        "              swapoff",
        "2 nodes: 2 fail",
    ]


def test_a_node_that_is_down_is_named_once_and_nobody_misses_it() -> None:
    raw = good_facts(1)
    raw["network"]["unreached"] = [{"peer": "node2", "port": 22, "why": "No route to host"}]
    report = _ask(
        node1=NodeShell(1, facts=_said(json.dumps(raw))),
        node2=UnreachableError("node2: nothing answers", "Is it on?"),
    )
    assert _alarms(report) == {("node2", "ssh")}
    with pytest.raises(UnreachableError, match="nothing answers"):
        require_ready(report)


@pytest.mark.parametrize(
    ("answers", "id_"),
    [
        ({"python3": Result(NOT_FOUND, "", "no python3")}, "python"),
        ({"python3": Result(0, "3.7.3", "")}, "python"),
        ({"id": Result(0, "1000", ""), "sudo": Result(1, "", "a password is required")}, "root"),
    ],
)
def test_without_python_or_root_nothing_else_is_asked(answers: dict[str, Result], id_: str) -> None:
    class Locked(NodeShell):
        def run(self, *argv: str, stdin: bytes = b"") -> Result:
            if argv[0] == "sudo":
                return Result(1, "", "a password is required")
            return super().run(*argv, stdin=stdin)

    report = _ask(node2=Locked(2, **answers))
    assert _alarms(report) == {("node2", id_)}
    answer = next(a for a in report.nodes[1].answers if a.id == id_)
    assert "Until then nothing else can be asked" in answer.advice
    assert len(report.nodes[1].answers) < 10
    with pytest.raises(PreflightError, match=f"node2: {id_}"):
        require_ready(report)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (Result(NO_ANSWER, "", "no answer within 20 s"), "no answer within 20 s"),
        (Result(0, "[]", ""), "machine"),
        (Result(0, "rubbish", ""), "rubbish"),
    ],
)
def test_facts_that_do_not_come_forbid_the_installation(facts: Result, says: str) -> None:
    report = _ask(node2=NodeShell(2, facts=facts))
    assert _alarms(report) == {("node2", "facts")}
    (answer,) = [a for a in report.nodes[1].answers if a.id == "facts"]
    assert says in answer.found


def _without(part: str) -> Raw:
    raw = good_facts(2)
    del raw[part]
    return raw


def _with(part: str, **values: Any) -> Raw:
    raw = good_facts(2)
    raw[part] |= values
    return raw


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        (_without("disks"), "disks"),
        (_with("machine", cpus="many"), "machine"),
        (_with("leftovers", trouble="PermissionError: no"), "leftovers"),
        ({**good_facts(2), "network": {}}, "network"),
    ],
)
def test_a_part_that_is_missing_or_malformed_is_a_failure_of_its_own(raw: Raw, part: str) -> None:
    report = _ask(node2=NodeShell(2, facts=_said(json.dumps(raw))))
    assert _alarms(report) == {("node2", "facts")}
    assert list(read_facts(raw).troubles) == [part]


@pytest.mark.parametrize(
    ("node", "away", "ids"),
    [(2, 0, set()), (2, 30, {"skew"}), (2, -200, {"skew", "clock"})],
)
def test_clocks_are_asked_and_compared(node: int, away: int, ids: set[str]) -> None:
    there = (NOON + timedelta(seconds=away)).timestamp()
    report = _ask(node2=NodeShell(2, date=_said(f"{there:.0f}.000000000")))
    assert _alarms(report) == {(f"node{node}", id_) for id_ in ids}


def test_a_node_without_a_usable_date_is_refused() -> None:
    report = _ask(node2=NodeShell(2, date=Result(1, "", "date: no")))
    assert _alarms(report) == {("node2", "clock")}


def test_a_slow_answer_makes_a_clock_less_sure_of() -> None:
    times = iter([NOON, NOON + timedelta(seconds=10)])
    from dataclasses import replace

    now: Callable[[], Any] = lambda: next(times)  # noqa: E731
    offset = measure_offset(Machine(NodeShell(1)), replace(wanted(), now=now))
    assert (offset.seconds, offset.unsure) == (-5.0, 5.0)


def test_what_is_asked_depends_on_what_a_node_is_to_be() -> None:
    first, second = (wants(node, _SITE, wanted()) for node in _SITE.nodes)
    assert first["etcd_folder"] == "/var/lib/etcd"
    assert second["etcd_folder"] == ""
    assert {2379, 6443, 10250, 10259} <= set(first["listen"])
    assert 2379 not in second["listen"]
    assert 6443 in second["listen"], "the balancer before the API server"
    assert first["peers"] == [
        {"name": "node2", "address": "10.1.0.2", "ports": [10250, 179], "tunnel": 4789}
    ]
    assert second["peers"][0]["ports"] == [6443, 2379, 2380, 10250, 179]
    assert second["depots"][0]["paths"][1].endswith("?ns=registry.k8s.io")
    json.dumps(first)
