"""Files are there whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.base.errors import BusyError, NoSpaceError, StorageError, UsageError
from bundle.store.atomic import (
    directory_lock,
    locked_folder,
    storage_errors,
    write_atomic,
    write_new,
)


def test_it_writes_with_the_mode(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x", b"data", 0o444)
    assert (tmp_path / "x").read_bytes() == b"data"
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o444


def test_it_replaces(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x", b"old")
    write_atomic(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_failing_sync_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic(tmp_path / "x", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bundle.store.atomic.os.fsync", full)
    with pytest.raises(NoSpaceError, match="No space left"):
        write_atomic(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        write_atomic(tmp_path / "no" / "x", b"")


def test_a_full_device() -> None:
    device = Path("/dev/full")
    with pytest.raises(NoSpaceError), storage_errors("write it"), device.open("wb", 0) as file:
        file.write(b"x")


def test_the_lock_keeps_another_process_out(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from bundle.store.atomic import directory_lock\n"
        "from bundle.base.errors import BusyError\n"
        "try:\n    with directory_lock(Path(sys.argv[1])): print('got it')\n"
        "except BusyError as error: print(error.message)\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path)]
    with directory_lock(tmp_path):
        refused = subprocess.run(arguments, capture_output=True, text=True, check=True)
        with pytest.raises(BusyError), directory_lock(tmp_path):
            pass
    granted = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "in use by another" in refused.stdout
    assert granted.stdout == "got it\n"


@pytest.mark.parametrize("refused", [None, errno.EPERM, errno.EOPNOTSUPP], ids=str)
def test_a_new_file_takes_nobody_s_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int | None
) -> None:
    """Also where a file has one name only, as on FAT and exFAT: what a stick mostly has."""
    if refused is not None:

        def refuse(*_: object) -> None:
            raise OSError(refused, os.strerror(refused))

        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "x"
    write_new(path, b"first")
    with pytest.raises(UsageError, match="not overwritten"):
        write_new(path, b"second")
    assert path.read_bytes() == b"first"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError):
        write_new(tmp_path / "link", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "x"]


def test_a_new_file_on_a_full_disk_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(NoSpaceError):
        write_new(tmp_path / "x", b"data")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_held_without_a_file_in_it(tmp_path: Path) -> None:
    with locked_folder(tmp_path):
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(BusyError), locked_folder(tmp_path):
            pass
    with locked_folder(tmp_path):
        pass
