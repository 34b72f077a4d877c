"""A test that needs a program says how to get it, also where it forgot to ask first."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import needs
from tests.support.programs.needs import PACKAGE_OF, how_to_get, requires_tool

ROOT = Path(__file__).resolve().parents[2]
_EVERY_DEBIAN = {"apt", "bash", "coreutils", "dpkg", "gpgv", "util-linux"}
"""Packages that are there after debootstrap's smallest installation."""
_BY_HAND = {"golang-go"}
"""CONTRIBUTING.md says which Go; Debian's is not new enough for all."""


def test_every_program_that_a_test_asks_for_has_a_known_package() -> None:
    asked = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(node, ast.Call) and getattr(called, "id", "") == "requires_tool":
                asked |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    assert len(asked) > 20
    assert asked <= PACKAGE_OF.keys()


def test_what_is_known_is_installed_by_make() -> None:
    script = (ROOT / "tools" / "system-packages").read_text(encoding="utf-8")
    installed = set(" ".join(re.findall(r'tools="([^"]*)"', script)).split())
    assert set(PACKAGE_OF.values()) - _EVERY_DEBIAN - _BY_HAND <= installed


def test_a_program_that_was_run_and_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "_PATH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError) as caught:
        subprocess.run(["skopeo", "--version"], check=True)
    assert how_to_get(caught.value) == "needs skopeo (Debian: apt-get install skopeo)"
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install openssh-client"):
        requires_tool("ssh")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="apt-get install rpm"):
        requires_tool("rpmsign")
    with pytest.raises(FileNotFoundError) as other:
        Path("/nowhere/file").read_bytes()
    assert how_to_get(other.value) is None
