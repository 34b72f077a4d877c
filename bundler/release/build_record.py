"""What a build attests: how the bundle came to be, and what changed since the release before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root

from bundle.base.canonical import decode_canonical
from bundle.base.errors import AttestationError, FormatError
from bundle.base.limits import MAX_ATTESTATION_BYTES, MAX_MANIFEST_BYTES
from bundle.model.attestation import CHANGES, PROVENANCE, make_statement
from bundle.model.changes import compare_releases
from bundle.model.manifest import Manifest
from bundle.model.provenance import BuildRun, make_provenance
from bundle.store.atomic import (
    fsync_directory,
    remove_stale_temporaries,
    storage_errors,
    write_atomic,
)
from bundle.store.layout import ATTESTATION_DIRECTORY, KEY_DIRECTORY, MANIFEST_NAME, BundleDirectory
from bundle.store.sums import attestation_files
from bundle.trust.attestations.checked import (
    CHANGES_NAME,
    PROVENANCE_NAME,
    Release,
    approval_name,
    approver_names,
    builder_names,
    check_builder,
    key_name,
    open_build,
    read_attestations,
    signature_name,
)
from bundle.trust.attestations.envelope import detached_signature, public_pem, sign_statement
from bundle.trust.keys.stored import SigningKey
from bundle.trust.metadata.root import PREFIX, check_chain, read_roots
from bundler.release.history import release_before


def write_build_record(
    bundle: Path, release: Path, number: int, run: BuildRun, builder: SigningKey
) -> None:
    """Write a build's attestations into its bundle, after its trust metadata.

    Approvals name what they were shown, so that a bundle which has some keeps what it has.

    Args:
        bundle: Its folder, with bundle.json and trust/.
        release: The release folder, which holds the release before.
        number: Of the release.
        run: The build.
        builder: The build system's key.
    Raises:
        FormatError: The release before is damaged, or the record is larger than a bundle may hold.
        StorageError: The disk refused; run again.
    """
    about, _ = _release_of(bundle, number)
    files = read_attestations(BundleDirectory(bundle))
    approved = any(approval_name(key_id) in files for key_id in about.approvers)
    if approved and _is_good(files, about, builder):
        return
    provenance = _statement(about, PROVENANCE, make_provenance(about.manifest, run))
    _write(bundle, about, (provenance, _changes(about, release)), builder)


def renew_build_record(bundle: Path, release: Path, number: int, builder: SigningKey) -> None:
    """Keep a build's attestations good where the build system's key or the release number changed.

    What the build said of itself stays as it was, byte for byte, and so do approvals of it; of
    another number there are no approvals, and its changes are compared anew. A bundle without
    attestations, or with such as no build system of this vendor signed, is left as it is.

    Args:
        bundle: Its folder, with bundle.json and trust/.
        release: The release folder.
        number: Of the release, now.
        builder: The build system's key, now.
    Raises:
        StorageError: The disk refused; run again.
    """
    about, chain = _release_of(bundle, number)
    files = read_attestations(BundleDirectory(bundle))
    earlier: dict[str, Key] = {}
    for root in chain:
        earlier |= replace(about, root=root.signed).builders
    try:
        build = open_build(files, about, earlier)
    except AttestationError:
        return
    same = build.changes.release == number
    approvals = {name for key_id in about.approvers for name in approver_names(key_id)}
    kept = {name for name in files if same and name in approvals}
    ours = builder_names(builder.public_key.keyid)
    if _is_good(files, about, builder) and set(files) == kept.union(ours):
        return
    changes = build.changes_payload if same else _changes(about, release)
    _write(bundle, about, (build.provenance_payload, changes), builder=builder, kept=kept)


def _release_of(bundle: Path, number: int) -> tuple[Release, Sequence[Metadata[Root]]]:
    directory = BundleDirectory(bundle)
    data = directory.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = decode_canonical(data, Manifest, MANIFEST_NAME)
    chain = check_chain(read_roots(directory, PREFIX), PREFIX)
    return Release(manifest, data, number, chain[-1].signed), chain


def _is_good(files: Mapping[str, bytes], about: Release, builder: SigningKey) -> bool:
    """Return whether what this very build system wrote for this release is there and verifies."""
    try:
        return check_builder(files, about).key_id == builder.public_key.keyid
    except AttestationError:
        return False


def _changes(about: Release, release: Path) -> bytes:
    before = release_before(release, about.number)
    return _statement(about, CHANGES, compare_releases(about.number, about.manifest, before))


def _statement(about: Release, predicate_type: str, predicate: Any) -> bytes:
    return make_statement(MANIFEST_NAME, about.about.digest, predicate_type, predicate)


def _write(
    bundle: Path,
    about: Release,
    statements: tuple[bytes, bytes],
    builder: SigningKey,
    kept: Collection[str] = (),
) -> None:
    """Write attestations/ as a whole: whatever else lies in it belongs to an earlier build."""
    key = builder.public_key
    files = {
        key_name(key.keyid): public_pem(key),
        signature_name(key.keyid): detached_signature(about.data, builder),
    }
    for name, payload in zip((PROVENANCE_NAME, CHANGES_NAME), statements, strict=True):
        files[name] = sign_statement(payload, builder)
        if len(files[name]) > MAX_ATTESTATION_BYTES:
            raise FormatError(
                f"{name}: expected at most {MAX_ATTESTATION_BYTES} bytes, found {len(files[name])}",
                "The names in the lock are too long; shorten them.",
            )
    make_folders(bundle)
    with storage_errors(f"write {bundle / ATTESTATION_DIRECTORY}"):
        for name in attestation_files(BundleDirectory(bundle)):
            if name not in files and name not in kept:
                (bundle / name).unlink()
    for name, data in files.items():
        write_atomic(bundle / name, data)


def make_folders(bundle: Path) -> None:
    """Make attestations/ and its folder of keys, and remove what a power cut left in them."""
    with storage_errors(f"write {bundle / ATTESTATION_DIRECTORY}"):
        (bundle / KEY_DIRECTORY).mkdir(parents=True, exist_ok=True)
        for folder in (ATTESTATION_DIRECTORY, KEY_DIRECTORY):
            remove_stale_temporaries(bundle / folder)
        for directory in (bundle, bundle / ATTESTATION_DIRECTORY):
            fsync_directory(directory)
