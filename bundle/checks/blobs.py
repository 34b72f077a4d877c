"""Checking a bundle's bytes in place, once its manifest is authenticated.

Nothing is unpacked and no temporary space is needed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from dataclasses import dataclass
from threading import Event
from typing import Final

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import (
    DigestMismatchError,
    IntegrityError,
    StorageError,
    UnexpectedFileError,
)
from bundle.base.limits import MIB
from bundle.base.progress import NO_PROGRESS, Progress
from bundle.checks.damage import BlobError, all_damage
from bundle.model.manifest import Manifest
from bundle.store.advice import ADDED, SUMS
from bundle.store.hashing import (
    HASH_THREADS,
    check_content,
    hash_stream,
    run_parallel,
    until,
)
from bundle.store.layout import MANIFEST_NAME, SUMS_NAME, BundleDirectory
from bundle.store.sums import attestation_files, expected_sums, trust_files

_MAX_LAYOUT_FILE: Final = 64 * MIB


@dataclass(frozen=True, slots=True)
class LayoutCheck:
    """What a bundle's folder contains besides the blobs.

    Attributes:
        others: Number of other files.
        leftovers: What other systems left on the medium: skipped, not read.
    """

    others: int
    leftovers: tuple[str, ...]


def check_layout(
    bundle: BundleDirectory, manifest: Manifest, besides: Set[str] = frozenset()
) -> LayoutCheck:
    """Check everything in a bundle except its blobs.

    Args:
        bundle: On its medium.
        manifest: Authenticated by bundle.trust, or just made.
        besides: Files to skip, such as a lock of the caller's own.
    Raises:
        IntegrityError: A layout file or SHA256SUMS is wrong, or there is a file that does not
            belong to the bundle.
    """
    expected = {bundle.blob_name(blob.digest) for blob in manifest.blobs}
    small = {file.path for file in manifest.layout}
    small |= {MANIFEST_NAME, SUMS_NAME, *trust_files(bundle), *attestation_files(bundle)}
    leftovers: list[str] = []
    for name in bundle.walk(leftovers):
        if name not in expected and name not in small and name not in besides:
            raise UnexpectedFileError(
                f"{name!r}: this file does not belong to the bundle",
                ADDED,
                {"file": name},
            )
    for file in manifest.layout:
        # Bounded by bundle.json's own lists, which we limit.
        data = bundle.read_small(file.path, min(file.size + 1, _MAX_LAYOUT_FILE))
        check_content(
            file.path, file.size, file.digest, found_size=len(data), found=digest_of(data)
        )
    sums = expected_sums(bundle, manifest)
    found = bundle.read_small(SUMS_NAME, 2 * len(sums))
    if found != sums:
        raise DigestMismatchError(
            f"{SUMS_NAME}: it does not match the files of this bundle"
            f"{_first_difference(sums, found)}",
            SUMS,
            {"file": SUMS_NAME},
        )
    return LayoutCheck(len(small), tuple(sorted(leftovers)))


def _first_difference(expected: bytes, found: bytes) -> str:
    ours, theirs = expected.splitlines(), found.splitlines()
    for i, line in enumerate(ours):
        if i >= len(theirs) or theirs[i] != line:
            return f" (line {i + 1}: {line.decode().partition('  ')[2]})"
    return " (it has extra lines)"


def check_blobs(
    bundle: BundleDirectory, manifest: Manifest, progress: Progress = NO_PROGRESS
) -> int:
    """Check every blob in place; missing ones and wrong lengths are found before any is read.

    Args and returns as `hash_blobs`.

    Raises:
        IntegrityError, StorageError: As `check_sizes` and `hash_blobs`.
    """
    check_sizes(bundle, manifest)
    return hash_blobs(bundle, manifest, progress)


def hash_blobs(
    bundle: BundleDirectory, manifest: Manifest, progress: Progress = NO_PROGRESS
) -> int:
    """Hash every blob in place, and find all that are wrong.

    Args:
        bundle: On its medium.
        manifest: Authenticated.
        progress: Receives byte counts.
    Returns:
        The number of bytes read.
    Raises:
        IntegrityError: Blobs are missing or wrong; it names each, and what in the bundle it belongs
            to. The class is that of the first.
        StorageError: Blobs cannot be read, and nothing else is wrong; it names each as well.
    """
    blobs = sorted(manifest.blobs, key=lambda blob: blob.size, reverse=True)
    wrong = _hash_all(bundle, blobs, progress)
    if wrong:
        raise all_damage(bundle, manifest, wrong)
    return sum(blob.size for blob in blobs)


def check_sizes(bundle: BundleDirectory, manifest: Manifest) -> None:
    """Check that every blob exists with the right length, before any is read.

    Raises:
        IntegrityError: Blobs are missing or have the wrong length; it names each.
        StorageError: Blobs cannot be examined, and nothing else is wrong; it names each as well.
    """
    found = (_sized(bundle, blob) for blob in manifest.blobs)
    wrong = [error for error in found if error is not None]
    if wrong:
        raise all_damage(bundle, manifest, wrong)


def _sized(bundle: BundleDirectory, blob: Content) -> BlobError | None:
    name = bundle.blob_name(blob.digest)
    try:
        with bundle.open_file(name) as stream:
            size = os.fstat(stream.fileno()).st_size
        if size != blob.size:
            check_content(name, blob.size, blob.digest, found_size=size, found="")
    except (IntegrityError, StorageError) as error:
        return BlobError(blob.digest, error)
    return None


def _hash_all(
    bundle: BundleDirectory, blobs: Sequence[Content], progress: Progress
) -> list[BlobError]:
    """Read every blob, the largest first, so that no thread is left alone with one at the end."""
    stopped = Event()
    advance = until(stopped, progress.advance)
    wrong: list[BlobError] = []

    def check(blob: Content) -> None:
        if stopped.is_set():
            return
        try:
            with bundle.open_blob(blob.digest) as stream:
                hash_stream(
                    stream,
                    blob.size,
                    blob.digest,
                    name=bundle.blob_name(blob.digest),
                    advance=advance,
                )
        except (IntegrityError, StorageError) as error:
            # A worn-out medium has several unreadable places; each is reported.
            wrong.append(BlobError(blob.digest, error))

    progress.start("checking", sum(blob.size for blob in blobs))
    try:
        run_parallel(check, blobs, HASH_THREADS, stopped.set)
    finally:
        progress.finish()
    return sorted(wrong, key=lambda one: one.digest)
