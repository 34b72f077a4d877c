"""`isoward install` on real nodes without a way out, from a real depot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.content import IMAGE, lab_depot
from tests.lab.node import Lab, LabNode, lab, prove_no_way_out
from tests.lab.site import lab_site, write_site
from tests.support.programs.needs import requires_tool
from tests.support.programs.processes import running

pytestmark = [pytest.mark.e2e, pytest.mark.lab]

_ISOWARD = (sys.executable, "-m", "bundle.cli.main")
_OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMKGdPYkCxNSsfxsGmgPhp0M8DTtpIB7yyM2kVb7Z8J0"
_CTR = ("ctr", "--namespace", "isoward")


@dataclass(frozen=True)
class World:
    """Two nodes, and the depot that is being served to them."""

    lab: Lab
    depot: Path
    port: int

    def site(self, folder: Path, **changes: Any) -> Path:
        """Write a site file, with other top-level fields."""
        return write_site(folder / "site.yaml", lab_site(self.lab, IMAGE, self.port, **changes))

    def install(self, site: Path, *options: str) -> subprocess.CompletedProcess[str]:
        # What whoever installs has set for themselves must not matter.
        hostile = {"ANSIBLE_HOST_KEY_CHECKING": "False", "ANSIBLE_SSH_ARGS": "-F /dev/null"}
        return subprocess.run(
            [*_ISOWARD, "install", site, "--depot", self.depot, *options],
            env={**os.environ, **hostile}, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    def result(self, site: Path, *options: str) -> dict[str, Any]:
        """Install, which must succeed."""
        done = self.install(site, "--json", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_tool("busybox", "ssh")
    work = tmp_path_factory.mktemp("lab")
    depot, ready = lab_depot(work), work / "ready.json"
    with lab(nodes=2) as site:
        argv: list[str | Path] = [*_ISOWARD, "serve", "--depot", depot]
        argv += ["--address", site.host_address, "--port", "0", "--ready-file", ready]
        with running("isoward serve", argv, work / "serve.log", ready=ready.exists):
            port = int(json.loads(ready.read_text())["url"].rsplit(":", 1)[1])
            yield World(site, depot, port)


def _images(node: LabNode) -> list[str]:
    return node.run(*_CTR, "images", "list", "--quiet").stdout.decode().split()


def _state(node: LabNode) -> bytes:
    """What an installation may change on a node."""
    return node.run(
        "sh", "-c",
        "find /etc /usr/local -type f -exec sha256sum {} + | sort; "
        "systemctl show -p ActiveEnterTimestamp containerd",
    ).stdout  # fmt: skip


def test_1_a_rehearsal_changes_nothing(world: World, tmp_path: Path) -> None:
    before = [_state(node) for node in world.lab.nodes]
    result = world.result(world.site(tmp_path), "--dry-run")
    assert result["dryRun"] is True
    assert result["outputs"] == {}
    assert len(result["changed"]["node1"]) > 3
    assert [_state(node) for node in world.lab.nodes] == before
    assert _images(world.lab.nodes[0]) == []


def test_2_nodes_without_a_way_out_run_an_image_of_the_bundle(world: World, tmp_path: Path) -> None:
    result = world.result(world.site(tmp_path))
    assert result["image"].partition("@")[0] == IMAGE.rpartition(":")[0]
    for node in world.lab.nodes:
        assert f"hello from {node.name}" in result["outputs"][node.name]
        assert _images(node) == [result["image"]]
        assert "Network is unreachable" in prove_no_way_out(node)
        hosts = node.run("cat", f"/etc/containerd/certs.d/{IMAGE.partition('/')[0]}/hosts.toml")
        assert f'server = "https://{world.lab.host_address}:{world.port}"' in hosts.stdout.decode()
    kept = json.loads((Path(result["receipt"]).parent / "preflight.json").read_bytes())
    answers = {answer["id"]: answer for answer in kept["nodes"][0]["answers"]}
    assert answers["way-out"]["verdict"] == "ok"
    receipt = json.loads(Path(result["receipt"]).read_bytes())
    assert receipt["result"] == "ok"
    assert receipt["bundle"]["digest"] == result["bundle"]
    assert [step["step"] for step in receipt["steps"]] == ["verify", "preflight", "first image"]
    assert receipt["steps"][2]["outputs"] == result["outputs"]
    events = Path(result["receipt"]).parent / "artifacts" / "first" / "events.jsonl"
    assert len(events.read_bytes().splitlines()) > 20


def test_3_the_second_run_does_nothing_and_one_of_all_steps_changes_nothing(
    world: World, tmp_path: Path
) -> None:
    before = [_state(node) for node in world.lab.nodes]
    again = world.result(world.site(tmp_path))
    assert all(step["doneBefore"] for step in again["steps"])
    assert again["receipt"] is None
    result = world.result(world.site(tmp_path), "--from", "preflight")
    assert [step["doneBefore"] for step in result["steps"]] == [True, False, False]
    assert result["changed"] == {}
    assert set(result["outputs"]) == {"node1", "node2"}
    assert [_state(node) for node in world.lab.nodes] == before


def test_text_that_looks_like_a_template_is_run_as_text(world: World, tmp_path: Path) -> None:
    hostile = "{{ 7 * 7 }} $(id) `id` ; \"'"
    result = world.result(world.site(tmp_path, command=["/bin/echo", hostile]))
    assert result["outputs"]["node1"] == hostile


def test_containerd_asks_the_depot_by_the_references_that_people_know(world: World) -> None:
    # By tag and for another registry, as Kubernetes will.
    node = world.lab.nodes[0]
    node.run(*_CTR, "images", "pull", "--hosts-dir", "/etc/containerd/certs.d",
             "docker.io/library/busybox:1")  # fmt: skip
    assert "docker.io/library/busybox:1" in _images(node)
    node.run(*_CTR, "images", "delete", "docker.io/library/busybox:1")


def test_another_host_key_is_refused_before_anything_is_done(world: World, tmp_path: Path) -> None:
    before = _state(world.lab.nodes[0])
    site = lab_site(world.lab, IMAGE, world.port)
    site["nodes"][1]["hostKey"] = _OTHER_KEY
    done = world.install(write_site(tmp_path / "site.yaml", site))
    assert done.returncode == 53, done.stdout + done.stderr
    assert "node2: expected the host key ssh-ed25519 SHA256:" in done.stderr
    assert "found ssh-ed25519 SHA256:" in done.stderr
    assert "Traceback" not in done.stderr
    assert _state(world.lab.nodes[0]) == before


def test_ansible_itself_refuses_another_host_key(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The questions would refuse it first, so Ansible is run without them here.
    from bundle.base.errors import UnreachableError
    from bundle.base.progress import NO_PROGRESS
    from installer.ansible_run.runner import Run, run_playbook

    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    result = world.result(world.site(tmp_path), "--from", "first image")
    run_folder = Path(result["receipt"]).parent
    wrong = tmp_path / "known_hosts"
    wrong.write_text("".join(f"{n.address} {_OTHER_KEY}\n" for n in world.lab.nodes))
    fresh = tmp_path / "run"
    fresh.mkdir()
    run = Run(fresh, "first.yml", run_folder / "inventory.yml", wrong, ["node1", "node2"],
              local=False, check=True)  # fmt: skip
    with pytest.raises(UnreachableError, match="Host key verification failed"):
        run_playbook(run, NO_PROGRESS)


def test_a_task_that_fails_is_named_with_its_reason(world: World, tmp_path: Path) -> None:
    done = world.install(world.site(tmp_path, command=["/bin/no-such-program"]), "--json")
    assert done.returncode == 52, done.stdout + done.stderr
    error = json.loads(done.stdout)
    assert "'first_image : run the image' failed" in error["message"]
    assert "no-such-program" in error["message"]
    assert Path(error["context"]["events"]).is_file()
    receipts = sorted((world.depot / "runs").glob("*/receipt.json"))
    assert json.loads(receipts[-1].read_bytes())["error"]["id"] == "step"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_stopped_by_ctrl_c_or_killed_and_run_again_it_goes_on(
    world: World, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    site = world.site(tmp_path, command=["/bin/sleep", "600"])
    node = world.lab.nodes[0]
    process = subprocess.Popen(
        [*_ISOWARD, "install", site, "--depot", world.depot],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while b"RUNNING" not in node.run(*_CTR, "tasks", "list").stdout:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, errors
    assert b"Traceback" not in errors
    result = world.result(world.site(tmp_path))
    assert [step["doneBefore"] for step in result["steps"]] == [True, True, False]
    assert "hello from node1" in result["outputs"]["node1"]
    assert node.run(*_CTR, "containers", "list", "--quiet").stdout == b""


def test_z_a_node_that_is_down_is_named(world: World, tmp_path: Path) -> None:
    world.lab.nodes[1].stop()
    done = world.install(world.site(tmp_path), "--from", "preflight")
    assert done.returncode == 53, done.stdout + done.stderr
    assert "node2: nothing answers at" in done.stderr
    assert "Is the machine on" in done.stderr
    # The other one was asked all the same.
    assert "ok    depot" in done.stderr
