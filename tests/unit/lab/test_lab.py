"""The lab's own judgement: which of the host's apt sources make a node, and where it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.node import lab
from tests.lab.rootfs import LabError, host_sources

_DEB822 = """\
Types: deb
# a remark
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
"""


def _apt(folder: Path, **files: str) -> Path:
    (folder / "sources.list.d").mkdir()
    for name, text in files.items():
        path = folder / name.replace("__", ".")
        (path if name == "sources__list" else folder / "sources.list.d" / path.name).write_text(
            text
        )
    return folder


def test_debians_own_sources_are_taken_and_those_of_others_left(tmp_path: Path) -> None:
    apt = _apt(
        tmp_path,
        debian__sources=_DEB822,
        docker__sources=_DEB822.replace("main", "stable"),
        vendor__list="deb https://vendor.example/apt cloud-bookworm main\n",
        old__list="deb https://mirror.example/debian bullseye main\n",
        sources__list=(
            "# deb http://mirror.example/debian bookworm main\n"
            "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm-security main\n"
            "deb-src http://mirror.example/debian bookworm main\n"
        ),
    )
    assert host_sources("bookworm", apt) == [
        "deb [signed-by=/k.gpg] http://mirror.example/debian bookworm-security main",
        str(apt / "sources.list.d" / "debian.sources"),
    ]


def test_a_host_without_a_source_of_its_release_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no apt source of bookworm"):
        host_sources("bookworm", _apt(tmp_path))


def test_a_lab_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="needs root"), lab():
        pytest.fail("it was brought up")
