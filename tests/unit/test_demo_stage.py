"""The demo does less where a machine can do less, and knows it beforehand."""

from __future__ import annotations

import os
import platform

import pytest

from demo import stage
from demo.stage import choose_stage


def test_without_what_boots_a_node_the_registry_is_real_and_the_node_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking = {"systemd-nspawn"}
    monkeypatch.setattr(
        stage, "find_tool", lambda name: None if name in lacking else f"/usr/bin/{name}"
    )
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    found = choose_stage(embedded=False)
    assert (found.real_registry, found.lab_node) == (True, False)
    assert "systemd-nspawn" in found.why
    lacking.clear()
    assert choose_stage(embedded=False).lab_node
