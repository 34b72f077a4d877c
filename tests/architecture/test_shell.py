"""Shell is read by shellcheck: our programs, and what a person types or runs from a medium."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.source import ROOT
from tests.support.programs.needs import requires_tool

_SHEBANG = re.compile(rb"#!/(?:usr/)?bin/(?:env )?(?:ba)?sh\n")
_VERIFY = ROOT / "bundle/texts/files/VERIFY.txt"
_FOLDERS = (".ci", "bench", "bundle", "bundler", "demo", "installer", "tools")


def _scripts() -> list[Path]:
    found = (path for folder in _FOLDERS for path in sorted((ROOT / folder).rglob("*")))
    files = [path for path in found if path.is_file() and "__pycache__" not in path.parts]
    return [path for path in files if _SHEBANG.match(path.read_bytes()[:40])]


def test_the_scripts_are_found() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in _scripts()}
    assert names >= {".ci/run", "tools/system-packages", "bundle/texts/files/install.sh"}


@pytest.mark.parametrize("path", _scripts(), ids=lambda path: path.name)
def test_a_script_has_no_fault(path: Path) -> None:
    requires_tool("shellcheck")
    _check(path)


def test_what_a_person_types_has_no_fault() -> None:
    """VERIFY.txt counts on the names that files of a bundle have, so it lists them with `ls`."""
    requires_tool("shellcheck")
    _check(_VERIFY, "--shell=bash", "--exclude=SC2012,SC2086")


def _check(path: Path, *options: str) -> None:
    done = subprocess.run(
        ["shellcheck", "--norc", *options, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
