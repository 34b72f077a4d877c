"""What every report about a depot has to say: waivers it lives on, and releases taken back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import IsowardError
from bundle.base.limits import MAX_MANIFEST_BYTES
from bundle.store.atomic import write_atomic
from bundle.store.layout import MANIFEST_NAME, BundleDirectory
from bundle.trust.metadata.restrictions import find_revoked, merge_revoked
from bundle.trust.site.authority import load_authority
from bundle.trust.site.state import STATES, load_readable_states
from bundle.trust.site.statement import read_statement
from bundle.trust.site.waiver import WAIVER_NAME, GrantedWaiver, grant_waiver, kept_waiver
from installer.depot.directory import IMPORT_NAME, DepotDirectory, ImportRecord, RecordedWaiver

_TIME = "%Y-%m-%dT%H:%M:%SZ"


def find_waiver(
    bundle: BundleDirectory, depot: Path, given: Path | None, now: datetime
) -> GrantedWaiver | None:
    """Return the waiver for a bundle: the one that is given, or the one the depot has it under.

    Raises:
        WaiverError: The one that is given does not hold.
        IntegrityError: Its file or bundle.json cannot be read.
    """
    digest = digest_of(bundle.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES))
    if given is None:
        return kept_waiver(depot, digest, now)
    authority = load_authority(depot / STATES)
    return grant_waiver(read_statement(given), authority, digest, now=now, where=str(given))


def recorded(waiver: GrantedWaiver) -> RecordedWaiver:
    """Return what import.json says of a waiver."""
    return RecordedWaiver(
        digest=digest_of(waiver.data),
        reason=waiver.predicate.reason,
        ticket=waiver.predicate.ticket,
        expires=waiver.predicate.expires.strftime(_TIME),
        signers=waiver.signers,
    )


def keep_waiver(
    depot: DepotDirectory, record: ImportRecord, waiver: GrantedWaiver | None
) -> ImportRecord:
    """Record a waiver with a bundle that is in the depot already.

    Raises:
        StorageError: The disk refused.
    """
    if waiver is None or record.waiver == recorded(waiver):
        return record
    directory = depot.bundle_path(record.digest)
    changed = record.with_waiver(recorded(waiver))
    write_atomic(directory / WAIVER_NAME, waiver.data)
    write_atomic(directory / IMPORT_NAME, canonical_json(changed))
    return changed


def words_of(record: ImportRecord) -> str:
    """Say in one line what a bundle's waiver is; empty if it has none."""
    waiver = record.waiver
    if waiver is None:
        return ""
    return (
        f"release {record.release} of {record.metadata.name} came in EXPIRED, by a waiver of "
        f"{' and '.join(waiver.signers)} until {waiver.expires} ({waiver.ticket}: {waiver.reason})"
    )


def notices(depot: DepotDirectory) -> tuple[str, ...]:
    """Return a line for each bundle of a depot that is there by a waiver or was taken back."""
    return tuple(_notices(depot))


def _notices(depot: DepotDirectory) -> Iterator[str]:
    states, problems = load_readable_states(depot.trust)
    yield from (f"nothing can be imported: {problem.message}" for problem in problems)
    revoked = merge_revoked(*(state.revoked for state in states))
    for name in sorted(depot.bundle_names()):
        try:
            record = depot.load_record(name)
        except IsowardError:
            continue
        if record.waiver is not None:
            yield words_of(record)
        entry = find_revoked(record.digest, revoked)
        if entry is not None:
            yield (
                f"release {record.release} of {record.metadata.name} was REVOKED by its approvers: "
                f"{entry.reason}; it is still served, but no longer installed"
            )
