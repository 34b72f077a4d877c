"""The command: its exit codes, its JSON, and a rehearsal on this very machine."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import BusyError
from bundle.store.atomic import directory_lock
from installer.records.journal import JOURNAL_NAME, read_journal
from installer.serving.tls.certificate import made_identity
from installer.site.host_key import parse_host_key
from tests.lab.content import IMAGE, lab_depot
from tests.support.sites.clusters import cluster_data
from tests.support.sites.plain import HOST_KEY, node_data, site_data, write_site

_OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMKGdPYkCxNSsfxsGmgPhp0M8DTtpIB7yyM2kVb7Z8J0"


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A depot with one bundle and a CA, which nobody serves."""
    path = lab_depot(tmp_path_factory.mktemp("command"))
    made_identity(path / "tls", ["127.0.0.1"], lambda: datetime.now(UTC))
    return path


def _isoward(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bundle.cli.main", "install", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _nowhere() -> dict[str, Any]:
    # Port 9 (discard) of this machine: nothing listens there.
    return node_data(HOST_KEY, 9)


def test_a_node_that_is_down_ends_with_its_exit_code_and_a_receipt(
    tmp_path: Path, depot: Path
) -> None:
    site = write_site(tmp_path, site_data(nodes=[_nowhere()]))
    done = _isoward(site, "--depot", depot)
    assert done.returncode == 53, done.stderr
    assert "node1: nothing answers at 127.0.0.1 port 9" in done.stderr
    assert "fail  ssh" in done.stderr
    assert "Traceback" not in done.stderr
    receipt = max((depot / "runs").glob("*/receipt.json"))
    written = json.loads(receipt.read_bytes())
    assert (written["result"], written["error"]["exitCode"]) == ("failed", 53)
    assert written["nodes"][0]["name"] == "node1"


def test_with_json_the_error_is_the_whole_of_standard_output(tmp_path: Path, depot: Path) -> None:
    site = write_site(tmp_path, site_data(nodes=[_nowhere()]))
    for options in (["--json"], ["--json", "--preflight-only"]):
        done = _isoward(site, "--depot", depot, *options)
        assert json.loads(done.stdout)["error"] == "unreachable"
        assert done.returncode == 53
        expected = json.loads(done.stdout)["context"]["expected"]
        assert expected == parse_host_key(HOST_KEY, "x").fingerprint


def test_asking_only_leaves_no_run_behind(tmp_path: Path, depot: Path) -> None:
    site = write_site(tmp_path, site_data(nodes=[_nowhere()]))
    before = sorted((depot / "runs").glob("*")) if (depot / "runs").exists() else []
    assert _isoward(site, "--depot", depot, "--preflight-only").returncode == 53
    after = sorted((depot / "runs").glob("*")) if (depot / "runs").exists() else []
    assert after == before


def test_a_rehearsal_here_needs_neither_a_node_nor_root(tmp_path: Path, depot: Path) -> None:
    site = write_site(tmp_path, site_data(nodes=[_nowhere()]))
    done = _isoward(site, "--depot", depot, "--connection", "local", "--dry-run", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["dryRun"] is True
    assert said["outputs"] == {}
    kept = json.loads((Path(said["receipt"]).parent / "preflight.json").read_bytes())
    answers = {answer["id"]: answer["verdict"] for answer in kept["nodes"][0]["answers"]}
    assert answers["depot"] == "would need"
    assert "fail" not in answers.values()
    assert "give containerd the depot's CA" in said["changed"]["node1"]
    assert not Path("/etc/containerd/isoward").exists()


def test_this_machine_can_be_one_node_only(tmp_path: Path, depot: Path) -> None:
    nodes = [_nowhere(), node_data(_OTHER, 10, "node2")]
    site = write_site(tmp_path, site_data(nodes=nodes))
    done = _isoward(site, "--depot", depot, "--connection", "local")
    assert done.returncode == 2
    assert "expected a site of one node, found 2" in done.stderr


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        ({"firstImage": {"reference": "nginx:1", "command": ["a"]}}, 10, IMAGE),
        ({"kind": "Ward"}, 10, "kind"),
        ({"depot": {"address": "10.0.0.5", "port": 70000}}, 10, "depot.port"),
    ],
)
def test_a_wrong_site_ends_with_10(
    tmp_path: Path, depot: Path, spoil: dict[str, Any], code: int, says: str
) -> None:
    done = _isoward(write_site(tmp_path, site_data(**spoil)), "--depot", depot)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_depot_or_no_ca_is_refused(tmp_path: Path, depot: Path) -> None:
    site = write_site(tmp_path, site_data())
    assert _isoward(site, "--depot", tmp_path / "none").returncode == 11
    done = _isoward(site, "--depot", depot, "--ca", tmp_path / "none.pem")
    assert done.returncode == 10
    assert "expected the site's CA" in done.stderr


def test_a_site_without_a_cluster_is_planned_too(tmp_path: Path, depot: Path) -> None:
    nodes = [_nowhere(), node_data(_OTHER, 10, "node2")]
    site = write_site(tmp_path, site_data(nodes=nodes))
    before = sorted(depot.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "bundle.cli.main", "plan", site, "--depot", depot, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    plan = json.loads(done.stdout)
    assert [step["step"] for step in plan["steps"]] == ["verify", "preflight", "first image"]
    changed = {change["where"] for change in plan["steps"][2]["changes"]}
    assert changed == {"node1", "node2"}
    assert plan["expectedSeconds"] > 0
    assert sorted(depot.rglob("*")) == before


def test_two_installations_of_a_site_do_not_run_at_once(tmp_path: Path, depot: Path) -> None:
    site = write_site(tmp_path, site_data(nodes=[_nowhere()]))
    name = site_data()["metadata"]["name"]
    state = depot / "sites" / name
    state.mkdir(parents=True, exist_ok=True)
    with directory_lock(state):
        done = _isoward(site, "--depot", depot)
    assert done.returncode == BusyError.exit_code
    assert _isoward(site, "--depot", depot).returncode == 53


def _fresh(tmp_path: Path, depot: Path, name: str, port: int = 9) -> tuple[Path, Path]:
    """Return a site of its own in the depot, and where its journal is."""
    data = site_data(nodes=[node_data(HOST_KEY, port)], metadata={"name": name})
    return write_site(tmp_path, data), depot / "sites" / name / JOURNAL_NAME


def test_a_site_without_a_cluster_stops_after_a_step_and_goes_on(
    tmp_path: Path, depot: Path
) -> None:
    site, journal = _fresh(tmp_path, depot, "until")
    done = _isoward(site, "--depot", depot, "--until", "verify")
    assert done.returncode == 0, done.stderr
    assert "installed until until verify: 1 step in" in done.stdout
    again = json.loads(_isoward(site, "--depot", depot, "--until", "verify", "--json").stdout)
    assert (again["complete"], again["receipt"]) == (False, None)
    assert again["steps"][0]["doneBefore"] is True
    assert _isoward(site, "--depot", depot).returncode == 53
    told = [(record.step, record.event) for record in read_journal(journal)]
    assert told == [
        ("verify", "began"), ("verify", "finished"), ("preflight", "began"),
        ("preflight", "failed"),
    ]  # fmt: skip


def test_the_steps_of_the_site_are_named_where_another_is_asked_for(
    tmp_path: Path, depot: Path
) -> None:
    site, journal = _fresh(tmp_path, depot, "named")
    for option in ("--until", "--from"):
        done = _isoward(site, "--depot", depot, option, "hosts")
        assert done.returncode == 2
        assert f"{option}: expected one of verify, preflight, first image" in done.stderr
    done = _isoward(site, "--depot", depot, "--overrides", tmp_path)
    assert done.returncode == 2
    assert "--overrides: expected for a site with kubernetes: only" in done.stderr
    assert not journal.exists()


@pytest.mark.parametrize("options", [["--dry-run"], ["--connection", "local"]])
def test_a_cluster_is_not_rehearsed(tmp_path: Path, depot: Path, options: list[str]) -> None:
    site = write_site(tmp_path, cluster_data(1, "calico"))
    done = _isoward(site, "--depot", depot, *options)
    assert done.returncode == 2
    assert "expected for a site without kubernetes: only" in done.stderr


@pytest.mark.parametrize(
    ("number", "code", "event"),
    [(signal.SIGKILL, -signal.SIGKILL, "began"), (signal.SIGTERM, 130, "interrupted")],
)
def test_stopped_while_it_asks_and_run_again_it_goes_on_there(
    tmp_path: Path, depot: Path, number: signal.Signals, code: int, event: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sshd:
        sshd.settimeout(120)
        site, journal = _fresh(tmp_path, depot, f"stopped-{event}", sshd.getsockname()[1])
        argv: list[str | Path] = [
            sys.executable,
            "-m",
            "bundle.cli.main",
            "install",
            site,
            "--depot",
            depot,
        ]
        first = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            connection, _ = sshd.accept()
            # It says that it is an sshd, and nothing more, so that it is waited for.
            connection.sendall(b"SSH-2.0-silent\r\n")
            assert _isoward(site, "--depot", depot).returncode == BusyError.exit_code
            first.send_signal(number)
            connection.close()
            assert first.wait(timeout=60) == code
        finally:
            first.kill()
            first.wait()
    assert (read_journal(journal)[-1].step, read_journal(journal)[-1].event) == ("preflight", event)
    again = _isoward(site, "--depot", depot)
    assert again.returncode == 53
    assert "[1/3] verify: already done" in again.stderr
    assert "Check the machines, which was interrupted" in again.stderr
