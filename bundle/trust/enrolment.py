"""Enrolling a root at a site: the one moment of trust that a person gives, by fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bundle.model.digest import digest_of, hex_of
from bundle.model.errors import TrustError
from bundle.store.atomic import directory_lock
from bundle.trust.describe import RootDescription, describe_root
from bundle.trust.metadata import check_unexpired
from bundle.trust.root import check_chain, offered_roots, root_name
from bundle.trust.state import STATES, TrustState, load_states, new_state, save_state


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
        ExpiredError: The newest root is expired.
        IntegrityError: There is no root.
    """
    roots, prefix = offered_roots(path)
    where = prefix if path.is_dir() else f"{path}: "
    chain = check_chain(roots, where)
    newest = chain[-1].signed
    check_unexpired(newest, where + root_name(newest.version), now)
    if fingerprint is None:
        data = roots[newest.version]
    else:
        matching = [root for root in roots.values() if digest_of(root) == fingerprint]
        if not matching:
            found = ", ".join(hex_of(digest_of(root)) for root in roots.values())
            raise TrustError(
                f"{path}: expected a root with fingerprint {hex_of(fingerprint)}, found {found}",
                "This is not the root that the vendor told you of; do not use it, and ask.",
                {"expected": fingerprint},
            )
        data = matching[0]
    return Candidate(data, describe_root(data, str(path)), roots)


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


def enroll(depot: Path, candidate: Candidate, now: datetime) -> tuple[TrustState, bool]:
    """Enrol a root whose fingerprint was compared.

    Args:
        depot: The depot; its trust folder is made if need be.
        candidate: From `read_candidate`.
        now: The clock, in UTC.
    Returns:
        The state, and whether it is new: a root that is enrolled already keeps what it has seen.
    Raises:
        CouldNotVerifyError: A state is damaged.
        StorageError: The disk refused; nothing is enrolled.
    """
    with directory_lock(depot):
        known = find_enrolled(depot / STATES, candidate)
        if known is not None:
            return known, False
        state = new_state(candidate.data, now)
        save_state(depot / STATES, state)
    return state, True
