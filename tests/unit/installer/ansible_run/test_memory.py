"""Folders in memory go with their process, and never while somebody uses them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from installer.ansible_run import memory
from installer.ansible_run.memory import memory_folder


def test_a_folder_in_use_stays_though_its_process_has_no_id_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As a process in a container sees one of its host: by another id, or not at all.
    shown = [memory.started]
    monkeypatch.setattr(memory, "started", lambda pid: shown[0](pid) + 1)
    with memory_folder() as first:
        monkeypatch.setattr(memory, "started", shown[0])
        with memory_folder() as second:
            assert first.is_dir()
            assert second.is_dir()
        assert not second.exists()
    assert not first.exists()


def test_what_a_killed_process_left_is_removed() -> None:
    left = Path("/dev/shm/isoward-1-1-left")
    left.mkdir(exist_ok=True)
    try:
        with memory_folder():
            assert not left.exists()
    finally:
        shutil.rmtree(left, ignore_errors=True)
