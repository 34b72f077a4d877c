"""A checkout is set up by old and new pips, from an index that has newer versions of everything.

pip before 24 takes the newest version of a pinned project that is wanted with an extra, and has no
hash for it: the day after that project's next release nobody could install the requirements.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.packages.locked_wheels import locked_wheels, pip_wheel
from tests.support.packages.python_index import PythonIndex, python_index
from tests.support.programs.roles import ROOT, copy_checkout

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

_LOCK = ROOT / "requirements" / "dev.txt"
_PIPS = ("23.0.1", "23.2.1", "")
_SECONDS = 900


@pytest.fixture(scope="module")
def index() -> Iterator[PythonIndex]:
    """What the requirements pin, and of each project a version that is newer and not theirs."""
    with python_index() as made:
        for wheel in sorted(locked_wheels(_LOCK).iterdir()):
            made.add(wheel.name, wheel.read_bytes())
            # Within the bounds that others set, which a version of 9999 would not be.
            project, version = wheel.name.split("-")[:2]
            made.add(f"{project}-{version}.post1-py3-none-any.whl")
        yield made


@dataclass(frozen=True)
class Fresh:
    """A checkout with an environment that has nothing but a certain pip."""

    checkout: Path
    index: PythonIndex

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; pip knows no index but the test's."""
        settings = {
            "PATH": os.environ["PATH"], "HOME": str(self.checkout), "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.index.url, "PIP_NO_CACHE_DIR": "1", "PIP_NO_COMPILE": "1",
        }  # fmt: skip
        return subprocess.run(
            command, cwd=self.checkout, env=settings, capture_output=True, text=True, check=False,
            timeout=_SECONDS,
        )  # fmt: skip


@pytest.fixture(params=_PIPS, ids=lambda version: f"pip {version or 'newest'}")
def fresh(
    request: pytest.FixtureRequest, index: PythonIndex, tmp_path: Path
) -> tuple[Fresh, tuple[int, ...]]:
    if request.param == "23.0.1" and sys.version_info >= (3, 12):
        pytest.skip("pip 23.0.1 runs on no Python from 3.12 on")
    wheel = pip_wheel(request.param)
    checkout = copy_checkout(tmp_path / "checkout")
    made = Fresh(checkout, index)
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", ".venv"],
        [".venv/bin/python", f"{wheel}/pip", "install", "--no-index", str(wheel)],
    ):
        done = made.run(*command)
        assert done.returncode == 0, done.stderr
    version = wheel.name.split("-")[1]
    assert f"pip {version} " in made.run(".venv/bin/pip", "--version").stdout
    return made, tuple(map(int, version.split(".")))


def test_a_checkout_is_set_up(fresh: tuple[Fresh, tuple[int, ...]]) -> None:
    made, version = fresh
    # That it can fail: with a resolver an old pip does not take what is pinned.
    resolved = made.run(
        ".venv/bin/pip", "install", "--dry-run", "--require-hashes", "-r", "requirements/vendor.txt"
    )
    if version < (24,):
        assert resolved.returncode != 0
        assert "must have their versions pinned" in resolved.stderr
    done = made.run("tools/make-environment", ".venv", sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No broken requirements found." in done.stdout
    listed = made.run(".venv/bin/pip", "list", "--format=freeze").stdout
    assert "pydantic==" in listed
    assert ".post1" not in listed
    assert made.run(".venv/bin/isoward", "--version").stdout.startswith("isoward ")


def test_what_an_older_lock_left_is_cleared_away(index: PythonIndex, tmp_path: Path) -> None:
    """A package that no requirement names any more, and that does not fit what they name now."""
    made = Fresh(copy_checkout(tmp_path / "checkout"), index)
    index.add("stale-1.0-py3-none-any.whl")
    done = made.run(sys.executable, "-m", "venv", ".venv")
    assert done.returncode == 0, done.stderr
    metadata = (
        next((made.checkout / ".venv").glob("lib/python*/site-packages")) / "stale-1.0.dist-info"
    )
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: stale\nVersion: 1.0\nRequires-Dist: click<1\n"
    )
    (metadata / "RECORD").write_text(
        "stale-1.0.dist-info/METADATA,,\nstale-1.0.dist-info/RECORD,,\n"
    )
    done = made.run("tools/make-environment", ".venv", sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "making it anew" in done.stderr
    assert "stale" not in made.run(".venv/bin/pip", "list").stdout
