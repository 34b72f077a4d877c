from __future__ import annotations

import errno
import os
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from bundle.base.digest import hex_of
from bundle.base.errors import (
    BusyError,
    CouldNotVerifyError,
    DigestMismatchError,
    IntegrityError,
    MissingBlobError,
    NoSpaceError,
    NotEnrolledError,
    RollbackError,
    SizeMismatchError,
    UnexpectedFileError,
    UnsafePathError,
)
from bundle.model.lock import Lock
from bundle.store.atomic import directory_lock
from installer.depot import intake
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import DepotDirectory, open_depot
from installer.depot.importer import import_bundle
from installer.depot.intake import Way
from tests.support.depot.imported import import_now, signed_bundle
from tests.support.documents.content import sample
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release


@dataclass
class Case:
    kit: ReleaseKit
    lock: Lock
    blobs: dict[str, bytes]
    bundle: Path
    depot: Path

    def blob(self, number: int = 0) -> Path:
        return self.bundle / "blobs" / "sha256" / hex_of(sorted(self.blobs)[number])

    def depot_files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.depot)): path.read_bytes()
            for path in sorted(self.depot.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }


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


def test_a_bundle_comes_in_whole(case: Case) -> None:
    outcome = import_now(case.bundle, case.depot)
    assert not outcome.already
    assert outcome.record.sequence == 1
    assert outcome.record.new_blobs == outcome.record.blobs == len(case.blobs)
    assert {s.name for s in outcome.record.signers if s.role == "targets"} == {
        key.name for key in case.kit.approvers[:2]
    }
    depot = open_depot(case.depot)
    for digest, data in case.blobs.items():
        path = depot.blob_path(digest)
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    (loaded,) = accepted_bundles(depot)
    assert loaded.record == outcome.record
    assert loaded.sizes == {digest: len(data) for digest, data in case.blobs.items()}
    assert list(depot.staging.iterdir()) == []


def test_no_inode_is_shared_with_the_medium(case: Case) -> None:
    """Also not for a file that is this user's alone, read-only and on the same file system."""
    for number in range(len(case.blobs)):
        case.blob(number).chmod(0o444)
    with case.blob().open("rb"):
        import_now(case.bundle, case.depot)
    blobs = DepotDirectory(case.depot).blobs
    for number in range(len(case.blobs)):
        ours, theirs = (blobs / case.blob(number).name).stat(), case.blob(number).stat()
        assert ours.st_ino != theirs.st_ino
        assert (ours.st_nlink, theirs.st_nlink) == (1, 1)


def test_who_has_the_mediums_file_open_changes_nothing_afterwards(case: Case) -> None:
    writers = [case.blob(number).open("r+b", buffering=0) for number in range(len(case.blobs))]
    import_now(case.bundle, case.depot)
    for writer in writers:
        writer.write(b"other")
        writer.close()
    for digest, data in case.blobs.items():
        assert DepotDirectory(case.depot).blob_path(digest).read_bytes() == data


def test_what_others_can_write_is_not_believed_although_it_has_the_right_bytes(
    case: Case, tmp_path: Path
) -> None:
    """A second name, as earlier releases made, or a mode by which others may write."""
    import_now(case.bundle, case.depot)
    blobs = DepotDirectory(case.depot).blobs
    linked, open_to_all = blobs / case.blob(0).name, blobs / case.blob(1).name
    (tmp_path / "elsewhere").hardlink_to(linked)
    open_to_all.chmod(0o666)
    outcome = import_now(case.bundle, case.depot)
    assert {hex_of(digest) for digest in outcome.healed} == {linked.name, open_to_all.name}
    assert linked.stat().st_nlink == 1
    assert stat.S_IMODE(open_to_all.stat().st_mode) == 0o444


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_nobody_can_open_a_blob_for_writing_on_its_way_in(
    case: Case, copying: None, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    modes: set[int] = set()
    real = intake._copy

    def look(source: BinaryIO, staged: Path, *rest: Any) -> None:
        modes.update(stat.S_IMODE(path.stat().st_mode) for path in (staged, staged.parent))
        real(source, staged, *rest)

    monkeypatch.setattr(intake, "_copy", look)
    before = os.umask(mask)
    try:
        import_now(case.bundle, case.depot)
    finally:
        os.umask(before)
    assert modes == {0o600, 0o700}


def test_another_file_system_is_copied(case: Case, copying: None) -> None:
    outcome = import_now(case.bundle, case.depot)
    assert outcome.ways == {Way.COPY: len(case.blobs)}
    for digest, data in case.blobs.items():
        assert DepotDirectory(case.depot).blob_path(digest).read_bytes() == data


def test_the_same_bundle_again_is_verified_and_said_to_be_there(case: Case) -> None:
    first = import_now(case.bundle, case.depot)
    again = import_now(case.bundle, case.depot)
    assert again.already
    assert again.ways == {}
    assert again.record == first.record


def test_a_blob_that_the_depot_has_is_still_checked_on_the_medium(case: Case) -> None:
    import_now(case.bundle, case.depot)
    shutil.copytree(case.bundle, case.bundle.with_name("other"))
    case.bundle = case.bundle.with_name("other")
    _flip(case.blob(3))
    with pytest.raises(DigestMismatchError, match=f"blobs/sha256/{case.blob(3).name}"):
        import_now(case.bundle, case.depot)


def _flip(path: Path, bit: int = 9) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.parametrize("copy", [False, True])
def test_a_flipped_bit_is_refused_by_name(
    case: Case, copy: bool, request: pytest.FixtureRequest
) -> None:
    if copy:
        request.getfixturevalue("copying")
    _flip(case.blob(5))
    with pytest.raises(DigestMismatchError, match=f"blobs/sha256/{case.blob(5).name}"):
        import_now(case.bundle, case.depot)
    depot = DepotDirectory(case.depot)
    assert depot.bundle_names() == frozenset()
    assert not (depot.blobs / case.blob(5).name).exists()
    assert _staged(case) == []


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
    assert _staged(case) == []


def _staged(case: Case) -> list[Path]:
    """What lies in staging; a manifest that is not as it must be is met before there is one."""
    staging = DepotDirectory(case.depot).staging
    return list(staging.iterdir()) if staging.exists() else []


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
    _flip(damaged)
    with pytest.raises(DigestMismatchError):
        import_now(case.bundle, case.depot)
    damaged.write_bytes(good)
    kept = len(list(DepotDirectory(case.depot).blobs.iterdir()))
    outcome = import_now(case.bundle, case.depot)
    assert outcome.record.new_blobs == len(case.blobs) - kept


def test_without_enrolment_nothing_is_written(case: Case, tmp_path: Path) -> None:
    with pytest.raises(NotEnrolledError):
        import_now(case.bundle, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_another_import_at_the_same_time_is_refused(case: Case) -> None:
    with directory_lock(case.depot), pytest.raises(BusyError):
        import_now(case.bundle, case.depot)


def test_too_little_space_is_said_before_anything_is_copied(
    case: Case, copying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(f_bavail=1, f_frsize=512)
    monkeypatch.setattr("os.statvfs", lambda _: full)
    need = sum(len(data) for data in case.blobs.values())
    with pytest.raises(NoSpaceError, match=f"{need} bytes more.* 512 bytes free"):
        import_now(case.bundle, case.depot)
    assert list(DepotDirectory(case.depot).blobs.iterdir()) == []
    assert list(DepotDirectory(case.depot).staging.iterdir()) == []


def test_cloning_needs_no_space(case: Case, cloning: None, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(f_bavail=0, f_frsize=512)
    monkeypatch.setattr("os.statvfs", lambda _: full)
    outcome = import_now(case.bundle, case.depot)
    assert outcome.ways == {Way.CLONE: len(case.blobs)}
    for digest, data in case.blobs.items():
        assert DepotDirectory(case.depot).blob_path(digest).read_bytes() == data


def test_a_second_bundle_shares_blobs_and_comes_after(case: Case, tmp_path: Path) -> None:
    import_now(case.bundle, case.depot)
    lock, blobs = sample(version="1.1.0")
    newer = signed_bundle(tmp_path / "newer", case.kit, lock, blobs)
    outcome = import_now(newer, case.depot)
    assert outcome.record.sequence == 2
    assert outcome.record.new_blobs == 0
    names = [record.metadata.version for record in open_depot(case.depot).records()]
    assert names == ["1.0.0", "1.1.0"]
    with pytest.raises(RollbackError):
        import_now(case.bundle, case.depot)


def test_what_a_killed_import_left_is_no_hindrance(case: Case) -> None:
    import_now(case.bundle, case.depot)
    whole = case.depot_files()
    depot = DepotDirectory(case.depot)
    (name,) = depot.bundle_names()
    (depot.bundles / name).rename(depot.bundles / f"{name}.tmp")
    (depot.bundles / f"{name}.tmp" / "import.json").unlink()
    (depot.staging / "half").write_bytes(b"half of a blob")
    (depot.blobs / case.blob(7).name).unlink()
    outcome = import_now(case.bundle, case.depot)
    assert not outcome.already
    after = case.depot_files()
    assert after.keys() == whole.keys()
    changed = {path for path in whole if whole[path] != after[path]}
    assert {Path(path).parent.name for path in changed} <= {name, "trust"}


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
        _flip(depot.blob_path(digest), {"first": 0, "middle": last // 2, "last": last}[place])
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
    _flip(damaged)
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


def test_an_interrupt_leaves_a_state_to_go_on_from(
    case: Case, copying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient:
        def __init__(self) -> None:
            self.seen = 0

        def start(self, title: str, total: int, unit: str = "B") -> None: ...

        def advance(self, amount: int) -> None:
            self.seen += 1
            if self.seen == 6:
                raise KeyboardInterrupt

        def note(self, text: str) -> None: ...

        def finish(self) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        import_bundle(case.bundle, case.depot, lambda: datetime.now(UTC), Impatient())
    depot = DepotDirectory(case.depot)
    assert depot.bundle_names() == frozenset()
    assert list(depot.staging.iterdir()) == []
    assert import_now(case.bundle, case.depot).record.sequence == 1


def test_the_record_bears_the_injected_time(case: Case) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    outcome = import_bundle(case.bundle, case.depot, lambda: moment)
    assert outcome.record.when == moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_progress_counts_every_byte_once(case: Case) -> None:
    class Counting:
        def __init__(self) -> None:
            self.total = self.seen = 0

        def start(self, title: str, total: int, unit: str = "B") -> None:
            self.total = total

        def advance(self, amount: int) -> None:
            self.seen += amount

        def note(self, text: str) -> None: ...

        def finish(self) -> None: ...

    counting = Counting()
    import_bundle(case.bundle, case.depot, lambda: datetime.now(UTC), counting)
    assert counting.seen == counting.total == sum(len(data) for data in case.blobs.values())


def test_a_bundle_that_was_only_copied_into_the_depot_is_not_accepted(
    case: Case, tmp_path: Path
) -> None:
    import_now(case.bundle, case.depot)
    lock, blobs = sample(version="6.6.6")
    other = signed_bundle(tmp_path / "other", case.kit, lock, blobs)
    depot = DepotDirectory(case.depot)
    (name,) = depot.bundle_names()
    target = depot.bundles / ("f" * 64)
    shutil.copytree(depot.bundles / name, target)
    for part in ("bundle.json", "trust"):
        path = target / part
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copy(other / "bundle.json", target)
    shutil.copytree(other / "trust", target / "trust")
    with pytest.raises(CouldNotVerifyError, match="no record of having accepted"):
        accepted_bundles(depot)
