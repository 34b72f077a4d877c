"""What holds for all tests."""

from __future__ import annotations

import pytest

from tests.support.needs import requires_root, requires_tool

_LAB_TOOLS = ("mmdebstrap", "systemd-nspawn", "ip", "ssh-keygen")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, or fail it in CI."""
    lab = item.get_closest_marker("lab") is not None
    if lab or item.get_closest_marker("root") is not None:
        requires_root()
    if lab:
        requires_tool(*_LAB_TOOLS)
