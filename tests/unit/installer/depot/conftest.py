"""A depot with one of everything, whose application is asked without a server; and one bundle."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.depot.fixtures import base, site
from tests.support.depot.imported import signed_bundle
from tests.support.depot.one_bundle import Case
from tests.support.documents.content import sample
from tests.support.trust.release_kit import enrolled, make_release

__all__ = ["base", "case", "cloning", "copying", "signed", "site"]


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Case:
    base = tmp_path_factory.mktemp("vendor")
    kit = make_release(base)
    lock, blobs = sample()
    return Case(kit, lock, blobs, signed_bundle(base / "bundle", kit, lock, blobs), base)


@pytest.fixture
def case(signed: Case, tmp_path: Path) -> Case:
    """A copy of the bundle, which the test may spoil, and a site that enrolled its root."""
    shutil.copytree(signed.bundle, tmp_path / "bundle")
    enrolled(tmp_path / "depot", signed.kit)
    return Case(signed.kit, signed.lock, signed.blobs, tmp_path / "bundle", tmp_path / "depot")


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a medium that is another file system."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("fcntl.ioctl", refuse)


@pytest.fixture
def cloning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that shares blocks until they are written: btrfs, XFS."""

    def clone(target: int, _: int, source: int) -> int:
        offset = 0
        while data := os.pread(source, 65536, offset):
            offset += os.write(target, data)
        return 0

    monkeypatch.setattr("fcntl.ioctl", clone)
