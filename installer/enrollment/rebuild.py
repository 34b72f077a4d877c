"""Rebuilding a site's record from what its depot holds and a recovery's statement says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Root

from bundle.base.digest import PREFIX, digest_of
from bundle.base.errors import ClockError, CouldNotVerifyError, IsowardError
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.terms import CLOCK_TOLERANCE
from bundle.trust.metadata.release_chain import (
    TrustFiles,
    check_documents,
    parse_documents,
    read_manifest,
    read_trust_files,
)
from bundle.trust.metadata.restrictions import RevokedRelease, merge_revoked, revoked_of
from bundle.trust.metadata.root import check_chain
from bundle.trust.site.ledger import BUNDLES, ImportTrace, import_traces
from bundle.trust.site.state import AcceptedBundle, TrustState

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a recovery's statement says of the site.

    Attributes:
        roots: The enrolled root and its successors.
        fingerprint: Of the first of them.
        floor: The oldest release that may come in, if the depot holds no newer one.
        site: The site's name.
        lowered: What two people say the time was: imports that were recorded later than that were
            recorded by a clock that was ahead, and their times do not count.
    """

    roots: Sequence[str]
    fingerprint: str
    floor: int
    site: str
    lowered: datetime | None


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A state that was rebuilt, and the folders of bundles that could not be taken into it."""

    state: TrustState
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A bundle of the depot whose signatures verify."""

    entry: AcceptedBundle
    files: TrustFiles
    revoked: tuple[RevokedRelease, ...]


def rebuild_state(depot: Path, basis: Basis, now: datetime) -> Rebuilt:
    """Make the state anew; nothing is written.

    Args:
        depot: What was imported.
        basis: From a statement that was verified.
        now: The clock, in UTC.
    Raises:
        CouldNotVerifyError: The roots do not begin with the enrolled one.
        TrustError: They are no chain.
        ClockError: The clock is earlier than an import that the depot recorded.
    """
    chain, lowered = _chain(basis.roots, basis.fingerprint), basis.lowered
    moment = now.replace(microsecond=0)
    found: list[_Found] = []
    left_out: list[str] = []
    newest, last_seen = basis.floor, min(moment, lowered or moment)
    for name, trace in import_traces(depot).items():
        if trace is None or PREFIX + trace.root != basis.fingerprint:
            continue
        # Also where the bundle itself is damaged: that it was here is enough to know.
        newest = max(newest, trace.release)
        at = _when(trace, moment, lowered)
        last_seen = max(last_seen, at)
        try:
            found.append(_look(depot, name, trace, chain=chain, at=at))
        except IsowardError:
            left_out.append(name)
    _require_later(moment, last_seen)
    found.sort(key=lambda one: one.entry.release)
    last = found[-1].files if found else None
    state = TrustState(
        fingerprint=basis.fingerprint,
        enrolled_at=moment,
        last_seen=last_seen,
        roots=tuple(basis.roots),
        timestamp=last.timestamp.decode() if last else "",
        snapshot=last.snapshot.decode() if last else "",
        targets=last.targets.decode() if last else "",
        accepted=tuple(one.entry for one in found),
        site=basis.site,
        revoked=merge_revoked(*(one.revoked for one in found)),
        floor=newest,
    )
    return Rebuilt(state, tuple(left_out))


def _require_later(moment: datetime, last_seen: datetime) -> None:
    if moment < last_seen - CLOCK_TOLERANCE:
        raise ClockError(
            f"this machine's clock says {moment:%Y-%m-%d %H:%M} UTC, and the depot has an import "
            f"of {last_seen:%Y-%m-%d %H:%M} UTC",
            "If the clock is wrong, set it right; if it is right, it was ahead then: make the "
            "recovery with --lower-clock.",
        )


def _chain(roots: Sequence[str], fingerprint: str) -> dict[int, Metadata[Root]]:
    if digest_of(roots[0].encode()) != fingerprint:
        raise CouldNotVerifyError(
            "the recovery's roots do not begin with its own root",
            "Make a new recovery with `isoward recover`.",
        )
    parsed: Metadata[Any] = Metadata.from_bytes(roots[0].encode())
    first = parsed.signed.version
    chain = check_chain({first + i: root.encode() for i, root in enumerate(roots)}, "")
    return {root.signed.version: root for root in chain}


def _look(
    depot: Path, name: str, trace: ImportTrace, chain: dict[int, Metadata[Root]], at: datetime
) -> _Found:
    bundle = BundleDirectory(depot / BUNDLES / name)
    files = read_trust_files(bundle)
    documents = parse_documents(files)
    root = chain.get(trace.root_version)
    if root is None:
        raise CouldNotVerifyError(f"{name}: no root of version {trace.root_version}", "")
    check_documents(documents, files, root.signed)
    content = read_manifest(bundle, documents.targets.signed)
    digest, release = digest_of(content.data), documents.targets.signed.version
    if (digest, release) != (PREFIX + name, trace.release):
        raise CouldNotVerifyError(f"{name}: it is not the bundle that was imported", "")
    entry = AcceptedBundle(digest=digest, release=release, root_version=trace.root_version, at=at)
    return _Found(entry, files, revoked_of(documents.targets.signed))


def _when(trace: ImportTrace, otherwise: datetime, lowered: datetime | None) -> datetime:
    try:
        recorded = datetime.strptime(trace.when, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return otherwise
    return recorded if lowered is None else min(recorded, lowered)
