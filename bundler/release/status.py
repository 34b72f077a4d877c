"""Where a release folder stands: what is valid until when, and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api.metadata import Snapshot, Targets, Timestamp

from bundle.base.digest import digest_of
from bundle.base.errors import MissingBlobError
from bundle.base.limits import MAX_TRUST_FILE_BYTES
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.terms import TARGET_NAME
from bundle.trust.metadata.parse import T, parse_metadata
from bundle.trust.metadata.release_chain import SNAPSHOT, TARGETS, TIMESTAMP
from bundle.trust.metadata.restrictions import RevokedRelease, revoked_of, sites_of
from bundler.release.revocations import read_revocations
from bundler.root.draft import Pending, newest_as_pending, read_pending


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    """A release folder, for a person.

    Attributes:
        root: The newest root.
        fingerprint: Of it; empty while the first root is not complete.
        draft: The root that waits for signatures, if there is one.
        release: Number of the newest release; 0 before the first.
        digest: Of its bundle.json.
        sites: That it is for; none means all.
        expires: Of each file that is there, by name.
        revoked: Taken back, as the newest release says.
        to_revoke: Taken back from the next release on.
    """

    root: Pending
    fingerprint: str
    draft: Pending | None
    release: int
    digest: str
    sites: tuple[str, ...]
    expires: dict[str, datetime]
    revoked: tuple[RevokedRelease, ...]
    to_revoke: tuple[RevokedRelease, ...]


def release_status(release: Path) -> ReleaseStatus:
    """Read a release folder.

    Raises:
        UsageError: It is none.
        TrustError, FormatError: A file is damaged.
    """
    root, draft = newest_as_pending(release), read_pending(release)
    targets = _read(release, TARGETS, Targets)
    expires = {f"{root.version}.root.json": root.draft.signed.expires}
    parts = (
        (TARGETS, targets),
        (SNAPSHOT, _read(release, SNAPSHOT, Snapshot)),
        (TIMESTAMP, _read(release, TIMESTAMP, Timestamp)),
    )
    expires |= {name: signed.expires for name, signed in parts if signed}
    revoked = revoked_of(targets) if targets else ()
    known = {entry.digest for entry in revoked}
    return ReleaseStatus(
        root=root,
        fingerprint=digest_of(root.data) if root.complete else "",
        draft=draft,
        release=targets.version if targets else 0,
        digest=f"sha256:{targets.targets[TARGET_NAME].hashes['sha256']}" if targets else "",
        sites=sites_of(targets) if targets else (),
        expires=expires,
        revoked=revoked,
        to_revoke=tuple(e for e in read_revocations(release) if e.digest not in known),
    )


def _read(release: Path, name: str, kind: type[T]) -> T | None:
    try:
        data = BundleDirectory(release).read_small(name, MAX_TRUST_FILE_BYTES)
    except MissingBlobError:
        return None
    return parse_metadata(data, kind, f"{release / name}").signed
