from __future__ import annotations

import json
import stat
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import AuditError
from installer.core.step import Context
from installer.depot.directory import RecordedWaiver
from installer.records.journal import JOURNAL_NAME, Event, Journal, StepEvent
from installer.records.report_page import figures
from installer.steps.write_report import DATA_NAME, PAGE_NAME, ReportStep
from tests.support.sites.bare_context import SIGNER, WHEN, bare_context
from tests.support.sites.clusters import cluster

HOSTILE = '<script>alert(1)</script> & "quoted" {{ 7 * 7 }}'
PROOF = {
    "id": "encryption-at-rest",
    "proves": "Secrets are encrypted in the cluster's memory",
    "controls": ["164.312(a)(2)(iv)"],
    "expected": "a value in etcd that begins with k8s:enc:secretbox:",
    "found": "k8s:enc:secretbox:v1:key",
    "verdict": "proven",
    "advice": "",
}
UNSEEN = PROOF | {
    "id": "network",
    "proves": "Nothing leads from zone to zone, nor out of one",
    "found": HOSTILE,
    "verdict": "not proven",
    "advice": "Name an image of the bundle with a shell and nc or python3 as firstImage.",
}
ANSWER = {
    "id": "swap",
    "asked": "Is swap off?",
    "expected": "no swap",
    "found": "none",
    "verdict": "ok",
    "advice": "",
}


class Tags(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.loaded += [f"{tag} {key}" for key, _ in attrs if key in {"src", "href", "onload"}]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A site whose steps are in the journal, one of them stopped and done again."""
    context = bare_context(cluster(3, "calico"), tmp_path)
    journal = Journal(context.state / JOURNAL_NAME)
    at = WHEN

    def write(step: str, event: Event, run: str, ms: int = 0, **result: Any) -> None:
        nonlocal at
        at += timedelta(milliseconds=ms)
        inputs = digest_of(step.encode())
        journal.write(at, StepEvent(run, step, event, inputs), milliseconds=ms, result=result)

    before = "20260101T000000Z-st-example-3"
    first: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("verify", 4_200, {"blobs": 311}),
        ("preflight", 2_900, {"nodes": 3}),
    )
    for step, ms, result in first:
        write(step, "began", before)
        write(step, "finished", before, ms, **result)
    write("cluster", "began", before)
    write("cluster", "interrupted", before)
    here = context.run.name
    second: tuple[tuple[str, int, dict[str, Any]], ...] = (
        ("cluster", 1_145_000, {"kubespray": "v2.31.0", "tasks": 812, "changed": {"node1": 9}}),
        ("kubeconfig", 900, {"server": "https://10.20.1.11:6443", "version": "1.35.4"}),
        ("proofs", 61_000, {"proofs": [PROOF, UNSEEN], "counts": {"proven": 1}}),
    )
    for step, ms, result in second:
        write(step, "began", here)
        write(step, "finished", here, ms, **result)
    write("report", "began", here)
    folder = context.depot.runs / before
    folder.mkdir(parents=True)
    warned = ANSWER | {"id": "ntp", "verdict": "warn", "found": HOSTILE}
    answers = {"nodes": [{"node": "node1", "address": "a", "answers": [ANSWER, warned]}]}
    (folder / "preflight.json").write_text(json.dumps(answers))
    return context


def written(context: Context) -> tuple[dict[str, Any], str]:
    ReportStep(who=lambda: "olga@installer").run(context)
    data = json.loads((context.run / DATA_NAME).read_bytes())
    return data, (context.run / PAGE_NAME).read_text(encoding="utf-8")


def test_the_report_has_everything_that_is_known(context: Context) -> None:
    data, _ = written(context)
    assert (data["apiVersion"], data["kind"]) == ("isoward/v1", "InstallationReport")
    assert (data["who"], data["when"]) == ("olga@installer", "2026-01-02T03:04:05Z")
    assert data["bundle"]["signers"] == [{"name": SIGNER, "role": "targets"}]
    assert data["cluster"]["server"] == "https://10.20.1.11:6443"
    assert [zone["nodes"] for zone in data["zones"]] == [["node1"], ["node2"], ["node3"]]
    assert [step["name"] for step in data["steps"]] == [
        "verify", "preflight", "cluster", "kubeconfig", "proofs",
    ]  # fmt: skip
    cluster_step = data["steps"][2]
    assert (cluster_step["attempts"], cluster_step["seconds"]) == (2, 1145.0)
    assert cluster_step["run"] == context.run.name
    assert data["seconds"] == 1214.0
    assert data["proofs"] == [PROOF, UNSEEN]
    assert "proofs" not in data["steps"][4]["result"]
    assert data["preflight"]["nodes"][0]["answers"][0] == ANSWER
    (unsigned,) = data["waivers"]
    assert unsigned["what"].startswith("not signed upstream: ")


def test_the_page_loads_nothing_and_takes_every_text_as_text(context: Context) -> None:
    _, page = written(context)
    tags = Tags()
    tags.feed(page)
    assert not tags.loaded
    assert not tags.names & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert "url(" not in page
    assert "@import" not in page
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert "{{ 7 * 7 }}" in page
    assert "19 min 5 s" in page
    assert "see below what is not proven" in page


def test_a_page_of_proofs_that_all_hold_says_so(context: Context) -> None:
    journal = Journal(context.state / JOURNAL_NAME)
    inputs = digest_of(b"x")
    journal.write(WHEN, StepEvent("r", "proofs", "finished", inputs), result={"proofs": [PROOF]})
    _, page = written(context)
    assert "all that was promised is proven" in page


def test_a_report_without_proofs_never_says_that_all_is_proven(tmp_path: Path) -> None:
    context = bare_context(cluster(1, "calico"), tmp_path)
    data, page = written(context)
    assert data["steps"] == []
    assert "No proof was tried" in page
    assert "is proven." not in page
    assert "no longer kept" in page


def test_a_waiver_of_the_site_is_in_the_report(context: Context) -> None:
    waiver = RecordedWaiver(
        digest=digest_of(b"w"),
        reason="The vendor cannot be reached",
        ticket="CHG-7",
        expires="2026-02-01T00:00:00Z",
        signers=("Olga Operator", "Otto Officer"),
    )
    bundle = replace(
        context.bundle, record=msgspec.structs.replace(context.bundle.record, waiver=waiver)
    )
    data, page = written(replace(context, bundle=bundle))
    assert data["waivers"][0]["by"] == ["Olga Operator", "Otto Officer"]
    assert "The vendor cannot be reached" in page


def test_the_sites_own_folder_has_the_newest_report(context: Context) -> None:
    data, page = written(context)
    for name, text in ((DATA_NAME, json.dumps(data)), (PAGE_NAME, page)):
        path = context.state / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_bytes() == (context.run / name).read_bytes()
        assert len(text) > 1000


def test_a_journal_that_was_changed_makes_no_report(context: Context) -> None:
    path = context.state / JOURNAL_NAME
    path.write_bytes(path.read_bytes().replace(b'"blobs":311', b'"blobs":312'))
    with pytest.raises(AuditError):
        ReportStep().run(context)
    assert not (context.run / DATA_NAME).exists()


def test_figures_are_what_fits_a_line() -> None:
    result = {"a": 3, "b": 1.5, "c": "x" * 100, "d": [1, 2], "e": {}, "f": "short", "g": True}
    assert figures(result) == [
        ("a", "3"), ("b", "1.5"), ("d", "2"), ("f", "short"), ("g", "True"),
    ]  # fmt: skip
