"""All questions are asked of all nodes before any answer is judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from bundle.base.errors import PreflightError, UnreachableError
from bundle.base.reference import Reference
from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.answers import Report
from installer.preflight.ask import on_this_machine, require_ready
from installer.preflight.ask_site import Enquiry, ask_site
from installer.preflight.question import Machine, Question, Wanted
from installer.preflight.shell import LocalShell, Shell
from installer.preflight.table import by_question
from installer.site.document import Node
from tests.support.sites.plain import HOST_KEY, node_data, site_data, site_of

_OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMKGdPYkCxNSsfxsGmgPhp0M8DTtpIB7yyM2kVb7Z8J0"
_SITE = site_of(
    site_data(nodes=[node_data(HOST_KEY, 22), {**node_data(_OTHER, 23), "name": "node2"}])
)
_WANTED = Wanted(
    "depot", 5443, b"", Reference("r.example", "a", "", "sha256:" + "0" * 64), ("linux/amd64",),
    lambda: datetime.now(UTC),
)  # fmt: skip


def _question(id_: str, finding: Finding) -> Question:
    return Question(id_, f"Is {id_} so?", lambda _machine, _wanted: finding)


_GOOD = _question("good", ok("x", "x"))
_BAD = _question("bad", fail("x", "y", "make it x"))
_WORSE = _question("worse", fail("p", "q", "make it p"))
_ODD = _question("odd", warn("x", "z", "look at it"))


@contextmanager
def _second_is_down(node: Node) -> Iterator[Shell]:
    if node.name == "node2":
        raise UnreachableError("node2: nothing answers", "Is it on?")
    yield LocalShell()


def _verdicts(report: Report) -> list[list[str]]:
    return [[answer.verdict.value for answer in node.answers] for node in report.nodes]


def test_every_question_is_answered_by_every_node() -> None:
    report = ask_site(_SITE, on_this_machine, _WANTED, enquiry=Enquiry((_BAD, _GOOD, _ODD, _WORSE)))
    assert _verdicts(report) == [["ok", "fail", "ok", "warn", "fail"]] * 2
    with pytest.raises(PreflightError) as caught:
        require_ready(report)
    for part in ("node1: bad: expected x, found y", "node2: worse: expected p, found q"):
        assert part in caught.value.message


def test_a_warning_forbids_nothing() -> None:
    require_ready(ask_site(_SITE, on_this_machine, _WANTED, enquiry=Enquiry((_GOOD, _ODD))))


def test_a_node_that_is_down_keeps_nobody_else_from_being_asked() -> None:
    report = ask_site(_SITE, _second_is_down, _WANTED, enquiry=Enquiry((_GOOD, _BAD)))
    assert _verdicts(report) == [["ok", "ok", "fail"], ["fail"]]
    assert [node.reachable for node in report.nodes] == [True, False]
    with pytest.raises(UnreachableError, match="nothing answers") as caught:
        require_ready(report)
    assert caught.value.hint == "Is it on?"
    assert caught.value.context["node"] == "node2"


def test_a_rehearsal_tells_failures_as_needs() -> None:
    report = ask_site(
        _SITE, on_this_machine, _WANTED, enquiry=Enquiry((_GOOD, _BAD, _ODD))
    ).rehearsed()
    assert _verdicts(report) == [["ok", "ok", "would need", "warn"]] * 2
    require_ready(report)


def test_one_failure_has_its_own_advice() -> None:
    site = site_of(site_data())
    with pytest.raises(PreflightError) as caught:
        require_ready(ask_site(site, on_this_machine, _WANTED, enquiry=Enquiry((_BAD,))))
    assert caught.value.hint == "make it x"


def test_the_table_says_what_to_do_about_what_is_not_ok() -> None:
    report = ask_site(_SITE, _second_is_down, _WANTED, enquiry=Enquiry((_GOOD, _BAD, _ODD)))
    text = "\n".join(by_question(report))
    assert "fail  bad" in text
    assert "make it x" in text
    assert "look at it" in text
    assert "Is it on?" in text
    assert text.splitlines()[-1] == "2 nodes: 2 ok, 1 warn, 2 fail"


def test_the_report_is_plain_data() -> None:
    report = ask_site(_SITE, on_this_machine, _WANTED, enquiry=Enquiry((_ODD,)))
    data = json.loads(json.dumps(report.data()))
    assert data[1]["answers"][1] == {
        "id": "odd", "asked": "Is odd so?", "expected": "x", "found": "z", "verdict": "warn",
        "advice": "look at it",
    }  # fmt: skip


def test_sudo_is_put_before_programs_only_where_we_are_not_root() -> None:
    seen: list[tuple[str, ...]] = []

    def ask(machine: Machine, _: Wanted) -> Finding:
        seen.append(machine.privileged)
        return ok("x", "x")

    ask_site(
        site_of(site_data()), on_this_machine, _WANTED, enquiry=Enquiry((Question("q", "?", ask),))
    )
    root = LocalShell().run("id", "-u").out.strip() == "0"
    assert seen == [() if root else ("sudo", "-n", "--")]
