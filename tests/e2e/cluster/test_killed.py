"""An installer that is killed with -9 in the middle of Kubespray, and what the next run does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from installer.ansible_run.left_running import MARKER
from installer.steps.create_cluster import ClusterStep
from tests.support.programs.needs import requires_tool
from tests.support.sites.cluster_step import ClusterWorld, cluster_world, run_elsewhere, tree

pytestmark = pytest.mark.e2e


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ClusterWorld]:
    requires_tool("ssh")
    with cluster_world(tmp_path, nodes=1) as made:
        yield made


def _marked(folder: Path) -> list[psutil.Process]:
    """Return the processes that carry the marker of a run below a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARKER, "").startswith(f"{folder}/"):
                found.append(process)
    return found


def test_what_a_killed_installer_left_running_is_ended_before_anything_else(
    world: ClusterWorld, tmp_path: Path
) -> None:
    waiting = tmp_path / "waiting"
    slow = {"name": "Wait", "shell": f"echo $$ > {waiting}; exec sleep 600"}
    world.carry(tree(slow))
    killed = run_elsewhere(world, tmp_path / "killed.log")
    try:
        deadline = time.monotonic() + 120
        while not waiting.exists() or not waiting.read_text():
            assert killed.poll() is None, (tmp_path / "killed.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        killed.kill()
        killed.wait()
    try:
        left = _marked(world.depot.runs)
        assert left
        assert (world.state / "cluster-began").exists()
        world.carry(tree())
        done = ClusterStep().run(world.context())
        assert not [process for process in left if process.is_running()]
        assert any("an earlier run of st-example left" in line for line in world.notes.lines)
        assert any("an earlier run was interrupted" in line for line in world.notes.lines)
        assert (world.root / "node1").is_file()
        assert done["changed"] == {}
        assert not (world.state / "cluster-began").exists()
        assert not list(Path("/dev/shm").glob(f"isoward-{killed.pid}-*"))
    finally:
        with suppress(ProcessLookupError):
            os.kill(int(waiting.read_text()), signal.SIGKILL)
