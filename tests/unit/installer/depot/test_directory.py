from __future__ import annotations

from pathlib import Path

import pytest

from bundle.base.errors import FormatError, StorageError
from installer.depot.directory import DepotDirectory, create_depot, open_depot


def test_a_new_depot_can_be_opened(tmp_path: Path) -> None:
    made = create_depot(tmp_path / "new" / "depot")
    assert open_depot(made.path).bundle_names() == frozenset()
    assert made.records() == []


def test_making_it_again_changes_nothing(tmp_path: Path) -> None:
    create_depot(tmp_path)
    before = (tmp_path / "depot.json").read_bytes()
    create_depot(tmp_path)
    assert (tmp_path / "depot.json").read_bytes() == before


def test_a_directory_with_an_enrolled_root_becomes_a_depot(tmp_path: Path) -> None:
    (tmp_path / "trust").mkdir()
    (tmp_path / ".lock").touch()
    create_depot(tmp_path)


def test_a_directory_of_something_else_does_not(tmp_path: Path) -> None:
    (tmp_path / "thesis.odt").write_text("years of work")
    with pytest.raises(FormatError, match="thesis"):
        create_depot(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.odt"]


def test_no_depot_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a depot"):
        open_depot(tmp_path)
    with pytest.raises(FormatError, match="not a depot"):
        open_depot(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text", ["", "{}", '{"apiVersion":"isoward/v2","kind":"Depot"}', "[" * 100_000]
)
def test_a_damaged_marker_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "depot.json").write_text(text)
    with pytest.raises(FormatError, match=r"depot\.json"):
        open_depot(tmp_path)


def test_a_file_where_the_depot_must_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        create_depot(tmp_path / "file")


def test_only_whole_bundles_are_listed(tmp_path: Path) -> None:
    depot = create_depot(tmp_path)
    for name in ("a" * 64, "b" * 64 + ".tmp", "c" * 63, "README", "A" * 64):
        (depot.bundles / name).mkdir()
    assert depot.bundle_names() == {"a" * 64}


def test_a_record_of_another_bundle_is_refused(tmp_path: Path) -> None:
    depot = DepotDirectory(tmp_path)
    with pytest.raises(StorageError, match=r"import\.json"):
        depot.load_record("a" * 64)
