"""What a site has seen: the enrolled root, and the newest metadata since.

One file for each enrolled root. It exposes rollback and freeze attacks, so a damaged one is an
error and never the start of new trust.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.canonical import canonical_digest, canonical_json, decode_canonical
from bundle.base.digest import PREFIX as SHA256
from bundle.base.digest import Digest, digest_of, hex_of
from bundle.base.documents import API_VERSION, Document, line
from bundle.base.errors import (
    ClockError,
    DamagedStateError,
    FormatError,
    IsowardError,
    NotEnrolledError,
    StorageError,
)
from bundle.base.limits import MAX_TRUST_FILE_BYTES, MIB
from bundle.store.atomic import make_directory, storage_errors, write_atomic
from bundle.store.layout import BundleDirectory
from bundle.store.owners import entry_problem
from bundle.trust.keys.terms import CLOCK_TOLERANCE, MAX_ROOTS
from bundle.trust.metadata.restrictions import RevokedRelease
from bundle.trust.metadata.root import PREFIX, check_chain, parse_root, read_roots, root_name
from bundle.trust.site.ledger import (
    RECOVER,
    ImportTrace,
    Recorded,
    import_traces,
    read_recorded,
    require_none_lost,
    require_own_folder,
)

MetadataText = Annotated[str, line(MAX_TRUST_FILE_BYTES)]
"""A metadata file as text: ours are ASCII."""
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Count = Annotated[int, msgspec.Meta(ge=1)]

STATES: Final = "trust"
"""The folder of the states in a depot."""

_FILE_NAME: Final = re.compile(r"([0-9a-f]{64})\.json")
_MAX_STATE_BYTES: Final = 64 * MIB
"""Every root version at its largest, twice over for JSON's escapes."""


class AcceptedBundle(Document, frozen=True, kw_only=True):
    """A bundle that was verified completely, including everything it was checked for then."""

    digest: Digest
    """Of bundle.json."""
    release: Count
    root_version: Count
    at: Moment


class TrustState(Document, frozen=True, kw_only=True):
    """What one site has seen below one enrolled root."""

    api_version: Literal["isoward/v1"] = API_VERSION
    kind: Literal["TrustState"] = "TrustState"
    fingerprint: Digest
    """Of the enrolled root, which is roots[0]."""
    enrolled_at: Moment
    last_seen: Moment
    """The latest clock that this site has shown; an earlier one is refused."""
    roots: Annotated[tuple[MetadataText, ...], msgspec.Meta(min_length=1, max_length=MAX_ROOTS)]
    """The enrolled root and its successors."""
    timestamp: MetadataText = ""
    snapshot: MetadataText = ""
    targets: MetadataText = ""
    accepted: tuple[AcceptedBundle, ...] = ()
    site: Annotated[str, line(63)] = ""
    """The vendor's name for this site; releases may be restricted to certain sites."""
    revoked: tuple[RevokedRelease, ...] = ()
    """Every release that was ever seen as revoked."""
    floor: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Set by a recovery: no older release is accepted, although what was seen is lost."""


class _StateFile(Document, frozen=True, kw_only=True):
    """The state and its digest, so that one damaged character is always noticed."""

    checksum: Digest
    state: TrustState


def new_state(root: bytes, now: datetime, site: str = "") -> TrustState:
    """Create a state for a root that a person, or the caller, vouches for.

    Raises:
        TrustError: The root is not signed by its own keys, or is against the policy.
    """
    version = parse_root(root, "root").signed.version
    check_chain({version: root}, "")
    moment = now.replace(microsecond=0)
    return TrustState(
        fingerprint=digest_of(root),
        enrolled_at=moment,
        last_seen=moment,
        roots=(root.decode("ascii"),),
        site=site,
    )


def state_from_fingerprint(bundle: BundleDirectory, fingerprint: str, now: datetime) -> TrustState:
    """Create a state in memory, for an auditor who knows a root's fingerprint.

    Args:
        bundle: Untrusted.
        fingerprint: Digest of one of its N.root.json files, from a trustworthy source.
        now: The clock.
    Raises:
        NotEnrolledError: The bundle has no such root.
    """
    for root in read_roots(bundle, PREFIX).values():
        if digest_of(root) == fingerprint:
            return new_state(root, now)
    raise NotEnrolledError(
        f"{bundle.path}: none of the bundle's roots has the fingerprint {hex_of(fingerprint)}",
        "Compare it with the vendor's; the bundle may be another vendor's.",
    )


def state_path(directory: Path, fingerprint: str) -> Path:
    """Return the file of the state for an enrolled root."""
    return directory / f"{hex_of(fingerprint)}.json"


def save_state(directory: Path, state: TrustState) -> None:
    """Write a state; the caller holds the depot's lock.

    Raises:
        StorageError: Writing failed; the state is unchanged.
    """
    file = _StateFile(checksum=canonical_digest(state), state=state)
    make_directory(directory)
    write_atomic(state_path(directory, state.fingerprint), canonical_json(file))


def load_states(directory: Path) -> tuple[TrustState, ...]:
    """Read every state in a depot's trust folder; none if nothing was ever enrolled.

    Raises:
        DamagedStateError: One is damaged, or older than what was imported below its root.
        LostStateError: One is missing, although its root was enrolled.
    """
    recorded = read_recorded(directory)
    found = tuple(_load(directory, name) for name in _names(directory))
    _require_whole(directory, recorded, found)
    return found


def load_readable_states(
    directory: Path,
) -> tuple[tuple[TrustState, ...], tuple[IsowardError, ...]]:
    """Read the intact states, to serve what was accepted below them.

    Returns:
        The states, and the problems of the others; nothing may be accepted while there are any.
    """
    found: list[TrustState] = []
    problems: list[IsowardError] = []
    recorded: Recorded | IsowardError
    try:
        recorded = read_recorded(directory)
    except IsowardError as error:
        recorded = error
    for name in _names(directory):
        try:
            found.append(_load(directory, name))
        except IsowardError as error:
            problems.append(error)
    try:
        if isinstance(recorded, IsowardError):
            raise recorded
        _require_whole(directory, recorded, found)
    except IsowardError as error:
        # A damaged one exists, and was reported already.
        if not problems:
            problems.append(error)
    return tuple(found), tuple(problems)


def load_state(directory: Path, fingerprint: str) -> TrustState | None:
    """Read one state; None if it does not exist.

    Raises:
        DamagedStateError: It is damaged, or older than what was imported below its root.
    """
    name = state_path(directory, fingerprint).name
    traces = import_traces(directory.parent)
    if name not in _names(directory):
        return None
    state = _load(directory, name)
    _require_newest(directory, traces, [state])
    return state


def _require_whole(directory: Path, recorded: Recorded, states: Sequence[TrustState]) -> None:
    require_none_lost(directory, recorded, {state.fingerprint for state in states})
    _require_newest(directory, recorded.traces, states)


def _require_newest(
    directory: Path, traces: Mapping[str, ImportTrace | None], states: Sequence[TrustState]
) -> None:
    """Check that no state was restored from a backup: an import is recorded in it first.

    Raises:
        DamagedStateError: The depot has a newer release than a state has seen.
    """
    known = [trace for trace in traces.values() if trace is not None]
    for state in states:
        imported = [t.release for t in known if SHA256 + t.root == state.fingerprint]
        newest = max(imported, default=0)
        if newest > _experience(state)[0]:
            path = state_path(directory, state.fingerprint)
            raise _damaged(path, f"it is older than the import of release {newest}")


def _names(directory: Path) -> list[str]:
    require_own_folder(directory)
    if not directory.is_dir():
        return []
    with storage_errors(f"list {directory}"):
        names = sorted(entry.name for entry in directory.iterdir())
    return [name for name in names if _FILE_NAME.fullmatch(name)]


def _load(directory: Path, name: str) -> TrustState:
    if problem := entry_problem(directory / name):
        raise _damaged(directory / name, problem)
    try:
        data = BundleDirectory(directory).read_small(name, _MAX_STATE_BYTES)
    except StorageError:
        raise
    except IsowardError as error:
        raise _damaged(directory / name, "it cannot be read") from error
    return parse_state(data, directory / name)


def parse_state(data: bytes, path: Path) -> TrustState:
    """Parse a state file, and check that it is intact and has the right name.

    Raises:
        DamagedStateError: It is not.
    """
    try:
        file = decode_canonical(data, _StateFile, path.name)
    except FormatError as error:
        raise _damaged(path, "it is malformed") from error
    state = file.state
    if file.checksum != canonical_digest(state):
        raise _damaged(path, "its checksum does not match")
    enrolled = digest_of(state.roots[0].encode())
    if state.fingerprint != enrolled or path.name != f"{hex_of(enrolled)}.json":
        raise _damaged(path, "it belongs to another root")
    return state


def _damaged(path: Path, why: str) -> DamagedStateError:
    return DamagedStateError(
        f"{path}: the record of what this site has seen is damaged: {why}", RECOVER
    )


def find_state(bundle: BundleDirectory, states: Iterable[TrustState]) -> TrustState:
    """Find the enrolled root that a bundle belongs to.

    Where several match, the one that has seen most decides, so that enrolling twice never
    forgets a release.

    Raises:
        NotEnrolledError: None does.
    """
    roots = read_roots(bundle, PREFIX)
    offered = {digest_of(root) for root in roots.values()}
    matching = [
        state
        for state in states
        if any(digest_of(root.encode()) in offered for root in state.roots)
    ]
    if not matching:
        raise NotEnrolledError(
            f"{bundle.path}: this site has not enrolled any root of the bundle: "
            f"{', '.join(PREFIX + root_name(version) for version in roots)}",
            "Run `isoward enroll` first, with the fingerprint from the vendor; if that was done, "
            "the bundle belongs to another vendor, or is damaged.",
        )
    return max(matching, key=_experience)


def _experience(state: TrustState) -> tuple[int, int]:
    newest = max((entry.release for entry in state.accepted), default=0)
    return max(newest, state.floor), len(state.roots)


def check_clock(state: TrustState, now: datetime) -> None:
    """Check that the clock did not go back, which would revive expired metadata.

    Raises:
        ClockError: It is behind a time that this site has already seen.
    """
    if now < state.last_seen - CLOCK_TOLERANCE:
        raise ClockError(
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, which is before the last "
            f"verification here at {state.last_seen:%Y-%m-%d %H:%M} UTC",
            "If the clock is wrong, correct it. If it is right, it was ahead then: two people "
            "lower it with `isoward recover --lower-clock`; docs/runbooks/recovery.md.",
        )
