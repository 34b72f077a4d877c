"""The README's installation, typed for each role with real pip: it gives what was locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.cli.roles import ROLE_OF
from bundle.kinds.python_packages import normal_name
from bundle.store.programs import run_program
from bundler.sources.python.simple_index import pip_index
from tests.support.documents.readme import command_blocks
from tests.support.programs.needs import requires_index
from tests.support.programs.roles import ROLES, RoleEnvironment, copy_checkout, locked_names

pytestmark = [pytest.mark.e2e]

_SECONDS = 600


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the checkout, without what was made in it."""
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_installs_a_role(role: str, checkout: Path, tmp_path: Path) -> None:
    requires_index(pip_index(run_program))
    (block,) = (block for block in command_blocks() if block.section == "Install")
    lines = [line.replace("vendor.txt", f"{role}.txt") for line in block.commands]
    assert f"requirements/{role}.txt" in "".join(lines)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    typed = subprocess.run(
        ["bash", "-e", "-c", "\n".join([*lines, "command -v isoward", "isoward --version"])],
        cwd=checkout, env={**os.environ, "HOME": str(tmp_path), "PATH": path},
        capture_output=True, text=True, check=False, timeout=_SECONDS,
    )  # fmt: skip
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert f"{tmp_path}/isoward/bin/isoward\nisoward " in typed.stdout
    made = RoleEnvironment(tmp_path / "isoward")
    listed = subprocess.run(
        [made.bin / "python", "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True, check=True,
    )  # fmt: skip
    found = {normal_name(one["name"]) for one in json.loads(listed.stdout)}
    assert found - {"pip", "isoward"} <= set(map(normal_name, locked_names(role)))
    for command in ("inspect", "approve", "lock", "serve"):
        done = made.run(tmp_path, command, "--help")
        works = ROLE_OF.get(command, role) == role
        assert (done.returncode == 0) is works, done.stderr
        assert "Traceback" not in done.stderr
