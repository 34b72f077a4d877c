"""What looks hostile and harms nobody is accepted: each is a decision, and its reason is here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.cli.main import run
from tests.vectors.hostile.base import Seed, Stage, make_seed

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Seed:
    return make_seed(tmp_path_factory.mktemp("seed"))


@pytest.fixture
def stage(seed: Seed, tmp_path: Path) -> Stage:
    return seed.stage(tmp_path)


def _hard_link(stage: Stage) -> None:
    """The same bytes under a second name: they are hashed, and copied rather than shared."""
    path = stage.first_blob()
    path.rename(stage.folder / "outside")
    path.hardlink_to(stage.folder / "outside")


def _empty_folder(stage: Stage) -> None:
    """A medium that is a disk of its own has lost+found; an empty folder says nothing."""
    (stage.bundle / "lost+found").mkdir()


def _links_on_the_way(stage: Stage) -> None:
    """Where the medium is mounted is the operator's choice; only what is on it is not followed."""
    stage.bundle.rename(stage.folder / "medium")
    stage.bundle.symlink_to("medium")


def _old_times(stage: Stage) -> None:
    """Times on a medium mean nothing."""
    for path in stage.bundle.rglob("*"):
        os.utime(path, (0, 0))


def _all_may_write(stage: Stage) -> None:
    """FAT knows no modes: all that is on such a medium looks so."""
    for path in stage.bundle.rglob("*"):
        path.chmod(0o777)


@pytest.mark.parametrize(
    "change", [_hard_link, _empty_folder, _links_on_the_way, _old_times, _all_may_write]
)
def test_what_harms_nobody_is_accepted(
    change: Callable[[Stage], None], stage: Stage, capsys: Said
) -> None:
    change(stage)
    for command in ("verify", "import"):
        assert run([command, str(stage.bundle), "--depot", str(stage.depot), "--json"]) == 0
        capsys.readouterr()
    outside = stage.folder / "outside"
    if outside.exists():
        assert outside.stat().st_mode & 0o777 == 0o644
        assert outside.stat().st_nlink == 2
