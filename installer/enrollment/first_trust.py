"""Enrolling a root at a site: the one moment of trust that a person gives, by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from tuf.api.metadata import Root, Timestamp

from bundle.base.canonical import canonical_digest
from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import IsowardError, TrustError, UsageError
from bundle.base.limits import MAX_TRUST_FILE_BYTES
from bundle.store.atomic import directory_lock, remove_stale_temporaries
from bundle.store.layout import BundleDirectory
from bundle.trust.metadata.fingerprint import RootDescription, describe_root
from bundle.trust.metadata.parse import (
    check_signatures,
    check_threshold,
    check_unexpired,
    keys_of,
    parse_metadata,
)
from bundle.trust.metadata.release_chain import TIMESTAMP
from bundle.trust.metadata.root import check_chain, offered_roots, parse_root, root_name
from bundle.trust.site.authority import (
    Authority,
    check_not_vendors,
    load_authority,
    read_authority,
    save_authority,
)
from bundle.trust.site.ledger import (
    EnrolledRoot,
    import_traces,
    load_ledger,
    save_ledger,
    with_roots,
)
from bundle.trust.site.state import STATES, TrustState, load_states, new_state, save_state
from bundle.trust.verify.clock import check_signed, signed_not_before


@dataclass(frozen=True, slots=True)
class Candidate:
    """A root that may be enrolled: consistent in itself, and so far trusted by nobody.

    Attributes:
        data: The file.
        description: What a person compares.
        chain: All roots that came with it, by version.
    """

    data: bytes
    description: RootDescription
    chain: Mapping[int, bytes]


def read_candidate(path: Path, fingerprint: str | None, now: datetime) -> Candidate:
    """Read the root to enrol from a root file, a release folder or a bundle.

    Args:
        path: Untrusted.
        fingerprint: From the vendor; without it the newest root is taken, for a person to compare.
        now: The clock, in UTC.
    Raises:
        TrustError: No root has the fingerprint, or the root is not signed by its own keys.
        ClockError: The clock is earlier than what was signed.
        ExpiredError: The newest root is expired.
        IntegrityError: There is no root.
    """
    roots, prefix = offered_roots(path)
    where = prefix if path.is_dir() else f"{path}: "
    chain = check_chain(roots, where)
    newest = chain[-1].signed
    signed = signed_not_before(newest, _timestamp(path, prefix, newest))
    check_signed(now, signed, f"what {path} holds")
    check_unexpired(newest, where + root_name(newest.version), now)
    if fingerprint is None:
        data = roots[newest.version]
    else:
        matching = [root for root in roots.values() if digest_of(root) == fingerprint]
        if not matching:
            found = ", ".join(hex_of(digest_of(root)) for root in roots.values())
            raise TrustError(
                f"{path}: expected a root with fingerprint {hex_of(fingerprint)}, found {found}",
                "This is not the root that the vendor told you; do not use it, and ask them.",
                {"expected": fingerprint},
            )
        data = matching[0]
    return Candidate(data, describe_root(data, str(path)), roots)


def _timestamp(path: Path, prefix: str, root: Root) -> Timestamp | None:
    """Return the timestamp that lies beside the roots, if the root's key signed it.

    It only helps to find a clock that is wrong; `isoward import` judges it.
    """
    if not path.is_dir():
        return None
    name = prefix + TIMESTAMP
    try:
        data = BundleDirectory(path).read_small(name, MAX_TRUST_FILE_BYTES)
        metadata = parse_metadata(data, Timestamp, name)
        check_signatures(metadata, keys_of(root, Timestamp.type), name, Timestamp.type)
        check_threshold(metadata, root, name)
    except IsowardError:
        return None
    return metadata.signed


def find_enrolled(directory: Path, candidate: Candidate) -> TrustState | None:
    """Find the state of a root that `candidate` is, precedes or follows.

    Args:
        directory: The depot's trust folder.
        candidate: From `read_candidate`.
    Raises:
        CouldNotVerifyError: A state is damaged.
    """
    offered = set(candidate.chain.values())
    for state in load_states(directory):
        known = [root.encode() for root in state.roots]
        if offered.intersection(known) or _follows(known[-1], candidate):
            return state
    return None


def _follows(known: bytes, candidate: Candidate) -> bool:
    """Say whether the candidate's first root is signed by the newest one that is known."""
    first = min(candidate.chain)
    try:
        check_chain({first - 1: known, first: candidate.chain[first]}, "")
    except TrustError:
        return False
    return True


def enroll(
    depot: Path,
    candidate: Candidate,
    now: datetime,
    *,
    site: str = "",
    authority: Authority | None = None,
) -> tuple[TrustState, bool]:
    """Enrol a root whose fingerprint was compared.

    The authority is written first, then the state, then the ledger: cut short anywhere, running it
    again goes on, and nothing can have been accepted in between.

    Args:
        depot: The depot; its trust folder is made if need be.
        candidate: From `read_candidate`.
        now: The clock, in UTC.
        site: The name by which the vendor knows this site; given once.
        authority: The site's own keys; given once, before anything is accepted.
    Returns:
        The state, and whether it is new: a root that is enrolled already keeps what it has seen.
    Raises:
        DamagedStateError: A state or the ledger is damaged.
        LostStateError: A state is gone; enrolling anew would forget what it has seen.
        UsageError: The site has another name or other keys, or its keys are the vendor's.
        StorageError: The disk refused; run again.
    """
    directory = depot / STATES
    with directory_lock(depot):
        known = find_enrolled(directory, candidate)
        states = load_states(directory)
        if directory.is_dir():
            remove_stale_temporaries(directory)
        _check_site(known, site)
        _check_authority(directory, authority, states, candidate)
        if authority is not None:
            save_authority(directory, authority)
        state = known or new_state(candidate.data, now, site)
        if site and not state.site:
            state = msgspec.structs.replace(state, site=site)
        if state != known:
            save_state(directory, state)
        record_enrolled(directory, (*states, state))
    return state, known is None


def record_enrolled(directory: Path, states: Sequence[TrustState]) -> None:
    """Bring the ledger up to what is enrolled; call it before anything new is accepted.

    It is behind only where enrolling was cut short, or was done before there was a ledger.
    """
    ledger = load_ledger(directory)
    entries = (EnrolledRoot(fingerprint=s.fingerprint, enrolled_at=s.enrolled_at) for s in states)
    wanted = with_roots(ledger, entries)
    if wanted.authority is None and not any(state.accepted for state in states):
        found = read_authority(directory)
        named = canonical_digest(found) if found is not None else None
        wanted = msgspec.structs.replace(wanted, authority=named)
    if wanted != ledger:
        save_ledger(directory, wanted)


def _check_site(known: TrustState | None, site: str) -> None:
    if known is not None and known.site and site and known.site != site:
        raise UsageError(
            f"this site is enrolled as {known.site!r} and cannot become {site!r}",
            "A site keeps its name; give another --depot for another site.",
        )


def _check_authority(
    directory: Path,
    authority: Authority | None,
    states: Sequence[TrustState],
    candidate: Candidate,
) -> None:
    """Check that the site's keys are given once, in time, and are not the vendor's."""
    present = load_authority(directory)
    if authority is not None and present is not None and authority != present:
        raise UsageError(
            "the site's keys are already enrolled and cannot be changed",
            "Other keys need a new depot that enrolls the root again.",
        )
    accepted = any(state.accepted for state in states) or import_traces(directory.parent)
    if authority is not None and present is None and accepted:
        raise UsageError(
            "the site's keys must be given before the first import, and there has been one",
            "Make a new depot with `isoward enroll --site-key`, and import the bundle there.",
        )
    in_force = authority or present
    if in_force is not None:
        roots = [root.encode() for state in states for root in state.roots]
        parsed = (parse_root(root, "root").signed for root in (*candidate.chain.values(), *roots))
        check_not_vendors(in_force, parsed)
