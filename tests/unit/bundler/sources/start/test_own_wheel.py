"""Isoward's own wheel: the same bytes wherever it is made, and a wheel that pip takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, PathDistribution, version
from io import BytesIO
from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError, DigestMismatchError, FormatError
from bundle.kinds.start import is_wheel_name
from bundler.sources.python.wheels import read_metadata
from bundler.sources.start import own_wheel
from bundler.sources.start.own_wheel import (
    MadeWheel,
    make_wheel,
    read_wheel,
    requirements_of,
    wheel_of,
)

ROOT = Path(__file__).resolve().parents[5]


@pytest.fixture(scope="module")
def made() -> MadeWheel:
    return make_wheel()


@pytest.fixture
def installed(made: MadeWheel, tmp_path: Path) -> Path:
    """The folder of an installation that pip made of it."""
    wheel, target = tmp_path / made.name, tmp_path / "site"
    wheel.write_bytes(made.data)
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install",
         "--no-index", "--no-deps", "--target", target, wheel],
        check=True,
    )  # fmt: skip
    return target


def _distribution(target: Path) -> Distribution:
    (info,) = target.glob("isoward-*.dist-info")
    return PathDistribution(info)


def test_it_is_made_the_same_again(made: MadeWheel) -> None:
    assert make_wheel() == made
    assert is_wheel_name(made.name)
    with zipfile.ZipFile(BytesIO(made.data)) as archive:
        assert archive.testzip() is None
        members = archive.infolist()
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    assert {member.compress_type for member in members} == {zipfile.ZIP_STORED}
    names = [member.filename for member in members]
    assert names == sorted(names)
    assert not [name for name in names if name.endswith(".pyc") or name.startswith(("/", "."))]


def test_nothing_in_it_says_where_it_was_made(made: MadeWheel) -> None:
    assert str(ROOT).encode() not in made.data
    assert b"direct_url.json" not in made.data


def test_an_installation_makes_the_very_bytes_that_it_was_made_of(
    made: MadeWheel, installed: Path
) -> None:
    assert list(installed.rglob("*.pyc"))
    assert wheel_of(_distribution(installed), installed) == made


def test_a_work_tree_makes_the_same_as_an_installation(made: MadeWheel, installed: Path) -> None:
    assert wheel_of(_distribution(installed), ROOT) == made


def test_an_installed_file_that_was_changed_is_found(installed: Path) -> None:
    changed = installed / "bundle" / "store" / "layout.py"
    changed.write_text(changed.read_text() + "\n")
    with pytest.raises(DigestMismatchError, match=r"bundle/store/layout\.py: expected sha256"):
        wheel_of(_distribution(installed), installed)


def test_what_is_not_installed_makes_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_wheel, "distributions", lambda name: iter(()))
    with pytest.raises(DefinitionError, match="not installed"):
        make_wheel()


def test_what_a_build_left_in_the_checkout_is_no_installation(
    made: MadeWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `pip install .` leaves it: found first, with another version, and without METADATA."""
    left = tmp_path / "isoward.egg-info"
    left.mkdir()
    (left / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: isoward\nVersion: 0.0.1\n")
    (left / "top_level.txt").write_text("bundle\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert version("isoward") == "0.0.1"
    assert make_wheel() == made


def test_it_says_what_it_needs(made: MadeWheel) -> None:
    base = requirements_of(made, extra="")
    assert base is not None
    assert {"click", "msgspec", "pyyaml", "tuf"} <= base
    full = requirements_of(made)
    assert full is not None
    assert full - base == {
        "ansible-core",
        "ansible-runner",
        "granian",
        "jinja2",
        "oras",
        "paramiko",
        "pyrage",
        "requests",
    }


def test_a_wheel_by_its_path(made: MadeWheel, tmp_path: Path) -> None:
    path = tmp_path / made.name
    path.write_bytes(made.data)
    assert read_wheel(path) == made


@pytest.mark.parametrize("name", ["other-1.0-py3-none-any.whl", "isoward-1.0.tar.gz", "none.whl"])
def test_something_else_is_refused(made: MadeWheel, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name != "none.whl":
        path.write_bytes(made.data)
    with pytest.raises(DefinitionError, match=r"start\.wheel: "):
        read_wheel(path)


def test_a_damaged_or_misnamed_wheel_is_refused(made: MadeWheel, tmp_path: Path) -> None:
    path = tmp_path / made.name
    path.write_bytes(made.data[: len(made.data) // 2])
    with pytest.raises(DefinitionError, match="expected a wheel of isoward"):
        read_wheel(path)
    path.write_bytes(made.data)
    misnamed = tmp_path / "isoward-77.0-py3-none-any.whl"
    shutil.copy(path, misnamed)
    with pytest.raises(DefinitionError, match="expected a wheel of isoward"):
        read_wheel(misnamed)


def test_a_wheel_of_isoward_without_a_description_is_no_matter_of_an_index(
    tmp_path: Path,
) -> None:
    path = tmp_path / "isoward-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bundle/__init__.py", "")
    with pytest.raises(FormatError) as caught:
        read_metadata(path, path.name)
    assert "Reinstall isoward" in caught.value.hint
