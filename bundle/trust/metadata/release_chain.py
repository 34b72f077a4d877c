"""The trust metadata of one bundle: read once, bounded, and checked for consistency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from bundle.base.canonical import decode_canonical
from bundle.base.digest import digest_of
from bundle.base.errors import (
    DigestMismatchError,
    LifetimeError,
    MixedMetadataError,
    SignatureError,
    UnexpectedFileError,
)
from bundle.base.limits import (
    MAX_MANIFEST_BYTES,
    MAX_SNAPSHOT_DAYS,
    MAX_TIMESTAMP_DAYS,
    MAX_TRUST_FILE_BYTES,
)
from bundle.model.manifest import Manifest, check_manifest
from bundle.store.advice import ADDED, CHANGED, MIXED, SIGNED_TOO_LONG
from bundle.store.layout import BundleDirectory
from bundle.store.sums import trust_files
from bundle.trust.keys.stored import holder
from bundle.trust.keys.terms import TARGET_NAME
from bundle.trust.metadata.parse import (
    check_signatures,
    check_threshold,
    check_unexpired,
    keys_of,
    parse_metadata,
)
from bundle.trust.metadata.root import PREFIX, read_roots, root_name
from bundle.trust.metadata.signer import Signer

TIMESTAMP: Final = "timestamp.json"
SNAPSHOT: Final = "snapshot.json"
TARGETS: Final = "targets.json"


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """The files below trust/, each read exactly once.

    Attributes:
        roots: By version, starting at 1 without gaps.
        timestamp: timestamp.json.
        snapshot: snapshot.json.
        targets: targets.json.
    """

    roots: Mapping[int, bytes]
    timestamp: bytes
    snapshot: bytes
    targets: bytes

    def by_name(self) -> dict[str, bytes]:
        """Return the files by name, without the folder."""
        files = {root_name(version): data for version, data in self.roots.items()}
        return files | {
            TIMESTAMP: self.timestamp,
            SNAPSHOT: self.snapshot,
            TARGETS: self.targets,
        }


@dataclass(frozen=True, slots=True)
class Documents:
    """The three parsed files below a root, not yet trusted."""

    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]


def read_trust_files(bundle: BundleDirectory) -> TrustFiles:
    """Read a bundle's trust metadata.

    Raises:
        IntegrityError: A file is missing, too large, a link, or unexpected.
    """

    def read(name: str) -> bytes:
        return bundle.read_small(PREFIX + name, MAX_TRUST_FILE_BYTES)

    files = TrustFiles(read_roots(bundle, PREFIX), read(TIMESTAMP), read(SNAPSHOT), read(TARGETS))
    expected = {PREFIX + name for name in files.by_name()}
    for name in trust_files(bundle):
        if name not in expected:
            raise UnexpectedFileError(
                f"{name!r}: this file does not belong to the bundle",
                ADDED,
                {"file": name},
            )
    return files


def parse_documents(files: TrustFiles) -> Documents:
    """Parse the three files strictly.

    Raises:
        SignatureError: One is malformed.
    """
    return Documents(
        parse_metadata(files.timestamp, Timestamp, PREFIX + TIMESTAMP),
        parse_metadata(files.snapshot, Snapshot, PREFIX + SNAPSHOT),
        parse_metadata(files.targets, Targets, PREFIX + TARGETS),
    )


def check_documents(
    documents: Documents,
    files: TrustFiles,
    root: Root,
    *,
    approved: bool = True,
    earlier: Sequence[Root] = (),
) -> tuple[Signer, ...]:
    """Check every signature of the three files against `root`, and that they belong together.

    Args:
        documents: Parsed from `files`.
        files: As read.
        root: Authenticated by the caller.
        approved: Require the threshold of approvals; `isoward approve` itself cannot.
        earlier: Previous roots, to tell a revoked key from an unknown one.
    Returns:
        Whose signatures are valid.
    Raises:
        TrustError: A check failed; the file is named.
    """
    signers: list[Signer] = []
    parts = (
        (documents.targets, TARGETS),
        (documents.snapshot, SNAPSHOT),
        (documents.timestamp, TIMESTAMP),
    )
    for metadata, name in parts:
        role = metadata.signed.type
        retired = {k: key for old in earlier for k, key in keys_of(old, role).items()}
        keys = check_signatures(
            metadata, keys_of(root, role), PREFIX + name, role=role, retired=retired
        )
        # By name: key ids, by which TUF sorts, mean nothing to a reader.
        found = [Signer(holder(key), key.keyid, role) for key in keys]
        signers += sorted(found, key=lambda signer: (signer.name, signer.key_id))
    _check_together(documents, files)
    check_threshold(documents.timestamp, root, PREFIX + TIMESTAMP)
    check_threshold(documents.snapshot, root, PREFIX + SNAPSHOT)
    if approved:
        check_threshold(documents.targets, root, PREFIX + TARGETS)
    return tuple(signers)


def _check_together(documents: Documents, files: TrustFiles) -> None:
    try:
        documents.timestamp.signed.snapshot_meta.verify_length_and_hashes(files.snapshot)
    except LengthOrHashMismatchError as error:
        raise MixedMetadataError(
            f"{PREFIX}{SNAPSHOT}: it is not the file named by {TIMESTAMP}", MIXED
        ) from error
    named = documents.snapshot.signed.meta.get(TARGETS)
    found = documents.targets.signed.version
    if named is None or named.version != found or set(documents.snapshot.signed.meta) != {TARGETS}:
        expected = f"version {named.version}" if named else "nothing"
        raise MixedMetadataError(
            f"{PREFIX}{TARGETS}: {SNAPSHOT} names {expected}, found version {found}", MIXED
        )
    version = documents.timestamp.signed.snapshot_meta.version
    if version != documents.snapshot.signed.version:
        raise MixedMetadataError(
            f"{PREFIX}{SNAPSHOT}: {TIMESTAMP} names version {version}, "
            f"found version {documents.snapshot.signed.version}",
            MIXED,
        )


def check_fresh(documents: Documents, root: Root, root_where: str, now: datetime) -> datetime:
    """Check that nothing has expired.

    Returns:
        The earliest expiry.
    Raises:
        ExpiredError: Something has, named by file.
    """
    check_unexpired(root, root_where, now)
    check_unexpired(documents.timestamp.signed, PREFIX + TIMESTAMP, now)
    check_unexpired(documents.snapshot.signed, PREFIX + SNAPSHOT, now)
    check_unexpired(documents.targets.signed, PREFIX + TARGETS, now)
    return earliest_expiry(documents, root)


def check_lifetimes(documents: Documents, now: datetime) -> None:
    """Check that the build system's signatures expire no later than a build or refresh ever sets.

    It signs automatically, with a key stored on a machine. Counted from now, a stolen key keeps a
    site from newer releases no longer than an honest one; counted from the expiry that people
    approved, it does not outlast that.

    Raises:
        LifetimeError: They expire later, by this clock.
    """
    targets = documents.targets.signed
    begin = min(now, targets.expires)
    parts: tuple[tuple[str, datetime, int], ...] = (
        (SNAPSHOT, documents.snapshot.signed.expires, MAX_SNAPSHOT_DAYS),
        (TIMESTAMP, documents.timestamp.signed.expires, MAX_TIMESTAMP_DAYS),
    )
    for name, expires, days in parts:
        if expires > begin + timedelta(days=days):
            raise LifetimeError(
                f"{PREFIX}{name}: expected it to expire within {days} days from "
                f"{begin:%Y-%m-%d %H:%M} UTC, found {expires:%Y-%m-%d %H:%M} UTC",
                SIGNED_TOO_LONG,
                {"file": name, "expires": expires.isoformat()},
            )


def earliest_expiry(documents: Documents, root: Root) -> datetime:
    """Return when the first of the metadata files expires."""
    return min(
        root.expires,
        documents.timestamp.signed.expires,
        documents.snapshot.signed.expires,
        documents.targets.signed.expires,
    )


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """bundle.json, authenticated: its decoded form and its bytes."""

    manifest: Manifest
    data: bytes


def read_manifest(bundle: BundleDirectory, targets: Targets) -> ManifestFile:
    """Read bundle.json and check it against the one target; only then it is decoded.

    Args:
        bundle: The bundle.
        targets: Authenticated by the caller.
    Raises:
        SignatureError: targets.json names anything but bundle.json.
        SizeMismatchError: bundle.json is longer than the file that was approved; no more is read.
        DigestMismatchError: It differs from the approved one.
        FormatError: It is the approved one, but malformed.
    """
    target = targets.targets.get(TARGET_NAME)
    alone = set(targets.targets) == {TARGET_NAME} and targets.delegations is None
    if target is None or not alone or "sha256" not in target.hashes:
        raise SignatureError(
            f"{PREFIX}{TARGETS}: expected exactly one target, {TARGET_NAME}, by SHA-256",
            "Build the bundle with `isoward build`.",
        )
    data = bundle.read_small(TARGET_NAME, min(target.length, MAX_MANIFEST_BYTES))
    try:
        target.verify_length_and_hashes(data)
    except LengthOrHashMismatchError as error:
        expected = f"sha256:{target.hashes['sha256']}"
        raise DigestMismatchError(
            f"{TARGET_NAME}: expected {expected} ({target.length} bytes), "
            f"found {digest_of(data)} ({len(data)} bytes)",
            CHANGED,
            {"file": TARGET_NAME, "expected": expected, "found": digest_of(data)},
        ) from error
    manifest = decode_canonical(data, Manifest, TARGET_NAME)
    check_manifest(manifest)
    return ManifestFile(manifest, data)
