"""The demo tells its story to the end, and says where it failed when it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.programs.needs import requires_tool

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
_ROOT = Path(__file__).resolve().parents[3]
_HIDDEN = {"apt-get", "containerd", "ctr", "docker-registry", "dpkg-deb", "skopeo"}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: ssh's control sockets have room for about a hundred letters."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)


def _demo(home: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "demo", *options],
        cwd=_ROOT,
        env={**os.environ, "TMPDIR": str(home / "tmp"), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _steps(output: str) -> list[int]:
    told = output.partition("What it took")[0]
    return [int(number) for number in re.findall(r"^(\d+)\. ", told, re.MULTILINE)]


def _left_behind(home: Path) -> list[str]:
    """Return the processes that still work in the demo's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(home) or str(home) in " ".join(process.cmdline()):
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.lab
def test_the_whole_story_on_a_lab_node(home: Path) -> None:
    requires_tool("docker-registry", "skopeo", "apt-get", "dpkg-deb")
    done = _demo(home)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert _steps(done.stdout) == list(range(1, 15))
    assert "the CNCF distribution registry" in done.stdout
    assert "exit code 32: refused" in done.stdout
    assert "exit code 21: refused" in done.stdout
    assert "Hello, world!" in done.stdout
    assert "node1# ip route" in done.stdout
    assert "default via" not in done.stdout.partition("node1# ip route")[2]
    assert list((home / "tmp").iterdir()) == []
    assert _left_behind(home) == []


def test_the_story_without_root_and_without_tools(home: Path) -> None:
    programs = home / "bin"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name not in _HIDDEN:
            (programs / program.name).symlink_to(program)
    keep = home / "kept"
    cache = str(home / "cache")
    options = ("--embedded", "--keep", str(keep))
    done = _demo(home, *options, PATH=str(programs), XDG_CACHE_HOME=cache)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert _steps(done.stdout) == list(range(1, 15))
    assert "a registry within this program" in done.stdout
    assert "There is no skopeo here" in done.stdout
    assert "There is no lab node" in done.stdout
    assert (keep / "bundle" / "bundle.json").exists()
    assert "isoward verify" in (keep / "logs" / "step-08.log").read_text()
    assert _left_behind(home) == []


def test_a_failure_names_its_step_and_its_log(home: Path) -> None:
    keep = home / "kept"
    (keep / "definition.yaml").mkdir(parents=True)
    occupied = _demo(home, "--embedded", "--keep", str(keep))
    assert occupied.returncode == 1
    assert "is not empty" in occupied.stderr
    broken = _demo(home, "--embedded", XDG_CACHE_HOME="/dev/null/nowhere")
    assert broken.returncode == 1
    assert "demo: step 1. An upstream" in broken.stderr
    log = re.search(r"see (\S+);", broken.stderr)
    assert log is not None
    assert "Traceback" in Path(log[1]).read_text()
