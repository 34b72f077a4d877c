"""SHA256SUMS: the digest of every file of a bundle, in the format of coreutils."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import UnexpectedFileError
from bundle.base.limits import (
    MAX_ATTESTATION_BYTES,
    MAX_ATTESTATION_FILES,
    MAX_MANIFEST_BYTES,
    MAX_TRUST_FILE_BYTES,
    MAX_TRUST_FILES,
)
from bundle.model.manifest import Manifest
from bundle.store.advice import TOO_MANY
from bundle.store.atomic import storage_errors, write_atomic
from bundle.store.layout import (
    ATTESTATION_DIRECTORY,
    BLOB_DIRECTORY,
    KEY_DIRECTORY,
    MANIFEST_NAME,
    SUMS_NAME,
    TRUST_DIRECTORY,
    BundleDirectory,
)
from bundle.store.leftovers import is_leftover


def expected_sums(bundle: BundleDirectory, manifest: Manifest) -> bytes:
    """Compute the content of SHA256SUMS.

    Digests of blobs and layout files come from the manifest; bundle.json, the trust metadata and
    the attestations, which are small, are read.
    """
    digests = {f"{BLOB_DIRECTORY}/{hex_of(b.digest)}": hex_of(b.digest) for b in manifest.blobs}
    digests |= {file.path: hex_of(file.digest) for file in manifest.layout}
    digests[MANIFEST_NAME] = hex_of(digest_of(bundle.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES)))
    for name in trust_files(bundle):
        digests[name] = hex_of(digest_of(bundle.read_small(name, MAX_TRUST_FILE_BYTES)))
    for name in attestation_files(bundle):
        digests[name] = hex_of(digest_of(bundle.read_small(name, MAX_ATTESTATION_BYTES)))
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items())).encode()


def trust_files(bundle: BundleDirectory) -> list[str]:
    """List the bundle's trust metadata, relative and sorted.

    Raises:
        UnexpectedFileError: There are more files than any release has.
    """
    names = _entries(bundle, TRUST_DIRECTORY, MAX_TRUST_FILES)
    return _bounded(names, TRUST_DIRECTORY, MAX_TRUST_FILES)


def attestation_files(bundle: BundleDirectory) -> list[str]:
    """List the files below the bundle's attestations/, relative and sorted.

    Raises:
        UnexpectedFileError: There are more files than any release has.
    """
    names: list[str] = []
    for name in _entries(bundle, ATTESTATION_DIRECTORY, MAX_ATTESTATION_FILES):
        below = name == KEY_DIRECTORY
        names += _entries(bundle, name, MAX_ATTESTATION_FILES) if below else [name]
    return _bounded(names, ATTESTATION_DIRECTORY, MAX_ATTESTATION_FILES)


def _entries(bundle: BundleDirectory, folder: str, limit: int) -> list[str]:
    directory = bundle.path / folder
    if directory.is_symlink() or not directory.is_dir():
        return []
    with storage_errors(f"list {directory}"), os.scandir(directory) as entries:
        names = (f"{folder}/{e.name}" for e in entries if not _is_leftover(e, folder))
        return list(islice(names, limit + 1))


def _is_leftover(entry: os.DirEntry[str], folder: str) -> bool:
    return entry.is_file(follow_symlinks=False) and is_leftover(
        f"{folder}/{entry.name}", folder=False
    )


def _bounded(names: list[str], folder: str, limit: int) -> list[str]:
    if len(names) > limit:
        raise UnexpectedFileError(
            f"{folder}: expected at most {limit} files, found more",
            TOO_MANY,
        )
    return sorted(names)


def write_sums(bundle: Path, manifest: Manifest) -> None:
    """Write SHA256SUMS, after a build and after every approval."""
    directory = BundleDirectory(bundle)
    write_atomic(bundle / SUMS_NAME, expected_sums(directory, manifest))
