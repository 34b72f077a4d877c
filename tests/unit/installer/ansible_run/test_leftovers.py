"""What an earlier run left: on this machine, and on the machines of the site."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import jinja2
import pytest
import yaml

from installer.ansible_run.left_running import MARKER, end_leftovers, is_run_of
from installer.ansible_run.runner import PLAYBOOKS
from tests.support.sites.cluster_step import Notes

_NOT_FOUND = (
    "echo 'Error from server (NotFound): configmaps \"cluster-info\" not found' >&2; exit 1"
)
_REFUSED = "echo 'The connection to the server was refused' >&2; exit 1"


def test_only_an_earlier_run_of_the_same_site_is_ended(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    own = runs / "20260101T000000Z-north"
    markers = {
        "earlier": runs / "20251231T235959Z-north",
        "earlier, a step's folder": runs / "20251231T235958Z-north-2" / "hosts",
        "own": own,
        "another site": runs / "20251231T235959Z-south",
        "another depot": tmp_path / "other" / "runs" / "20251231T235959Z-north",
    }
    started = {
        name: subprocess.Popen(["sleep", "600"], env={**os.environ, MARKER: str(folder)})
        for name, folder in markers.items()
    }
    started["no run"] = subprocess.Popen(["sleep", "600"])
    try:
        assert end_leftovers(own, "north", Notes()) == 2
        ended = {name for name, process in started.items() if process.poll() is not None}
        assert ended == {"earlier", "earlier, a step's folder"}
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def test_a_site_whose_name_is_as_the_second_run_of_another_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "20260101T000000Z-north-2"
    assert is_run_of(folder, "north")
    assert is_run_of(folder, "north-2")
    (tmp_path / "sites" / "north-2").mkdir(parents=True)
    assert not is_run_of(folder, "north")
    assert not is_run_of(folder, "nor")


def _run(task: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script of a task of settle.yml here, with the programs of a folder alone."""
    (play,) = yaml.safe_load((PLAYBOOKS / "settle.yml").read_bytes())
    (script,) = (t["ansible.builtin.raw"] for t in play["tasks"] if t["name"] == task)
    _program(folder / "sleep", "exit 0")
    values = {
        "bin_dir": folder,
        "settle_kubelet": folder / "kubelet.yaml",
        "settle_tries": 1,
        "settle_programs": "apt-get|kubeadm",
    }
    return subprocess.run(
        ["/bin/sh", "-c", jinja2.Template(script).render(values)],
        env={"PATH": f"{folder}:/usr/bin:/bin"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("kubectl", "is_reset"),
    [(_NOT_FOUND, True), (_REFUSED, False), ("echo configmap/cluster-info", False)],
)
def test_half_a_control_plane_is_reset_only_where_the_api_server_says_so(
    tmp_path: Path, kubectl: str, is_reset: bool
) -> None:
    _program(tmp_path / "kubeadm", f'echo "$@" >> {tmp_path}/reset.log')
    _program(tmp_path / "kubectl", kubectl)
    task = "reset a control plane that was never finished"
    assert _run(task, tmp_path).returncode == 0
    assert not (tmp_path / "reset.log").exists()  # for there is no kubelet yet
    (tmp_path / "kubelet.yaml").touch()
    done = _run(task, tmp_path)
    assert done.returncode == 0
    assert ("finished" in done.stdout) == is_reset
    assert (tmp_path / "reset.log").exists() == is_reset
    if is_reset:
        said = (tmp_path / "reset.log").read_text()
        assert said == "reset --force --cert-dir /etc/kubernetes/ssl\n"


def test_packages_are_finished_where_some_are_half_installed(tmp_path: Path) -> None:
    log = tmp_path / "dpkg.log"
    task = "finish packages that are half installed"
    _program(tmp_path / "dpkg", f'[ "$1" = --audit ] || echo "$@" >> {log}')
    assert "finished" not in _run(task, tmp_path).stdout
    assert not log.exists()
    _program(tmp_path / "dpkg", f'[ "$1" = --audit ] && echo broken || echo "$@" >> {log}')
    assert "finished" in _run(task, tmp_path).stdout
    assert log.read_text() == "--configure -a --force-confdef --force-confold\n"


def test_what_still_runs_is_waited_for_and_named(tmp_path: Path) -> None:
    task = "wait for what is still running"
    _program(tmp_path / "pgrep", "exit 1")
    assert _run(task, tmp_path).returncode == 0
    _program(tmp_path / "pgrep", "echo 12 kubeadm")
    done = _run(task, tmp_path)
    assert done.returncode == 1
    assert "12 kubeadm" in done.stderr
