"""The step, its page, and the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from bundle.base.errors import DefinitionError, PreflightError
from bundle.base.progress import NO_PROGRESS
from bundle.model.finding import fail, ok
from installer.core.step import Context
from installer.depot.accepted import AcceptedContent
from installer.depot.directory import DepotDirectory, ImportRecord, open_depot
from installer.preflight.answers import NodeAnswers, Report
from installer.preflight.ask_site import DIRECT, JUDGEMENTS
from installer.preflight.shell import Result, Shell
from installer.serving.tls.certificate import made_identity
from installer.site.document import Node, Site
from installer.steps.check_machines import PreflightStep, settings_of, wanted_of
from installer.steps.check_page import render_page
from tests.lab.content import lab_depot
from tests.support.sites.clusters import kubespray_manifest, with_os_packages
from tests.support.sites.node_facts import NOON, cluster_site, good_facts
from tests.support.sites.plain import site_data, write_site
from tests.unit.installer.preflight.test_ask_site import NodeShell

_MANIFEST = with_os_packages(kubespray_manifest("calico"), "debian-12")
_RECORD = cast("ImportRecord", type("Record", (), {"digest": "sha256:" + "b" * 64})())


def _context(run: Path, site: Site | None = None, **shells: Shell) -> Context:
    @contextmanager
    def connect(node: Node) -> Iterator[Shell]:
        yield shells.get(node.name, NodeShell(int(node.name[-1])))

    return Context(
        site=site or cluster_site(),
        site_path=run / "site.yaml",
        ssh_key=run / "key",
        depot=cast("DepotDirectory", None),
        bundle=AcceptedContent(_RECORD, _MANIFEST, {}),
        ca=b"PEM",
        state=run,
        run=run,
        overrides={},
        secrets={},
        connect=connect,
        now=lambda: NOON,
        progress=NO_PROGRESS,
    )


def test_the_step_keeps_all_answers_and_tells_what_it_was_warned_of(tmp_path: Path) -> None:
    raw = good_facts(2)
    raw["machine"]["selinux"] = "enforcing"
    odd = NodeShell(2, facts=Result(0, json.dumps(raw), ""))
    done = dict(PreflightStep().run(_context(tmp_path, node2=odd)))
    assert done["counts"]["fail"] == 0
    assert done["warnings"] == ["node2: warn: access-control: SELinux enforcing, AppArmor on"]
    kept = json.loads((tmp_path / "preflight.json").read_bytes())
    assert kept["asked"] == "2026-11-22T12:00:00Z"
    assert [node["node"] for node in kept["nodes"]] == ["node1", "node2"]
    assert "access-control" in (tmp_path / "preflight.html").read_text()
    json.dumps(done)


def test_the_step_refuses_a_node_that_is_not_ready_and_keeps_why(tmp_path: Path) -> None:
    raw = good_facts(2)
    raw["machine"]["swap"] = ["/dev/sda2"]
    bad = NodeShell(2, facts=Result(0, json.dumps(raw), ""))
    with pytest.raises(PreflightError, match="node2: swap: expected no swap, found /dev/sda2"):
        PreflightStep().run(_context(tmp_path, node2=bad))
    assert "swapoff -a" in (tmp_path / "preflight.html").read_text()


def test_the_step_is_done_again_when_the_site_or_a_setting_changed(tmp_path: Path) -> None:
    step, context = PreflightStep(), _context(tmp_path)
    assert step.changes(context) == ()
    assert step.inputs(context) == step.inputs(replace(context, run=tmp_path / "other"))
    other = cluster_site(networkPlugin="cilium")
    assert step.inputs(context) != step.inputs(_context(tmp_path, other))
    over = {"group_vars/all/x.yml": b"a: 1\nkubelet_fail_cgroup_v1: false # for now\n"}
    assert step.inputs(context) != step.inputs(replace(context, overrides=over))
    json.dumps(step.inputs(context))


def test_every_question_is_in_the_runbook() -> None:
    text = (Path(__file__).parents[4] / "docs/runbooks/install.md").read_text(encoding="utf-8")
    section = text.partition("## Preflight of a cluster")[2].partition("\n## ")[0]
    ids = [question.id for question in DIRECT] + [judgement.id for judgement in JUDGEMENTS]
    missing = [id_ for id_ in ids if not re.search(rf"(?m)^\|[^|]*\b{id_}\b[^|]*\|", section)]
    assert missing == []


def test_settings_are_read_of_overrides() -> None:
    nested = b"kube_proxy_mode: 'iptables'\nx: {kubelet_fail_cgroup_v1: false}\n"
    assert settings_of((nested, b"other: x\n")) == {"kube_proxy_mode": "iptables"}
    for text in (b'kubelet_fail_cgroup_v1:  "False"', b'{"kubelet_fail_cgroup_v1": false}'):
        assert settings_of([text]) == {"kubelet_fail_cgroup_v1": "False"}
    assert settings_of([b"kube_proxy_mode: [", b"- kube_proxy_mode"]) == {}
    assert settings_of([b"\xff\n# kube_proxy_mode: ipvs\n"]) == {}


def test_what_zones_run_is_no_reason_to_ask_again(tmp_path: Path) -> None:
    step, context = PreflightStep(), _context(tmp_path)
    zone = msgspec.structs.replace(context.site.all_zones[0], labels={"ward": "west"})
    other = msgspec.structs.replace(context.site, zones=(zone, *context.site.all_zones[1:]))
    assert step.inputs(replace(context, site=other)) == step.inputs(context)
    node = msgspec.structs.replace(context.site.nodes[0], address="10.0.0.1")
    moved = msgspec.structs.replace(context.site, nodes=(node, *context.site.nodes[1:]))
    assert step.inputs(replace(context, site=moved)) != step.inputs(context)


def test_what_is_wanted_follows_the_bundle(tmp_path: Path) -> None:
    wanted = wanted_of(_context(tmp_path))
    assert wanted.releases == ("debian-12",)
    assert wanted.has_packages("debian-12", "x86_64")
    assert not wanted.has_packages("debian-13", "x86_64")
    assert wanted.platforms == ("linux/amd64",)
    packages = {"debian-12": ["curl", "ipset"]}
    carried = with_os_packages(kubespray_manifest("calico", packages=packages), "debian-12")
    context = _context(tmp_path)
    context = replace(context, bundle=replace(context.bundle, manifest=carried))
    assert wanted_of(context).settings == {"kube_proxy_mode": "iptables"}
    over = {"group_vars/all/x.yml": b"kube_proxy_mode: nftables\n"}
    assert wanted_of(replace(context, overrides=over)).settings["kube_proxy_mode"] == "nftables"


def test_a_bundle_without_an_image_is_refused(tmp_path: Path) -> None:
    import msgspec

    context = _context(tmp_path)
    assert wanted_of(context).image.repository.endswith("kube-apiserver")
    bare = msgspec.structs.replace(context.bundle.manifest, images=())
    with pytest.raises(DefinitionError, match="has no image"):
        wanted_of(replace(context, bundle=replace(context.bundle, manifest=bare)))


def test_the_page_shows_hostile_text_as_text() -> None:
    hostile = "<script>alert(1)</script> {{ 7 * 7 }}"
    answer = fail("x", hostile, "a & b").under("hostname", "Is it?")
    page = render_page(hostile, Report((NodeAnswers("n1", "10.0.0.1", True, (answer,)),)), NOON)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }}" in page
    assert "a &amp; b" in page
    assert "The installation may not begin." in page
    for elsewhere in ("http:", "https:", "src=", "url("):
        assert elsewhere not in page


def test_a_page_without_alarms_says_that_all_are_ready() -> None:
    good = ok("2", "4").under("cpu", "Enough?")
    page = render_page("ward", Report((NodeAnswers("n1", "10.0.0.1", True, (good,)),)), NOON)
    assert "Every node is ready." in page
    assert "What is to be done" not in page


def _isoward(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bundle.cli.main", "preflight", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A depot with one bundle and a CA, which nobody serves."""
    path = lab_depot(tmp_path_factory.mktemp("preflight"))
    made_identity(path / "tls", ["127.0.0.1"], lambda: datetime.now(UTC))
    return path


def test_a_site_without_a_cluster_is_asked_what_it_was_always_asked(
    tmp_path: Path, depot: Path
) -> None:
    data: dict[str, Any] = site_data()
    data["nodes"][0]["port"] = 9  # discard: nothing listens there
    site, page = write_site(tmp_path, data), tmp_path / "page.html"
    done = _isoward(site, "--depot", depot, "--page", page)
    assert done.returncode == 53, done.stderr
    assert "fail  ssh" in done.stdout
    assert "node1: nothing answers at 127.0.0.1 port 9" in done.stderr
    assert "nothing answers" in page.read_text()
    said = json.loads(_isoward(site, "--depot", depot, "--json").stdout)
    assert (said["ready"], said["exitCode"], said["error"]) == (False, 53, "unreachable")
    assert said["nodes"][0]["answers"][0]["verdict"] == "fail"
    assert open_depot(depot).path == depot
    assert not (depot / "runs").exists()


def test_a_cluster_needs_a_bundle_with_kubespray(tmp_path: Path, depot: Path) -> None:
    data = site_data(
        depot={"address": "10.1.0.250"},
        kubernetes={"version": "v1.35.4", "networkPlugin": "calico"},
        zones=[{"name": "clinical", "networks": ["10.1.0.0/24"]}],
    )
    data["nodes"][0] |= {"address": "10.1.0.1", "roles": ["control-plane", "etcd", "worker"]}
    done = _isoward(write_site(tmp_path, data), "--depot", depot)
    assert done.returncode == 10, done.stdout + done.stderr
    assert "expected a bundle with Kubespray" in done.stderr
    assert "Traceback" not in done.stderr
