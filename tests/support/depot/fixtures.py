"""A depot with one of everything, whose application is asked without a server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bundle.trust.keys.stored import load_key
from installer.depot.directory import open_depot
from installer.serving.live import LiveDepot
from tests.support.depot.imported import import_now, rich_sample, signed_bundle
from tests.support.sites.depot_site import Site
from tests.support.trust.release_kit import (
    APPROVERS,
    BUILDER,
    ROOT_HOLDERS,
    KeyFile,
    ReleaseKit,
    enrolled,
    make_release,
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site")
    kit = make_release(path / "vendor")
    enrolled(path / "depot", kit)
    import_now(signed_bundle(path / "bundle", kit, *rich_sample()), path / "depot")
    return path


def _kit(directory: Path) -> ReleaseKit:
    """Read the vendor's keys again below a copy of its folder, which the test may release into."""

    def key(name: str) -> KeyFile:
        file = directory / "keys" / f"{name.split(maxsplit=1)[0].lower()}.pem"
        return KeyFile(name, file, load_key(file))

    return ReleaseKit(
        release=directory / "release",
        fingerprint="",
        roots=tuple(key(name) for name in ROOT_HOLDERS),
        approvers=tuple(key(name) for name in APPROVERS),
        builder=key(BUILDER),
        stranger=key("Mallory Stranger"),
    )


@pytest.fixture
def site(base: Path, tmp_path: Path) -> Site:
    """A copy of a depot, which the test may spoil."""
    for name in ("depot", "vendor"):
        shutil.copytree(base / name, tmp_path / name)
    depot = open_depot(tmp_path / "depot")
    return Site(_kit(tmp_path / "vendor"), depot, LiveDepot(depot))
