"""The parts of proofs that need no cluster; tests/e2e/cluster/test_proofs.py has the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bundle.model.finding import Finding, Verdict
from installer.preflight.answers import NodeAnswers, Report
from installer.proofs.pods import PodState, image_for, read_state
from installer.proofs.prove import PROOFS, namespace_of
from installer.proofs.runs import judge_ways_out
from installer.proofs.ways import (
    CONNECT,
    LISTEN,
    Way,
    allows,
    expected_ways,
    judge,
    read_answers,
)
from installer.site.cluster_part import Egress, Zone
from tests.support.programs.needs import find_tool, requires_tool
from tests.support.programs.processes import free_port, listens, running
from tests.support.sites.clusters import cluster, kubespray_manifest

HERE = ("no zone", "administrative", "clinical", "research")
TARGETS = {name: (f"10.233.64.{i}", 8321) for i, name in enumerate(HERE)}
DEPOT = {"the depot": ("10.20.0.5", 5443)}


def wanted() -> dict[Way, bool]:
    return expected_ways(cluster(3, "calico"), {**TARGETS, **DEPOT})


def test_only_ways_within_a_zone_shall_be_open() -> None:
    ways = wanted()
    assert len(ways) == 4 * 5
    open_ = {str(way) for way, is_open in ways.items() if is_open}
    assert open_ == {
        "no zone to no zone",
        "no zone to the depot",
        "administrative to administrative",
        "clinical to clinical",
        "research to research",
    }


def test_the_depot_is_open_to_a_zone_whose_allow_list_has_it() -> None:
    zone = Zone(name="a", egress=(Egress(to="10.20.0.0/24", ports=(5443,)),))
    assert allows(zone, "10.20.0.5", 5443)
    assert not allows(zone, "10.20.0.5", 443)
    assert not allows(zone, "10.20.1.5", 5443)
    assert not allows(Zone(name="b"), "10.20.0.5", 5443)
    udp = Zone(name="c", egress=(Egress(to="10.20.0.0/24", protocol="UDP"),))
    assert not allows(udp, "10.20.0.5", 5443)


def test_all_as_wanted_is_proven() -> None:
    finding = judge(wanted(), wanted(), {})
    assert finding.verdict is Verdict.PROVEN
    assert finding.found == "20 ways tried, 5 of them open, as wanted"


@pytest.mark.parametrize(
    ("way", "says"),
    [
        (Way("clinical", "research"), "clinical to research: open"),
        (Way("no zone", "clinical"), "no zone to clinical: open"),
        (Way("research", "no zone"), "research to no zone: open"),
        (Way("clinical", "the depot"), "clinical to the depot: open"),
        (Way("clinical", "clinical"), "clinical to clinical: closed"),
    ],
)
def test_a_way_that_is_not_as_wanted_fails(way: Way, says: str) -> None:
    found = wanted()
    found[way] = not found[way]
    finding = judge(wanted(), found, {})
    assert (finding.verdict, finding.found) == (Verdict.FAILED, says)


def test_what_was_not_tried_is_never_a_pass() -> None:
    found = wanted()
    del found[Way("clinical", "research")]
    assert judge(wanted(), found, {}).verdict is Verdict.FAILED
    assert judge(wanted(), {}, {}).verdict is Verdict.FAILED


def test_closed_ways_prove_nothing_when_none_can_be_open() -> None:
    closed = dict.fromkeys(wanted(), False)
    assert judge(wanted(), closed, {}).verdict is Verdict.NOT_PROVEN


def test_a_depot_that_answers_no_pod_is_said_and_not_counted() -> None:
    found = wanted() | {Way("no zone", "the depot"): False}
    finding = judge(wanted(), found, {})
    assert finding.verdict is Verdict.PROVEN
    assert finding.found.startswith("16 ways tried")
    assert "were not looked at" in finding.found


def test_lines_of_a_pod_that_are_no_answers_are_passed_over() -> None:
    log = (
        "early 0 closed\nlate 0 open\nlate 1 closed\nlate 7 open\nlate x open\nlate 2 maybe\n\x1b\n"
    )
    names = ["b", "c", "d"]
    assert read_answers("a", names, log, "late") == {Way("a", "b"): True, Way("a", "c"): False}
    assert read_answers("a", names, log, "early") == {Way("a", "b"): False}


def test_a_way_that_is_open_when_a_pod_begins_is_no_pass() -> None:
    early = {Way("clinical", "no zone"): True, Way("no zone", "no zone"): True}
    finding = judge(wanted(), wanted(), early)
    assert finding.verdict is Verdict.NOT_PROVEN
    assert finding.found.endswith("open for a moment when a pod begins: clinical to no zone")


@pytest.mark.parametrize("tool", ["nc", "python3"])
def test_the_scripts_tell_open_from_closed(tmp_path: Path, tool: str) -> None:
    requires_tool("busybox")
    busybox = Path(find_tool("busybox") or "")
    tools = {"sh": busybox, "sleep": busybox}
    tools[tool] = busybox if tool == "nc" else Path(sys.executable).resolve()
    for name, program in tools.items():
        (tmp_path / name).symlink_to(program)
    # A shell that runs what its PATH has, and not its own applets.
    env, shell = {"PATH": str(tmp_path)}, "/bin/dash"
    port, other = free_port(), free_port()
    listen = [shell, "-c", LISTEN, "sh", str(port)]
    with running("listen", listen, tmp_path / "log", ready=lambda: listens(port), env=env):
        ends = ["0", "127.0.0.1", str(port), "1", "127.0.0.1", str(other)]
        argv = [shell, "-c", CONNECT, "sh", "0", *ends]
        said = subprocess.run(
            argv, env=env, capture_output=True, text=True, check=False, timeout=60
        )
    lines = ["early 0 open", "early 1 closed", "late 0 open", "late 1 closed"]
    assert said.stdout.splitlines() == lines, said.stderr


@pytest.mark.parametrize("script", [LISTEN, CONNECT])
def test_an_image_without_tools_is_told_by_its_exit_code(tmp_path: Path, script: str) -> None:
    argv = ["/bin/dash", "-c", script, "sh", "1", "0", "127.0.0.1", "1"]
    done = subprocess.run(argv, env={"PATH": str(tmp_path)}, capture_output=True, check=False)
    assert done.returncode == 42


def test_the_first_image_is_taken_by_digest_and_else_the_one_of_every_pod() -> None:
    site, manifest = cluster(1, "calico"), kubespray_manifest("calico")
    assert image_for(site, manifest) is None
    (first, *_) = manifest.images
    named = [
        msgspec.structs.replace(first, reference=name)
        for name in ("registry.k8s.io/pause:3.10.1", "registry.example.org/app/web:2.1")
    ]
    both = image_for(site, msgspec.structs.replace(manifest, images=tuple(named)))
    assert both is not None
    assert str(both.reference) == f"registry.example.org/app/web@{first.digest}"
    assert both.command == ("/bin/true",)
    pause = image_for(site, msgspec.structs.replace(manifest, images=(named[0],)))
    assert pause is not None
    assert (pause.reference.repository, pause.command) == ("pause", ())


def test_a_pods_status_is_read_as_far_as_it_goes() -> None:
    assert read_state({}) == PodState()
    waiting = {
        "reason": "CreateContainerError",
        "message": 'exec: "/bin/sh": no such file or directory',
    }
    state = read_state({"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]})
    assert state.ended
    assert state.lacks_program
    pulling = {"reason": "ImagePullBackOff", "message": "x\x1b[2J\ny"}
    state = read_state({"phase": "Pending", "containerStatuses": [{"state": {"waiting": pulling}}]})
    assert not state.ended
    assert state.reason == r"ImagePullBackOff x\x1b[2J y"
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    assert read_state({"phase": "Pending", "conditions": [unplaced]}).reason == unplaced["message"]


def report_of(**verdicts: Verdict) -> Report:
    """Return what one node answered about ways out, by question; `-` is written as `_`."""
    answers = tuple(
        Finding("none", f"said {id_}", verdict, id=id_.replace("_", "-"))
        for id_, verdict in verdicts.items()
    )
    return Report((NodeAnswers("node1", "10.0.0.1", True, answers),))


@pytest.mark.parametrize(
    ("changes", "verdict", "says"),
    [
        ({}, Verdict.PROVEN, "none, asked on 1 node(s)"),
        ({"way_out": Verdict.WARN}, Verdict.NOT_PROVEN, "node1: said way_out"),
        ({"egress": Verdict.FAIL}, Verdict.FAILED, "node1: said egress"),
        ({"outside_names": Verdict.FAIL}, Verdict.FAILED, "node1: said outside_names"),
    ],
)
def test_a_way_out_is_found(changes: dict[str, Verdict], verdict: Verdict, says: str) -> None:
    good = dict.fromkeys(("way_out", "egress", "outside_names"), Verdict.OK)
    finding = judge_ways_out(report_of(**{**good, **changes}))
    assert (finding.verdict, finding.found) == (verdict, says)


def test_a_node_that_could_not_be_asked_about_ways_out_proves_nothing() -> None:
    finding = judge_ways_out(report_of(way_out=Verdict.OK))
    assert finding.verdict is Verdict.NOT_PROVEN
    assert "egress could not be asked" in finding.found


def test_a_runs_namespace_is_a_name_that_kubernetes_takes() -> None:
    assert (
        namespace_of("20260102T030405Z-st.example") == "isoward-proofs-20260102t030405z-st-example"
    )
    assert len(namespace_of("20260102T030405Z-" + "a" * 60)) == 63
    assert not namespace_of("20260102T030405Z-" + "a" * 30 + "." * 30).endswith("-")


def test_every_proof_has_its_own_id_and_says_what_it_proves() -> None:
    assert len({proof.id for proof in PROOFS}) == len(PROOFS)
    assert all(proof.proves for proof in PROOFS)
