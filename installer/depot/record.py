"""The record of an import: who vouched for what, and when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from bundle.base.content import Content
from bundle.base.digest import hex_of
from bundle.base.documents import API_VERSION
from bundle.base.errors import IsowardError
from bundle.trust.verify.verified import VerifiedBundle
from installer.depot.directory import DepotDirectory, ImportRecord, RecordedSigner
from installer.depot.exceptions import recorded


def import_record(
    depot: DepotDirectory, verified: VerifiedBundle, missing: Sequence[Content], now: dt.datetime
) -> ImportRecord:
    """Return the record of an import.

    Args:
        depot: That it goes into.
        verified: The bundle.
        missing: Those of its blobs that the depot did not have.
        now: UTC.
    """
    manifest = verified.manifest
    signers = (
        RecordedSigner(name=signer.name, key_id=signer.key_id, role=signer.role)
        for signer in verified.signers
    )
    return ImportRecord(
        api_version=API_VERSION,
        kind="Import",
        sequence=_next_sequence(depot),
        when=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        metadata=manifest.metadata,
        digest=verified.manifest_digest,
        release=verified.release,
        root=hex_of(verified.root_fingerprint),
        root_version=verified.root_version,
        signers=tuple(signers),
        blobs=len(manifest.blobs),
        size=manifest.content_bytes,
        new_blobs=len(missing),
        new_size=sum(blob.size for blob in missing),
        waiver=recorded(verified.waiver) if verified.waiver is not None else None,
    )


def _next_sequence(depot: DepotDirectory) -> int:
    """Return one more than the largest; a record that cannot be read does not count."""
    largest = 0
    for name in depot.bundle_names():
        try:
            largest = max(largest, depot.load_record(name).sequence)
        except IsowardError:
            continue
    return largest + 1
