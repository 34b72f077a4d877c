"""What is damaged on the medium is refused by name, and what is in the depot restored."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import (
    DigestMismatchError,
    IntegrityError,
    MissingBlobError,
    SizeMismatchError,
    UnexpectedFileError,
    UnsafePathError,
)
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import DepotDirectory
from tests.support.depot.imported import import_now
from tests.support.depot.one_bundle import Case, flip, staged


def test_a_blob_that_the_depot_has_is_still_checked_on_the_medium(case: Case) -> None:
    import_now(case.bundle, case.depot)
    shutil.copytree(case.bundle, case.bundle.with_name("other"))
    case.bundle = case.bundle.with_name("other")
    flip(case.blob(3))
    with pytest.raises(DigestMismatchError, match=f"blobs/sha256/{case.blob(3).name}"):
        import_now(case.bundle, case.depot)


@pytest.mark.parametrize("copy", [False, True])
def test_a_flipped_bit_is_refused_by_name(
    case: Case, copy: bool, request: pytest.FixtureRequest
) -> None:
    if copy:
        request.getfixturevalue("copying")
    flip(case.blob(5))
    with pytest.raises(DigestMismatchError, match=f"blobs/sha256/{case.blob(5).name}"):
        import_now(case.bundle, case.depot)
    depot = DepotDirectory(case.depot)
    assert depot.bundle_names() == frozenset()
    assert not (depot.blobs / case.blob(5).name).exists()
    assert staged(case) == []


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("change", [b"", b"short", None])
def test_another_size_is_refused_by_name(
    case: Case, copy: bool, change: bytes | None, request: pytest.FixtureRequest
) -> None:
    if copy:
        request.getfixturevalue("copying")
    path = case.blob(2)
    path.write_bytes(path.read_bytes() + b"x" if change is None else change)
    with pytest.raises(SizeMismatchError, match=f"blobs/sha256/{path.name}"):
        import_now(case.bundle, case.depot)
    assert staged(case) == []


def test_a_missing_blob_is_named(case: Case) -> None:
    case.blob(1).unlink()
    with pytest.raises(MissingBlobError, match=f"blobs/sha256/{case.blob(1).name}"):
        import_now(case.bundle, case.depot)


def test_a_link_in_place_of_a_blob_is_refused(case: Case, tmp_path: Path) -> None:
    case.blob(1).rename(tmp_path / "elsewhere")
    case.blob(1).symlink_to(tmp_path / "elsewhere")
    with pytest.raises((UnsafePathError, IntegrityError), match=r"link"):
        import_now(case.bundle, case.depot)


def test_a_file_too_many_is_refused(case: Case) -> None:
    (case.bundle / "setup.sh").write_text("#!/bin/sh\n")
    with pytest.raises(UnexpectedFileError, match=r"setup\.sh"):
        import_now(case.bundle, case.depot)


def test_good_blobs_stay_for_the_next_try(case: Case) -> None:
    # Not a manifest: those are looked into before anything is brought in.
    paths = (case.blob(i) for i in range(len(case.blobs)))
    damaged = next(path for path in paths if not path.read_bytes().startswith(b"{"))
    good = damaged.read_bytes()
    flip(damaged)
    with pytest.raises(DigestMismatchError):
        import_now(case.bundle, case.depot)
    damaged.write_bytes(good)
    kept = len(list(DepotDirectory(case.depot).blobs.iterdir()))
    outcome = import_now(case.bundle, case.depot)
    assert outcome.record.new_blobs == len(case.blobs) - kept


def test_a_blob_that_was_cut_short_in_the_depot_is_restored(case: Case) -> None:
    import_now(case.bundle, case.depot)
    broken = DepotDirectory(case.depot).blobs / case.blob(6).name
    data = broken.read_bytes()
    broken.unlink()
    broken.write_bytes(data[:-1])
    outcome = import_now(case.bundle, case.depot)
    assert outcome.already
    assert sum(outcome.ways.values()) == 1
    assert broken.read_bytes() == data


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_flipped_bit_in_the_depot_is_found_and_restored(case: Case, place: str) -> None:
    """Of every blob: a manifest, a config, a layer, a file."""
    import_now(case.bundle, case.depot)
    depot = DepotDirectory(case.depot)
    for digest, data in case.blobs.items():
        last = 8 * len(data) - 1
        flip(depot.blob_path(digest), {"first": 0, "middle": last // 2, "last": last}[place])
    outcome = import_now(case.bundle, case.depot)
    assert outcome.already
    assert list(outcome.healed) == sorted(case.blobs)
    assert any("registry.example.org/" in name for name in sum(outcome.healed.values(), ()))
    for digest, data in case.blobs.items():
        path = depot.blob_path(digest)
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert import_now(case.bundle, case.depot).healed == {}


def test_whatever_is_in_a_blobs_place_is_replaced(case: Case) -> None:
    """A folder, a link, a pipe, a file without bytes: all that a damaged disk or a hand leaves."""
    import_now(case.bundle, case.depot)
    depot = DepotDirectory(case.depot)
    first, second, third, fourth = sorted(case.blobs)[:4]
    for digest in (first, second, third, fourth):
        depot.blob_path(digest).unlink()
    (depot.blob_path(first) / "below").mkdir(parents=True)
    depot.blob_path(second).symlink_to(case.bundle / "bundle.json")
    os.mkfifo(depot.blob_path(third))
    depot.blob_path(fourth).touch()
    outcome = import_now(case.bundle, case.depot)
    assert list(outcome.healed) == [first, second, third, fourth]
    for digest, data in case.blobs.items():
        assert not depot.blob_path(digest).is_symlink()
        assert depot.blob_path(digest).read_bytes() == data
    assert import_now(case.bundle, case.depot).healed == {}
    assert not any(depot.staging.iterdir())


def test_a_blob_that_the_disk_does_not_open_is_replaced(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_now(case.bundle, case.depot)
    hit = DepotDirectory(case.depot).blob_path(min(case.blobs))
    opened = os.open

    def open_(path: Any, *args: Any, **named: Any) -> int:
        if path == hit:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(path, *args, **named)

    monkeypatch.setattr(os, "open", open_)
    assert list(import_now(case.bundle, case.depot).healed) == [f"sha256:{hit.name}"]


def test_a_damaged_medium_does_not_spoil_what_the_depot_has(case: Case) -> None:
    import_now(case.bundle, case.depot)
    paths = (case.blob(i) for i in range(len(case.blobs)))
    damaged = next(path for path in paths if not path.read_bytes().startswith(b"{"))
    good = damaged.read_bytes()
    flip(damaged)
    with pytest.raises(DigestMismatchError):
        import_now(case.bundle, case.depot)
    assert (DepotDirectory(case.depot).blobs / damaged.name).read_bytes() == good


def test_a_damaged_record_is_made_anew(case: Case) -> None:
    import_now(case.bundle, case.depot)
    depot = DepotDirectory(case.depot)
    (name,) = depot.bundle_names()
    (depot.bundles / name / "import.json").write_text("{}")
    outcome = import_now(case.bundle, case.depot)
    assert not outcome.already
    assert len(accepted_bundles(depot)) == 1
