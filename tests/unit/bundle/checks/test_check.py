"""Whatever is changed in a bundle is found, and named by file."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from bundle.base.digest import hex_of
from bundle.base.errors import (
    DigestMismatchError,
    IntegrityError,
    MissingBlobError,
    SizeMismatchError,
    StorageError,
    UnexpectedFileError,
    UnsafePathError,
)
from bundle.checks.blobs import LayoutCheck, check_blobs, check_layout
from bundle.checks.damage import told
from bundle.kinds.files import file_label
from bundle.model.plan import Plan
from bundle.store.layout import BundleDirectory
from tests.support.documents.bundles import write_bundle
from tests.support.documents.content import sample


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[BundleDirectory, Plan]:
    lock, blobs = sample()
    path = tmp_path / "bundle"
    plan = write_bundle(path, lock, blobs)
    (path / "trust").mkdir()
    return BundleDirectory(path), plan


def _check(bundle: BundleDirectory, plan: Plan) -> None:
    check_layout(bundle, plan.manifest)
    check_blobs(bundle, plan.manifest)


def test_a_good_bundle_passes(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, plan = bundle
    assert check_layout(directory, plan.manifest) == LayoutCheck(6, ())
    assert check_blobs(directory, plan.manifest) == plan.manifest.content_bytes


def test_coreutils_accepts_the_sums(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, _ = bundle
    command = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    subprocess.run(command, cwd=directory.path, check=True)


def test_every_flipped_bit_is_found_and_named(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, plan = bundle
    chooser = random.Random(2)
    names = [name for name in directory.files() if name != "bundle.json"]
    for name in names * 3:
        path = directory.path / name
        good = path.read_bytes()
        bad = bytearray(good)
        bad[chooser.randrange(len(bad))] ^= 1 << chooser.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(IntegrityError) as caught:
            _check(directory, plan)
        assert name in caught.value.message
        path.write_bytes(good)
    _check(directory, plan)


def test_a_short_blob(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, plan = bundle
    path = directory.blob_path(plan.manifest.blobs[0].digest)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SizeMismatchError, match=path.name):
        _check(directory, plan)


def test_a_long_blob(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, plan = bundle
    path = directory.blob_path(plan.manifest.blobs[0].digest)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(SizeMismatchError, match="found more"):
        _check(directory, plan)


def test_a_missing_blob(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, plan = bundle
    directory.blob_path(plan.manifest.blobs[0].digest).unlink()
    with pytest.raises(MissingBlobError):
        _check(directory, plan)


@pytest.mark.parametrize("name", ["extra.txt", "blobs/sha256/extra", "trust2/x", "blobs/x/y"])
def test_a_file_that_nothing_vouches_for(bundle: tuple[BundleDirectory, Plan], name: str) -> None:
    directory, plan = bundle
    path = directory.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    with pytest.raises(UnexpectedFileError, match=name):
        _check(directory, plan)


def test_a_file_added_below_trust_is_not_in_the_sums(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, plan = bundle
    (directory.path / "trust" / "extra.json").write_text("{}")
    with pytest.raises(DigestMismatchError, match=r"trust/extra\.json"):
        _check(directory, plan)


@pytest.mark.parametrize("kind", ["link", "fifo", "folder-link"])
def test_what_is_no_plain_file(bundle: tuple[BundleDirectory, Plan], kind: str) -> None:
    directory, plan = bundle
    path = directory.blob_path(plan.manifest.blobs[0].digest)
    if kind == "link":
        elsewhere = directory.path.parent / "elsewhere"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
    elif kind == "fifo":
        path.unlink()
        os.mkfifo(path)
    else:
        blobs = directory.path / "blobs"
        blobs.rename(directory.path.parent / "moved")
        blobs.symlink_to(directory.path.parent / "moved")
    with pytest.raises(UnsafePathError):
        check_layout(directory, plan.manifest)
    with pytest.raises(UnsafePathError):
        check_blobs(directory, plan.manifest)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a//b", "a/../b", "", "a\0b", "."])
def test_a_path_that_leaves_the_bundle(bundle: tuple[BundleDirectory, Plan], name: str) -> None:
    with pytest.raises(UnsafePathError):
        bundle[0].open_file(name)


def test_a_large_small_file(bundle: tuple[BundleDirectory, Plan]) -> None:
    with pytest.raises(SizeMismatchError, match="at most 10"):
        bundle[0].read_small("bundle.json", 10)


def test_a_pipe_is_not_even_opened(bundle: tuple[BundleDirectory, Plan]) -> None:
    """To open a device can do something; whether a pipe was opened, its other end sees."""
    directory, _ = bundle
    path = directory.path / "README.txt"
    path.unlink()
    os.mkfifo(path)
    other_end = threading.Thread(target=lambda: os.close(os.open(path, os.O_WRONLY)))
    other_end.start()
    try:
        for _ in range(3):
            with pytest.raises(UnsafePathError, match="not a regular file"):
                directory.open_file("README.txt")
        assert other_end.is_alive()
    finally:
        # Open until the thread is through, which may come to its own end of the pipe late.
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        other_end.join()
        os.close(reader)


def test_folders_without_end_are_refused(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, plan = bundle
    (directory.path / "/".join("d" * 100)).mkdir(parents=True)
    with pytest.raises(UnsafePathError, match="nested too deep"):
        _check(directory, plan)


def test_a_file_is_read_whole_up_to_its_limit(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, _ = bundle
    data = os.urandom(100_000)
    (directory.path / "README.txt").write_bytes(data)
    assert directory.read_small("README.txt", len(data)) == data
    with pytest.raises(SizeMismatchError, match="at most 99999 bytes"):
        directory.read_small("README.txt", len(data) - 1)


def test_every_damaged_blob_is_listed_with_what_it_is_of(
    bundle: tuple[BundleDirectory, Plan],
) -> None:
    directory, plan = bundle
    image = plan.manifest.images[0]
    manifest = json.loads(directory.blob_path(image.manifests[0].digest).read_bytes())
    layer = (manifest.get("layers") or [manifest["manifests"][0]])[0]["digest"]
    file = plan.manifest.files[0]
    for digest in (layer, file.digest):
        path = directory.blob_path(digest)
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(
        DigestMismatchError, match="2 blobs are missing, damaged or unreadable"
    ) as caught:
        check_blobs(directory, plan.manifest)
    lines = sorted(caught.value.details)
    assert len(lines) == 2
    assert any(layer in line and image.reference in line for line in lines)
    assert any(file.digest in line and f"file {file_label(file)}" in line for line in lines)


def test_what_is_missing_is_found_before_anything_is_read(
    bundle: tuple[BundleDirectory, Plan],
) -> None:
    directory, plan = bundle
    gone = [plan.manifest.blobs[0], plan.manifest.blobs[-1]]
    for blob in gone:
        directory.blob_path(blob.digest).unlink()
    damaged = directory.blob_path(plan.manifest.blobs[1].digest)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    read = Counted()
    with pytest.raises(
        IntegrityError, match="3 blobs are missing, damaged or unreadable"
    ) as caught:
        check_blobs(directory, plan.manifest, read)
    assert read.total == 0
    for blob in [*gone, plan.manifest.blobs[1]]:
        assert any(hex_of(blob.digest) in line for line in caught.value.details)


def test_a_blob_of_many_names_is_told_by_a_few() -> None:
    assert told(["a", "b", "c"]) == "a, b, c"
    assert told([f"image{i}" for i in range(9)]) == "image0, image1, image2 and 6 more"


class Counted:
    """Counts bytes that are told of."""

    def __init__(self) -> None:
        self.total = 0

    def start(self, title: str, total: int, unit: str = "B") -> None:
        """Begin."""

    def advance(self, count: int) -> None:
        """Count."""
        self.total += count

    def note(self, text: str) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """End."""


class WornOut(BundleDirectory):
    """A medium on which some blobs cannot be read; the kernel's own error, of a file of its own."""

    def __init__(self, path: Path, bad: set[str]) -> None:
        super().__init__(path)
        self._bad = bad

    def open_blob(self, digest: str) -> BinaryIO:
        if digest in self._bad:
            return Path("/proc/self/mem").open("rb", buffering=0)
        return super().open_blob(digest)


def test_every_blob_that_cannot_be_read_is_listed_with_what_it_is_of(
    bundle: tuple[BundleDirectory, Plan],
) -> None:
    directory, plan = bundle
    image, file = plan.manifest.images[0], plan.manifest.files[0]
    bad = {image.manifests[0].digest, file.digest}
    worn = WornOut(directory.path, bad)
    with pytest.raises(StorageError, match=r"2 blobs .* unreadable") as caught:
        check_blobs(worn, plan.manifest)
    assert any(image.reference in line for line in caught.value.details)
    assert any(f"file {file_label(file)}" in line for line in caught.value.details)
    assert all("Input/output error" in line for line in caught.value.details)
    # One that is damaged besides is told of too, and counts for more.
    other = next(blob.digest for blob in plan.manifest.blobs if blob.digest not in bad)
    path = directory.blob_path(other)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(DigestMismatchError, match="3 blobs") as damaged:
        check_blobs(worn, plan.manifest)
    assert any(other in line for line in damaged.value.details)
