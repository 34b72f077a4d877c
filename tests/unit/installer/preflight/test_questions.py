"""Each question against machines that are right, almost right and wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat

import pytest

from bundle.base.reference import Reference
from bundle.model.finding import Verdict
from installer.preflight import reachable as reach
from installer.preflight import system
from installer.preflight.question import Machine, Wanted
from installer.preflight.shell import NOT_FOUND, LocalShell, Result

_NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_ABSENT = Result(NOT_FOUND, "", "env: no such file or directory")


class ScriptedShell:
    """Answers by program; everything that was run is remembered."""

    def __init__(self, answers: Mapping[str, Result]) -> None:
        self.answers = answers
        self.ran: list[tuple[str, ...]] = []

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        self.ran.append(argv)
        return self.answers.get(argv[0], _ABSENT)


def _wanted(now: Callable[[], datetime] = lambda: _NOON) -> Wanted:
    image = Reference("docker.io", "library/busybox", "", "sha256:" + "a" * 64)
    return Wanted("depot.example", 5443, b"PEM", image, ("linux/amd64", "linux/arm64/v8"), now)


def _said(text: str) -> Result:
    return Result(0, text, "")


def _verdict(ask: str, **answers: Result) -> tuple[Verdict, str]:
    question = {q.id: q for q in (*system.QUESTIONS, *reach.QUESTIONS)}[ask]
    finding = question.ask(Machine(ScriptedShell(answers)), _wanted())
    assert finding.expected
    assert finding.verdict is Verdict.OK or finding.advice
    return finding.verdict, finding.found


@pytest.mark.parametrize(
    ("id_", "version", "verdict"),
    [
        ("debian", '"12"', Verdict.OK),
        ("debian", '"13"', Verdict.OK),
        ("debian", '"11"', Verdict.FAIL),
        ("ubuntu", '"24.04"', Verdict.OK),
        ("ubuntu", '"20.04"', Verdict.FAIL),
        ('"rocky"', '"9.4"', Verdict.OK),
        ('"rocky"', '"8.10"', Verdict.FAIL),
        ("arch", "", Verdict.FAIL),
    ],
)
def test_systems(id_: str, version: str, verdict: Verdict) -> None:
    text = f'PRETTY_NAME="x \\"y"\nID={id_}\nVERSION_ID={version}\nnonsense\n'
    assert _verdict("system", cat=_said(text))[0] is verdict


def test_a_machine_without_os_release_is_refused() -> None:
    assert _verdict("system") == (Verdict.FAIL, "no /etc/os-release")


@pytest.mark.parametrize(
    ("uname", "verdict"),
    [
        ("x86_64", Verdict.OK),
        ("aarch64", Verdict.OK),
        ("riscv64", Verdict.FAIL),
        ("pdp11", Verdict.FAIL),
        ("", Verdict.FAIL),
    ],
)
def test_architectures(uname: str, verdict: Verdict) -> None:
    assert _verdict("architecture", uname=_said(f"{uname}\n"))[0] is verdict


@pytest.mark.parametrize(
    ("version", "verdict"),
    [("3.9.2", Verdict.OK), ("3.13.0", Verdict.OK), ("3.8.10", Verdict.FAIL), ("", Verdict.FAIL)],
)
def test_pythons(version: str, verdict: Verdict) -> None:
    assert _verdict("python", python3=_said(f"{version}\n"))[0] is verdict


def test_no_python_is_refused() -> None:
    assert _verdict("python")[0] is Verdict.FAIL


@pytest.mark.parametrize(
    ("state", "code", "verdict"),
    [
        ("running", 0, Verdict.OK),
        ("degraded", 1, Verdict.WARN),
        ("offline", 1, Verdict.FAIL),
        ("", 1, Verdict.FAIL),
    ],
)
def test_systemd(state: str, code: int, verdict: Verdict) -> None:
    assert _verdict("systemd", systemctl=Result(code, f"{state}\n", "x"))[0] is verdict


@pytest.mark.parametrize(
    ("away", "verdict"),
    [(0, Verdict.OK), (59, Verdict.OK), (-59, Verdict.OK), (90, Verdict.FAIL), (-90, Verdict.FAIL)],
)
def test_clocks_are_compared_halfway_through_the_question(away: int, verdict: Verdict) -> None:
    # The question takes ten seconds, so the node's clock is read five seconds after noon.
    clock = chain([_NOON], repeat(_NOON + timedelta(seconds=10)))
    there = int((_NOON + timedelta(seconds=5 + away)).timestamp())
    machine = Machine(ScriptedShell({"date": _said(f"{there}\n")}))
    finding = system.ask_clock(machine, _wanted(lambda: next(clock)))
    assert finding.verdict is verdict
    assert f"{abs(away)} s" in finding.found


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(20 << 20, Verdict.OK), (5 << 20, Verdict.WARN), (1 << 19, Verdict.FAIL)],
)
def test_disks(free: int, verdict: Verdict) -> None:
    text = f"Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 9 9 {free} 9% /\n"
    assert _verdict("disk", df=_said(text))[0] is verdict


@pytest.mark.parametrize("text", ["", "rubbish", "a\nb c d e"])
def test_a_df_that_cannot_be_read_is_refused(text: str) -> None:
    assert _verdict("disk", df=_said(text))[0] is Verdict.FAIL


@pytest.mark.parametrize(
    ("total", "verdict"),
    [(8 << 20, Verdict.OK), (1 << 20, Verdict.WARN), (1 << 18, Verdict.FAIL)],
)
def test_memories(total: int, verdict: Verdict) -> None:
    assert _verdict("memory", cat=_said(f"MemTotal:  {total} kB\nMemFree: 1 kB\n"))[0] is verdict


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [("cgroup2fs", Verdict.OK), ("tmpfs", Verdict.WARN), ("", Verdict.FAIL)],
)
def test_cgroups(kind: str, verdict: Verdict) -> None:
    assert _verdict("cgroups", stat=_said(f"{kind}\n"))[0] is verdict


def test_root_or_sudo_will_do_and_nothing_else() -> None:
    assert _verdict("root", id=_said("0\n")) == (Verdict.OK, "root")
    assert _verdict("root", id=_said("1000\n"), sudo=_said("0\n"))[0] is Verdict.OK
    denied = Result(1, "", "sudo: a password is required")
    verdict, found = _verdict("root", id=_said("1000\n"), sudo=denied)
    assert verdict is Verdict.FAIL
    assert "a password is required" in found


_CTR = "Client:\n  Version:  1.7.1\n\nServer:\n  Version:  {}\n  Revision: x\n"


@pytest.mark.parametrize(
    ("answer", "verdict", "found"),
    [
        (_said(_CTR.format("1.6.20~ds1")), Verdict.OK, "1.6.20~ds1"),
        (_said(_CTR.format("v2.1.0")), Verdict.OK, "2.1.0"),
        (_said(_CTR.format("1.4.13")), Verdict.FAIL, "1.4.13"),
        (Result(1, "Client:\n  Version:  1.7.1\n", "ctr: cannot dial"), Verdict.FAIL, "cannot"),
        (_ABSENT, Verdict.FAIL, "no containerd"),
    ],
)
def test_containerd_itself_must_answer(answer: Result, verdict: Verdict, found: str) -> None:
    said = _verdict("containerd", ctr=answer)
    assert said[0] is verdict
    assert found in said[1]


def test_containerd_is_asked_as_root() -> None:
    shell = ScriptedShell({})
    reach.ask_containerd(Machine(shell, ("sudo", "-n", "--")), _wanted())
    assert shell.ran[0][:4] == ("sudo", "-n", "--", "ctr")


def test_a_way_out_is_warned_of_and_shown() -> None:
    class Routed(ScriptedShell):
        def run(self, *argv: str, stdin: bytes = b"") -> Result:
            if argv[1] == "-6":
                return Result(2, "", "Network is unreachable")
            return _said(f"{argv[-1]} via 10.0.0.1 dev eth0\n")

    finding = reach.ask_way_out(Machine(Routed({})), _wanted())
    assert finding.verdict is Verdict.WARN
    assert "via 10.0.0.1" in finding.found
    assert _verdict("way-out", ip=Result(2, "", "Network is unreachable")) == (Verdict.OK, "none")
    assert _verdict("way-out")[0] is Verdict.WARN


def test_the_image_is_asked_for_as_containerd_does() -> None:
    shell = ScriptedShell({"python3": _said("200\n")})
    finding = reach.ask_image(Machine(shell), _wanted())
    assert finding.verdict is Verdict.OK
    path = shell.ran[0][-1]
    assert path == f"/v2/library/busybox/manifests/sha256%3A{'a' * 64}?ns=docker.io"


@pytest.mark.parametrize("status", ["404", "401", "500"])
def test_any_other_status_of_the_depot_is_refused(status: str) -> None:
    assert _verdict("depot", python3=_said(f"{status}\n")) == (
        Verdict.FAIL,
        f"HTTP status {status}",
    )


def test_every_question_can_be_put_to_this_machine() -> None:
    for question in (*system.QUESTIONS, *reach.QUESTIONS):
        finding = question.ask(Machine(LocalShell()), _wanted(lambda: datetime.now(UTC)))
        assert finding.found, question.id


def test_a_program_that_is_not_there_ends_with_127() -> None:
    assert LocalShell().run("no-such-program-anywhere").code == NOT_FOUND


_ODD = ["9" * 5000, "\u00b2", "\u0665", "-1", "1e3", "nan", "inf", "", "\n", "x y z 9" + "9" * 5000]


@pytest.mark.parametrize("said", _ODD)
def test_no_answer_of_a_node_is_a_traceback(said: str) -> None:
    for form in (said, f"MemTotal: {said} kB", f"a b c {said} e", f"Server: Version: {said}.{said}",
                 f"{said}.{said}.{said}"):  # fmt: skip
        everything = dict.fromkeys(
            ("cat", "date", "df", "python3", "ctr", "uname", "stat", "systemctl", "id", "sudo"),
            _said(form),
        )
        for question in (*system.QUESTIONS, *reach.QUESTIONS):
            finding = question.ask(Machine(ScriptedShell(everything)), _wanted())
            assert finding.verdict is Verdict.OK or finding.advice
