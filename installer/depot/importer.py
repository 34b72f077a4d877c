"""Importing a bundle: trust first, then every byte, then the one rename that makes it count.

The order, so that a kill at any moment leaves the bundle whole in the depot or not in it at all:

1. Trust is verified; from here on only the VerifiedBundle says what the bundle holds.
2. It is checked to be a good bundle (bundle.checks.good_bundle): what comes before its blobs, then
   that there is space for what is missing.
3. The last of these checks: each blob is verified and brought in; those that the depot has are
   verified on the medium and compared, and replaced where the depot's copy is damaged.
4. The ledger, then what the site has seen is saved: a bundle that is served is always one that it
   records.
5. bundles/<hex>.tmp is written and renamed to bundles/<hex>.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundle.base.canonical import canonical_json
from bundle.base.content import Content
from bundle.base.errors import IsowardError, NoSpaceError
from bundle.base.progress import NO_PROGRESS, Progress
from bundle.checks.damage import names_of_blobs
from bundle.checks.good_bundle import LAYOUT, Subject, check_bundle
from bundle.store.atomic import (
    directory_lock,
    fsync_directory,
    make_directory,
    remove_stale_temporaries,
    storage_errors,
    write_atomic,
)
from bundle.store.hashing import HASH_THREADS, run_parallel, until
from bundle.store.layout import MANIFEST_NAME, BundleDirectory
from bundle.trust.site.state import STATES, TrustState, find_state, load_states, save_state
from bundle.trust.site.waiver import WAIVER_NAME
from bundle.trust.upstream.site_policy import load_site_policy
from bundle.trust.verify.verification import verify_trust
from bundle.trust.verify.verified import VerifiedBundle
from installer.depot.accepted import load_accepted
from installer.depot.directory import (
    IMPORT_NAME,
    PARTIAL_SUFFIX,
    DepotDirectory,
    ImportRecord,
    create_depot,
)
from installer.depot.exceptions import find_waiver, keep_waiver, notices
from installer.depot.intake import Intake, Way
from installer.depot.marks import Marks
from installer.depot.record import import_record
from installer.enrollment.first_trust import record_enrolled

Clock = Callable[[], dt.datetime]


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What an import did.

    Attributes:
        record: Of the bundle in the depot.
        already: Whether it was there before.
        ways: How many blobs were cloned and copied.
        healed: Blobs whose copy in the depot was damaged and was replaced, and what each is of.
        leftovers: What other systems left on the medium: passed over, and not read.
        expires: Of the bundle's trust metadata.
        notices: What every report of this depot has to say.
    """

    record: ImportRecord
    already: bool
    ways: dict[Way, int]
    healed: Mapping[str, tuple[str, ...]]
    leftovers: tuple[str, ...]
    expires: dt.datetime
    notices: tuple[str, ...]


def import_bundle(
    source: Path,
    depot: Path,
    clock: Clock,
    progress: Progress = NO_PROGRESS,
    *,
    waiver: Path | None = None,
) -> ImportOutcome:
    """Put a bundle into a depot, or verify once more one that is there.

    Args:
        source: The bundle's directory, untrusted, perhaps on a read-only medium.
        depot: The depot's directory, in which the site enrolled a root.
        clock: UTC.
        progress: Told of bytes as they are verified.
        waiver: The site's signed waiver, for a bundle whose metadata has expired.
    Raises:
        WaiverError: The waiver does not hold for this bundle.
        TrustError: The bundle is not to be trusted, or an image in it is not signed by upstream.
        IntegrityError: A file of it is missing, damaged or one too many.
        NoSpaceError: The depot's disk has no room for it; nothing was copied.
        BusyError: Another import into this depot is running.
        StorageError: The medium cannot be read, or the depot cannot be written.
    """
    bundle = BundleDirectory(source)
    bundle.require()
    # Once before anything is written: where nothing is enrolled, not even a lock file is left.
    find_state(bundle, load_states(depot / STATES))
    with directory_lock(depot):
        states = load_states(depot / STATES)
        granted = find_waiver(bundle, depot, waiver, clock())
        own = find_state(bundle, states)
        verified, state = verify_trust(bundle, own, clock(), waiver=granted)
        manifest, taken = verified.manifest, _Taken()

        def bring_in() -> int:
            _bring_in(create_depot(depot), bundle, manifest.blobs, taken=taken, progress=progress)
            return manifest.content_bytes

        rules = load_site_policy(depot)
        passed = check_bundle(Subject(bundle, manifest, clock(), rules, read_blobs=bring_in))
        opened = DepotDirectory(depot)
        record_enrolled(opened.trust, states)
        save_state(opened.trust, state)
        known = _known_record(opened, verified, (state,))
        record = known or _enter(opened, verified, taken.missing, clock())
        record = keep_waiver(opened, record, verified.waiver)
    names = names_of_blobs(bundle, manifest, taken.healed)
    healed = {digest: names.get(digest, ()) for digest in sorted(taken.healed)}
    return ImportOutcome(
        record,
        known is not None,
        dict(taken.ways),
        healed=healed,
        leftovers=passed.of(LAYOUT).leftovers,
        expires=verified.expires,
        notices=notices(opened),
    )


def _bring_in(
    depot: DepotDirectory,
    bundle: BundleDirectory,
    blobs: Sequence[Content],
    taken: _Taken,
    progress: Progress,
) -> None:
    """Verify every blob and bring in those that the depot does not have, or has damaged."""
    intake = Intake(bundle, depot)
    _tidy(depot, intake)
    taken.missing = [blob for blob in blobs if not intake.is_present(blob)]
    _check_space(depot, intake, taken.missing)
    _take_all(depot, intake, blobs, taken=taken, progress=progress)
    with storage_errors(f"write {depot.blobs}"):
        fsync_directory(depot.blobs)


def _tidy(depot: DepotDirectory, intake: Intake) -> None:
    """Remove what a killed import left: worth nothing, and only in the way."""
    intake.clear_staging()
    if depot.trust.is_dir():
        remove_stale_temporaries(depot.trust)
    with storage_errors(f"clear {depot.bundles}"):
        for path in depot.bundles.glob(f"*{PARTIAL_SUFFIX}"):
            shutil.rmtree(path)


def _check_space(depot: DepotDirectory, intake: Intake, missing: Sequence[Content]) -> None:
    if not missing:
        return
    largest = max(missing, key=lambda blob: blob.size)
    if intake.way_for(largest) is not Way.COPY:
        return
    need = sum(blob.size for blob in missing)
    with storage_errors(f"look at the free space of {depot.path}"):
        found = os.statvfs(depot.path)
    have = found.f_bavail * found.f_frsize
    if need > have:
        raise NoSpaceError(
            f"{depot.path}: the bundle needs {need} bytes more, the disk has {have} bytes free",
            "Free some space or give --depot a directory on a larger disk.",
            {"need": need, "have": have},
        )


@dataclass(slots=True)
class _Taken:
    """What the depot did not have, and what was brought in: by several threads, under the lock."""

    missing: list[Content] = field(default_factory=list)
    ways: Counter[Way] = field(default_factory=Counter)
    healed: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, blob: Content, way: Way, *, healed: bool) -> None:
        with self.lock:
            self.ways[way] += 1
            if healed:
                self.healed.add(blob.digest)


def _take_all(
    depot: DepotDirectory,
    intake: Intake,
    blobs: Sequence[Content],
    taken: _Taken,
    progress: Progress,
) -> None:
    # Large ones first, so that no thread is left alone with one at the end.
    ordered = sorted(blobs, key=lambda blob: blob.size, reverse=True)
    absent = {blob.digest for blob in taken.missing}
    stopped, marks = threading.Event(), Marks(depot)
    advance, uncounted = until(stopped, progress.advance), until(stopped, lambda _: None)
    marked = marks.names()

    def work(blob: Content) -> None:
        if stopped.is_set():
            return
        if blob.digest in absent:
            damaged = intake.has_damaged(blob)
            taken.add(blob, intake.take(blob, advance), healed=damaged)
            marks.clear(blob.digest)
        elif not intake.check(blob, advance):
            # Its bytes were counted when it was compared.
            taken.add(blob, intake.take(blob, uncounted), healed=True)
            marks.clear(blob.digest)
        elif blob.digest in marked:
            marks.clear(blob.digest)

    progress.start("importing", sum(blob.size for blob in blobs))
    try:
        run_parallel(work, ordered, HASH_THREADS, stopped.set)
    finally:
        progress.finish()


def _known_record(
    depot: DepotDirectory, verified: VerifiedBundle, states: Sequence[TrustState]
) -> ImportRecord | None:
    """Return the record of an earlier import, removing one that cannot be served."""
    path = depot.bundle_path(verified.manifest_digest)
    if not path.exists():
        return None
    try:
        return load_accepted(depot, path.name, states).record
    except IsowardError:
        with storage_errors(f"remove {path}"):
            # Renamed first: half of a bundle must not look like one.
            shutil.rmtree(path.rename(path.with_suffix(PARTIAL_SUFFIX)))
        return None


def _enter(
    depot: DepotDirectory, verified: VerifiedBundle, missing: Sequence[Content], now: dt.datetime
) -> ImportRecord:
    """Write the bundle's directory whole, then give it its name."""
    record = import_record(depot, verified, missing, now)
    final = depot.bundle_path(verified.manifest_digest)
    partial = final.with_suffix(PARTIAL_SUFFIX)
    files = {
        MANIFEST_NAME: verified.manifest_bytes,
        IMPORT_NAME: canonical_json(record),
        **verified.trust_files,
        **verified.attestations.files,
    }
    if verified.waiver is not None:
        files[WAIVER_NAME] = verified.waiver.data
    with storage_errors(f"write {partial}"):
        make_directory(partial)
        for name, data in files.items():
            make_directory((partial / name).parent)
            write_atomic(partial / name, data)
        fsync_directory(partial)
        partial.rename(final)
        fsync_directory(depot.bundles)
    return record
