"""One form of a finding, whoever made it, and two sets of verdicts."""

from __future__ import annotations

from bundle.model.finding import (
    PROOF,
    READINESS,
    Finding,
    Verdict,
    advice_of,
    fail,
    failed,
    lines_of,
    not_proven,
    ok,
    proven,
    warn,
)

SWAP = fail("no swap", "/dev/sda2", "swapoff -a").under("swap", "Is swap off?", "node1")
ETCD = failed("3 healthy", "2", "Look at node3.").under("etcd", "The memory is healthy")


def test_every_verdict_is_of_one_set() -> None:
    assert sorted((*READINESS, *PROOF)) == sorted(Verdict)


def test_only_a_failure_blocks() -> None:
    made = (ok("a", "a"), warn("a", "b", "c"), fail("a", "b", "c"))
    proofs = (proven("a", "a"), not_proven("a", "b", "c"), failed("a", "b", "c"))
    assert [one.verdict.blocks for one in (*made, *proofs)] == [False, False, True] * 2
    assert not Verdict.NEED.blocks


def test_a_finding_under_its_check_says_all_in_a_line() -> None:
    assert SWAP.line == "node1: swap: expected no swap, found /dev/sda2"
    assert lines_of((SWAP, ETCD)) == f"{SWAP.line}; etcd: expected 3 healthy, found 2"
    assert fail("no swap", "/dev/sda2", "swapoff -a").under("x", "y") == Finding(
        "no swap", "/dev/sda2", Verdict.FAIL, "swapoff -a", "x", "y"
    )


def test_one_alone_has_its_own_advice() -> None:
    assert advice_of((SWAP,), "See the table.") == "swapoff -a"
    assert advice_of((SWAP, ETCD), "See the table.") == "See the table."


def test_plain_data_has_the_keys_that_commands_have_always_had() -> None:
    assert SWAP.data("asked") == {
        "id": "swap",
        "asked": "Is swap off?",
        "expected": "no swap",
        "found": "/dev/sda2",
        "verdict": "fail",
        "advice": "swapoff -a",
    }
