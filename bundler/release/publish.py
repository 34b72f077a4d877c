"""The release folder, which the vendor keeps in Git: every root, and the newest of the rest.

It is what numbers releases. It is written before the bundle is, so that no two bundles ever bear
one number, whenever the power fails; a build that is run again finds its number there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from bundle.base.canonical import decode_canonical
from bundle.base.errors import (
    MissingBlobError,
    SignatureError,
    UnknownKeyError,
    UsageError,
)
from bundle.base.limits import MAX_MANIFEST_BYTES, MAX_TRUST_FILE_BYTES
from bundle.model.manifest import Manifest
from bundle.store.atomic import (
    directory_lock,
    remove_stale_temporaries,
    storage_errors,
    write_atomic,
)
from bundle.store.layout import BundleDirectory
from bundle.store.sums import write_sums
from bundle.trust.keys.stored import SigningKey
from bundle.trust.keys.terms import (
    SNAPSHOT_LIFETIME,
    TARGET_NAME,
    TARGETS_LIFETIME,
    TIMESTAMP_LIFETIME,
)
from bundle.trust.metadata.parse import (
    T,
    add_signature,
    check_signatures,
    check_unexpired,
    keys_of,
    parse_metadata,
)
from bundle.trust.metadata.release_chain import SNAPSHOT, TARGETS, TIMESTAMP
from bundle.trust.metadata.restrictions import (
    check_not_revoked,
    check_product,
    merge_revoked,
    product_of,
    revoked_of,
    targets_fields,
)
from bundle.trust.metadata.root import PREFIX, check_chain, read_roots, require_release, root_name
from bundler.release.build_record import renew_build_record
from bundler.release.history import record_release
from bundler.release.revocations import read_revocations

_SHA256: Final = "sha256"


@dataclass(frozen=True, slots=True)
class Unreleased:
    """A bundle that gets a release number.

    Attributes:
        bundle: Its folder; trust/ is made in it.
        manifest: bundle.json, as written.
        sites: The sites that the release is for; none means all.
    """

    bundle: Path
    manifest: bytes
    sites: Sequence[str] = ()


def write_trust(made: Unreleased, release: Path, builder: SigningKey, now: datetime) -> int:
    """Give a bundle its trust metadata: a release number, signed by the build system.

    Approvals come later, by `isoward approve`; those that the bundle has for this very release
    stay. Run again for the same bundle.json, the number stays. A snapshot or timestamp of which
    more than half the lifetime is over is renewed.

    Args:
        made: The bundle.
        release: The release folder.
        builder: The build system's key.
        now: The clock, in UTC.
    Returns:
        The release number.
    Raises:
        UsageError: There is no release folder.
        WrongProductError: The root is for another product.
        RevokedReleaseError: This bundle.json was released and taken back.
        UnknownKeyError: The key is not the build system's.
        TrustError: The release folder's metadata is damaged, or its root is not valid.
        StorageError: The disk refused; run again.
    """
    moment = now.replace(microsecond=0)
    require_release(release)
    with directory_lock(release):
        remove_stale_temporaries(release)
        roots, root = _usable_root(release, builder, moment)
        if product_of(root):
            manifest = decode_canonical(made.manifest, Manifest, TARGET_NAME)
            check_product(root, manifest.metadata.name)
        target = TargetFile.from_data(TARGET_NAME, made.manifest, [_SHA256])
        issuer = _Issuer(BundleDirectory(release), root, builder, moment)
        targets = issuer.targets(target, made.sites)
        snapshot = issuer.snapshot(targets.signed)
        timestamp = issuer.timestamp(snapshot)
        files = {
            TARGETS: targets.to_bytes(),
            SNAPSHOT: snapshot.to_bytes(),
            TIMESTAMP: timestamp.to_bytes(),
        }
        record_release(release, targets.signed.version, made.manifest)
        _write(release, files)
        files[TARGETS] = _with_approvals(made.bundle, targets, root)
        _write_bundle(made.bundle, roots, files)
        renew_build_record(made.bundle, release, targets.signed.version, builder)
    return targets.signed.version


def refresh_release(
    release: Path, builder: SigningKey, now: datetime, bundles: Sequence[Path] = ()
) -> tuple[int, datetime]:
    """Sign snapshot and timestamp anew, with their whole lifetimes; the release stays the same.

    Approvals are not touched, and expire when they do.

    Args:
        release: The release folder.
        builder: The build system's key.
        now: The clock, in UTC.
        bundles: Bundles of the newest release, which get the new files.
    Returns:
        The release number, and when the timestamp expires.
    Raises:
        UsageError: Nothing was released yet, or a bundle is not of the newest release.
        UnknownKeyError: The key is not the build system's.
        ExpiredError: The root or what was approved is expired.
        TrustError: The release folder's metadata is damaged.
        StorageError: The disk refused; run again.
    """
    moment = now.replace(microsecond=0)
    require_release(release)
    with directory_lock(release):
        remove_stale_temporaries(release)
        roots, root = _usable_root(release, builder, moment)
        issuer = _Issuer(BundleDirectory(release), root, builder, moment, renew=True)
        targets = issuer.released()
        manifests = {bundle: _released_manifest(bundle, targets.signed) for bundle in bundles}
        snapshot = issuer.snapshot(targets.signed)
        timestamp = issuer.timestamp(snapshot)
        files = {SNAPSHOT: snapshot.to_bytes(), TIMESTAMP: timestamp.to_bytes()}
        _write(release, files)
        for bundle, manifest in manifests.items():
            files[TARGETS] = _with_approvals(bundle, targets, root)
            _write_bundle(bundle, roots, files)
            renew_build_record(bundle, release, targets.signed.version, builder)
            write_sums(bundle, manifest)
    return targets.signed.version, timestamp.signed.expires


def _released_manifest(bundle: Path, targets: Targets) -> Manifest:
    """Return a bundle's manifest, if the bundle is the newest release."""
    data = BundleDirectory(bundle).read_small(TARGET_NAME, MAX_MANIFEST_BYTES)
    if targets.targets != {TARGET_NAME: TargetFile.from_data(TARGET_NAME, data, [_SHA256])}:
        raise UsageError(
            f"{bundle}: it is not release {targets.version}, the newest of the release folder",
            "Only the newest release can be renewed.",
        )
    return decode_canonical(data, Manifest, f"{bundle / TARGET_NAME}")


def check_builder(release: Path, builder: SigningKey, now: datetime) -> None:
    """Check that a build could be signed, before the work of making it.

    Raises:
        UsageError: There is no release folder.
        UnknownKeyError: The key is not the build system's.
        TrustError: The release folder's metadata is damaged, or its root is not valid.
    """
    require_release(release)
    _usable_root(release, builder, now.replace(microsecond=0))


def _usable_root(
    release: Path, builder: SigningKey, now: datetime
) -> tuple[dict[int, bytes], Root]:
    roots = read_roots(BundleDirectory(release), "")
    root = check_chain(roots, "")[-1].signed
    check_unexpired(root, root_name(root.version), now)
    key_id = builder.public_key.keyid
    for role in (Snapshot.type, Timestamp.type):
        if key_id not in root.roles[role].keyids:
            raise UnknownKeyError(
                f"key {key_id[:16]} is not the build system's key of this release folder",
                "Sign with the key that was passed as --builder to `isoward root new`.",
            )
    return roots, root


class _Issuer:
    """Makes the next version of a file, or keeps the release folder's where it is right already."""

    def __init__(
        self,
        release: BundleDirectory,
        root: Root,
        builder: SigningKey,
        now: datetime,
        *,
        renew: bool = False,
    ) -> None:
        self._release = release
        self._root = root
        self._builder = builder
        self._now = now
        self._renew = renew

    def targets(self, target: TargetFile, sites: Sequence[str]) -> Metadata[Targets]:
        old = self._read(Targets, TARGETS)
        # A release that was revoked stays so in every later one.
        before = revoked_of(old.signed) if old else ()
        revoked = merge_revoked(before, read_revocations(self._release.path))
        check_not_revoked(f"{_SHA256}:{target.hashes[_SHA256]}", revoked)
        fields = targets_fields(sites, revoked)
        wanted = {TARGET_NAME: target}, fields
        found = (old.signed.targets, old.signed.unrecognized_fields) if old else None
        if old and found == wanted and self._lasts(old, timedelta(0)):
            # Only the signed part counts here: approvals belong to the bundle.
            return Metadata(old.signed)
        expires = self._now + TARGETS_LIFETIME
        return Metadata(
            Targets(
                version=_next(old),
                expires=expires,
                targets={TARGET_NAME: target},
                unrecognized_fields=fields,
            )
        )

    def released(self) -> Metadata[Targets]:
        """Return the newest release's targets.json, without approvals.

        Raises:
            UsageError: Nothing was released yet.
            ExpiredError: What was approved is too old by now.
        """
        targets = self._read(Targets, TARGETS)
        if targets is None:
            raise UsageError(
                f"{self._release.path}: nothing has been released from here yet",
                "Build a bundle first, with `isoward build`.",
            )
        check_unexpired(targets.signed, TARGETS, self._now)
        return Metadata(targets.signed)

    def snapshot(self, targets: Targets) -> Metadata[Snapshot]:
        meta = {TARGETS: MetaFile(version=targets.version)}
        return self._keep_or_sign(
            self._read(Snapshot, SNAPSHOT),
            SNAPSHOT_LIFETIME,
            lambda old: old.meta == meta,
            lambda version, expires: Snapshot(version=version, expires=expires, meta=meta),
        )

    def timestamp(self, snapshot: Metadata[Snapshot]) -> Metadata[Timestamp]:
        named = MetaFile.from_data(snapshot.signed.version, snapshot.to_bytes(), [_SHA256])
        return self._keep_or_sign(
            self._read(Timestamp, TIMESTAMP),
            TIMESTAMP_LIFETIME,
            lambda old: old.snapshot_meta == named,
            lambda version, expires: Timestamp(
                version=version, expires=expires, snapshot_meta=named
            ),
        )

    def _keep_or_sign(
        self,
        old: Metadata[T] | None,
        lifetime: timedelta,
        is_right: Callable[[T], bool],
        make: Callable[[int, datetime], T],
    ) -> Metadata[T]:
        good = old and is_right(old.signed) and self._is_ours(old)
        if old and good and not self._renew and self._lasts(old, lifetime / 2):
            return old
        metadata = Metadata(make(_next(old), self._now + lifetime))
        add_signature(metadata, self._builder)
        return metadata

    def _is_ours(self, metadata: Metadata[Any]) -> bool:
        """Return whether the present builder signed it, and nobody else."""
        role = metadata.signed.type
        try:
            check_signatures(metadata, keys_of(self._root, role), role, role)
        except (SignatureError, UnknownKeyError):
            return False
        return list(metadata.signatures) == [self._builder.public_key.keyid]

    def _lasts(self, metadata: Metadata[Any], span: timedelta) -> bool:
        return bool(metadata.signed.expires > self._now + span)

    def _read(self, kind: type[T], name: str) -> Metadata[T] | None:
        try:
            data = self._release.read_small(name, MAX_TRUST_FILE_BYTES)
        except MissingBlobError:
            return None
        return parse_metadata(data, kind, f"{self._release.path}/{name}")


def _next(old: Metadata[Any] | None) -> int:
    return old.signed.version + 1 if old else 1


def _with_approvals(bundle: Path, targets: Metadata[Targets], root: Root) -> bytes:
    """Add the approvals that the bundle has for this very targets.json, where they verify."""
    try:
        data = BundleDirectory(bundle).read_small(PREFIX + TARGETS, MAX_TRUST_FILE_BYTES)
        old = parse_metadata(data, Targets, PREFIX + TARGETS)
    except (MissingBlobError, SignatureError):
        return targets.to_bytes()
    if old.signed_bytes != targets.signed_bytes:
        return targets.to_bytes()
    valid = root.get_verification_result(Targets.type, old.signed_bytes, old.signatures).signed
    kept = {key_id: s for key_id, s in sorted(old.signatures.items()) if key_id in valid}
    return Metadata(targets.signed, kept).to_bytes()


def _write_bundle(bundle: Path, roots: dict[int, bytes], files: dict[str, bytes]) -> None:
    """Write trust/ as a whole: whatever else lies in it belongs to an earlier build."""
    directory = bundle / PREFIX
    wanted = {root_name(version): data for version, data in roots.items()} | files
    with storage_errors(f"write {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.iterdir():
            if path.name not in wanted:
                path.unlink()
    _write(directory, wanted)


def _write(directory: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = directory / name
        if path.is_symlink() or not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data)
