"""Releases that were taken back: `revoked.json` of the release folder.

Unsigned like the folder itself. It counts when the next release is approved: its targets.json
names them, and the approvers sign that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import digest_of
from bundle.base.documents import API_VERSION, Document
from bundle.base.errors import MissingBlobError, UsageError
from bundle.base.limits import MAX_MANIFEST_BYTES, MAX_TRUST_FILE_BYTES
from bundle.store.atomic import write_atomic
from bundle.store.layout import MANIFEST_NAME, BundleDirectory
from bundle.trust.metadata.restrictions import RevokedRelease, merge_revoked
from bundler.release.history import RELEASES
from bundler.root.draft import locked

REVOCATIONS: Final = "revoked.json"
_MAX_ENTRIES: Final = 1000


class _Revocations(Document, frozen=True, kw_only=True):
    api_version: Literal["isoward/v1"]
    kind: Literal["Revocations"]
    revoked: Annotated[tuple[RevokedRelease, ...], msgspec.Meta(max_length=_MAX_ENTRIES)]


def read_revocations(release: Path) -> tuple[RevokedRelease, ...]:
    """Return the releases that a release folder has taken back.

    Raises:
        FormatError: The file is damaged.
    """
    try:
        data = BundleDirectory(release).read_small(REVOCATIONS, MAX_TRUST_FILE_BYTES)
    except MissingBlobError:
        return ()
    return decode_canonical(data, _Revocations, f"{release / REVOCATIONS}").revoked


def revoke(release: Path, number: int, reason: str) -> tuple[RevokedRelease, bool]:
    """Take a release back, from the next release on.

    Args:
        release: The release folder.
        number: Of a release that was built from it.
        reason: For the site, in one line.
    Returns:
        The entry, and whether it is new: the first reason stays.
    Raises:
        UsageError: There is no such release, or the reason cannot be shown.
        FormatError: The file of revocations is damaged.
        StorageError: The disk refused; nothing was changed.
    """
    if not reason.strip() or not reason.isprintable():
        raise UsageError(
            "expected a reason in one line of text", "State the reason, for the sites."
        )
    with locked(release):
        known = read_revocations(release)
        digest = _digest_of(release, number)
        found = next((entry for entry in known if entry.digest == digest), None)
        if found is not None:
            return found, False
        entry = RevokedRelease(release=number, digest=digest, reason=reason.strip())
        file = _Revocations(
            api_version=API_VERSION, kind="Revocations", revoked=merge_revoked(known, (entry,))
        )
        write_atomic(release / REVOCATIONS, canonical_json(file))
    return entry, True


def _digest_of(release: Path, number: int) -> str:
    """Return the digest of the bundle.json of a release, of which the folder keeps a copy."""
    name = f"{RELEASES}/{number}/{MANIFEST_NAME}"
    try:
        return digest_of(BundleDirectory(release).read_small(name, MAX_MANIFEST_BYTES))
    except MissingBlobError as error:
        raise UsageError(
            f"{release}: there is no release {number}: {name} does not exist",
            "See `isoward release show`.",
        ) from error
