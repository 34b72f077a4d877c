"""A bundle comes into a depot whole, and its bytes are the depot's own."""

from __future__ import annotations

import os
import shutil
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from bundle.base.digest import hex_of
from bundle.base.errors import (
    BusyError,
    CouldNotVerifyError,
    NoSpaceError,
    NotEnrolledError,
    RollbackError,
)
from bundle.store.atomic import directory_lock
from installer.depot import intake
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import DepotDirectory, open_depot
from installer.depot.importer import import_bundle
from installer.depot.intake import Way
from tests.support.depot.imported import import_now, signed_bundle
from tests.support.depot.one_bundle import Case
from tests.support.documents.content import sample


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

    def look(source: BinaryIO, staged: Path, *rest: Any, **named: Any) -> None:
        modes.update(stat.S_IMODE(path.stat().st_mode) for path in (staged, staged.parent))
        real(source, staged, *rest, **named)

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
