"""The demo does less where a machine can do less, and knows it beforehand."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from demo import stage
from demo.stage import choose_stage, is_chroot


def test_a_chroot_is_known_by_another_root_of_the_first_process(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert is_chroot(tmp_path, tmp_path / "elsewhere")
    assert not is_chroot(tmp_path, tmp_path)
    assert not is_chroot(tmp_path / "none", tmp_path)


def test_in_a_chroot_the_registry_is_real_and_the_node_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage, "find_tool", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(stage, "is_chroot", lambda: True)
    found = choose_stage(embedded=False)
    assert (found.real_registry, found.lab_node) == (True, False)
    assert "chroot" in found.why
    monkeypatch.setattr(stage, "is_chroot", lambda: False)
    assert choose_stage(embedded=False).lab_node
