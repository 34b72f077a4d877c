"""Recovering a site's records of what it has seen, when they were damaged or lost.

It needs what a person alone must not do: a statement by the site's own keys that names the root and
the oldest release that may still come in, the floor. What the depot has imported raises the floor
and comes back as accepted, where its signatures still verify; so a recovery never lets an older
release in than the depot holds.

The order of writing: the record that a recovery is under way, a copy of what is damaged, the state,
the ledger, the record that it is done. Cut short anywhere, applying the same statement goes on.

Source: docs/FORMAT.md, "Statements of the site"; docs/runbooks/recovery.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.canonical import canonical_digest, canonical_json, decode_canonical
from bundle.base.digest import PREFIX as SHA256
from bundle.base.digest import Digest, digest_of, hex_of
from bundle.base.documents import API_VERSION, Document, Text
from bundle.base.errors import DamagedStateError, IsowardError, RecoveryError, UsageError
from bundle.base.plain import carried
from bundle.model.attestation import RECOVERY, make_statement
from bundle.store.atomic import directory_lock, remove_stale_temporaries, write_atomic
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.terms import MAX_ROOTS
from bundle.trust.metadata.root import check_chain, offered_roots
from bundle.trust.site.authority import Authority, load_authority, read_authority
from bundle.trust.site.ledger import (
    BUNDLES,
    EnrolledRoot,
    Ledger,
    import_traces,
    load_ledger,
    save_ledger,
    with_roots,
)
from bundle.trust.site.state import (
    STATES,
    MetadataText,
    TrustState,
    load_readable_states,
    load_state,
    save_state,
    state_path,
)
from bundle.trust.site.statement import (
    MAX_STATEMENT_BYTES,
    Kind,
    Moment,
    SignedBySite,
    SitePredicate,
    draft,
    names_of_signers,
    open_signed,
)
from bundle.trust.site.waiver import require_line
from bundle.trust.verify.clock import check_signed, is_ahead, signed_time_of
from installer.enrollment.rebuild import Basis, rebuild_state

LIFETIME: Final = timedelta(days=7)
"""Long enough to bring two persons together, short enough not to lie about for the next time."""

_SUBJECT: Final = "root"


class RecoveryPredicate(SitePredicate, frozen=True, kw_only=True):
    """The predicate urn:isoward:recovery:v1; its subject is the enrolled root."""

    floor: Annotated[int, msgspec.Meta(ge=1)]
    roots: Annotated[tuple[MetadataText, ...], msgspec.Meta(min_length=1, max_length=MAX_ROOTS)]
    """The enrolled root and its successors, as far as they are known."""
    last_seen: Moment | None = None
    """What the site has seen of time is lowered to this, where a clock was ahead."""


KIND: Final = Kind(
    _SUBJECT, RECOVERY, RecoveryPredicate, error=RecoveryError, word="recovery", command="recover"
)


class RecoveryRecord(Document, frozen=True, kw_only=True):
    """recovery-<n>.json: who recovered what, and when."""

    api_version: Literal["isoward/v1"] = API_VERSION
    kind: Literal["Recovery"] = "Recovery"
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    fingerprint: Digest
    problem: Text
    reason: Text
    floor: int
    """As it is in force: never below a release that the depot holds."""
    signers: tuple[Text, ...]
    statement: Digest
    """Of the signed file, which lies beside this one."""
    last_seen: Moment | None = None
    """To which the time that was seen was lowered."""
    done: bool = False


@dataclass(frozen=True, slots=True)
class RecoveryRequest:
    """What the site's people are asked for.

    Attributes:
        fingerprint: Of the enrolled root.
        floor: The oldest release that may come in again.
        reason: What happened.
        lower_clock: Lower the time that the site has seen to now: a clock was ahead.
    """

    fingerprint: str
    floor: int
    reason: str
    lower_clock: bool = False


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did.

    Attributes:
        record: As it was written.
        path: Where.
        accepted: How many bundles of the depot are accepted again.
        left_out: Folders of bundles that are not: their signatures do not verify any more.
    """

    record: RecoveryRecord
    path: Path
    accepted: int
    left_out: tuple[str, ...]


def problem_of(directory: Path, fingerprint: str) -> str:
    """Say what is wrong with the record of a root; an empty string if nothing is.

    Raises:
        RecoveryError: Nothing shows that the root was ever enrolled here.
        StorageError: The disk refused.
    """
    try:
        state, ledger = load_state(directory, fingerprint), load_ledger(directory)
    except DamagedStateError as error:
        return error.message
    if state is not None:
        return ""
    enrolled = any(entry.fingerprint == fingerprint for entry in ledger.roots)
    traces = import_traces(directory.parent).values()
    if not enrolled and not any(t and SHA256 + t.root == fingerprint for t in traces):
        raise RecoveryError(
            f"{directory}: nothing shows that the root {hex_of(fingerprint)} was enrolled here",
            "Compare the fingerprint; a root that was never enrolled cannot be recovered.",
        )
    return f"{state_path(directory, fingerprint)}: the record is gone"


def draft_recovery(
    depot: Path, request: RecoveryRequest, now: datetime, source: Path | None = None
) -> bytes:
    """Make a recovery that waits for its signatures.

    Args:
        depot: Its trust folder is read only.
        request: What for, and why.
        now: The clock, in UTC.
        source: A bundle, release folder or root file with the root, if the depot has none.
    Raises:
        ClockError: The clock is to be lowered to before what was signed.
        RecoveryError: Nothing is wrong, the site has named no keys, or the root is not to be found.
        DamagedAuthorityError: The record of the site's keys is damaged.
        UsageError: The reason or the floor is not fit.
    """
    directory = depot / STATES
    authority = _authority(directory)
    created = now.replace(microsecond=0)
    lowered = created if request.lower_clock else None
    _require_problem(directory, request.fingerprint, lowered)
    if request.floor < 1:
        raise UsageError("--floor: expected a release number from 1 on", "Ask the vendor for it.")
    predicate = RecoveryPredicate(
        site=authority.site,
        reason=require_line(request.reason, "--reason"),
        created=created,
        expires=created + LIFETIME,
        threshold=authority.threshold,
        signers=names_of_signers(authority),
        floor=request.floor,
        roots=_find_roots(depot, request.fingerprint, source),
        last_seen=lowered,
    )
    payload = make_statement(
        _SUBJECT, request.fingerprint, RECOVERY, msgspec.json.decode(canonical_json(predicate))
    )
    return draft(payload)


def _authority(directory: Path) -> Authority:
    try:
        found = load_authority(directory)
    except DamagedStateError:
        # The ledger is what is to be recovered; the file's own checksum has to do.
        found = read_authority(directory)
    if found is None:
        raise RecoveryError(
            f"{directory}: this site has no keys of its own, so nobody can sign a recovery",
            "Begin with a new depot, `isoward enroll` and the newest release; "
            "docs/runbooks/recovery.md says how.",
        )
    return found


def _require_problem(directory: Path, fingerprint: str, lowered: datetime | None) -> str:
    problem = problem_of(directory, fingerprint)
    if not problem and lowered is not None:
        problem = _clock_problem(directory, fingerprint, lowered)
    if not problem:
        raise RecoveryError(
            f"{state_path(directory, fingerprint)}: nothing is wrong with this record",
            "A recovery would make the site forget; it is refused while the record is intact.",
        )
    return problem


def _clock_problem(directory: Path, fingerprint: str, lowered: datetime) -> str:
    """Say that a clock was ahead when the record was written; an empty string if it was not."""
    state = load_state(directory, fingerprint)
    if state is None or not is_ahead(state, lowered):
        return ""
    check_signed(lowered, signed_time_of(state), "the newest release that was accepted here")
    return f"a clock was ahead: it has seen {state.last_seen:%Y-%m-%d %H:%M} UTC"


def _find_roots(depot: Path, fingerprint: str, source: Path | None) -> tuple[str, ...]:
    """Find the longest valid chain that begins with the enrolled root."""
    present = _present(depot / STATES, fingerprint)
    best: tuple[str, ...] = present.roots if present is not None else ()
    for roots in _offers(depot, source):
        first = next((v for v, data in roots.items() if digest_of(data) == fingerprint), None)
        if first is None:
            continue
        chain = {version: data for version, data in roots.items() if version >= first}
        check_chain(chain, "")
        if len(chain) > len(best):
            best = tuple(data.decode("ascii") for _, data in sorted(chain.items()))
    if not best:
        raise RecoveryError(
            f"no root with the fingerprint {hex_of(fingerprint)} was found",
            "Give --root with the newest bundle of this vendor.",
        )
    return best


def _offers(depot: Path, source: Path | None) -> Iterator[Mapping[int, bytes]]:
    if source is not None:
        yield offered_roots(source)[0]
    for name in import_traces(depot):
        try:
            yield offered_roots(depot / BUNDLES / name)[0]
        except IsowardError:
            continue


def apply_recovery(depot: Path, data: bytes, now: datetime, where: str) -> Recovered:
    """Rebuild a site's record by a signed statement.

    Args:
        depot: The depot.
        data: The statement, untrusted.
        now: The clock, in UTC.
        where: The statement's name, for messages.
    Raises:
        RecoveryError: It is not signed by enough of the site's keys, was used, or nothing is wrong.
        ClockError: The clock is earlier than something that the depot recorded.
        StorageError: The disk refused; run again.
    """
    directory = depot / STATES
    with directory_lock(depot):
        authority = _authority(directory)
        signed = open_signed(data, KIND, authority, now=now, where=where)
        remove_stale_temporaries(directory)
        number, begun = _record_for(directory, digest_of(data))
        if begun is not None and begun.done:
            raise RecoveryError(
                f"{where}: this recovery was already applied, on {begun.at:%Y-%m-%d %H:%M} UTC",
                "Each recovery needs its own statement; make one with `isoward recover`.",
            )
        found = problem_of(directory, signed.digest)
        if not found and begun is None:
            found = _require_problem(directory, signed.digest, signed.predicate.last_seen)
        problem = begun.problem if begun is not None else found
        return _apply(
            depot, data, signed, authority=authority, attempt=_Attempt(number, problem, now)
        )


@dataclass(frozen=True, slots=True)
class _Attempt:
    number: int
    problem: str
    now: datetime


def _apply(
    depot: Path,
    data: bytes,
    signed: SignedBySite[RecoveryPredicate],
    authority: Authority,
    attempt: _Attempt,
) -> Recovered:
    directory, predicate = depot / STATES, signed.predicate
    present = _present(directory, signed.digest)
    basis = Basis(
        roots=predicate.roots,
        fingerprint=signed.digest,
        floor=predicate.floor,
        site=predicate.site,
        lowered=predicate.last_seen,
    )
    rebuilt = rebuild_state(depot, basis, attempt.now)
    state = rebuilt.state
    if present is not None:
        # Its own file is whole: what was seen stays, and the floor counts besides.
        seen = predicate.last_seen or present.last_seen
        floor = max(present.floor, predicate.floor if predicate.last_seen else state.floor)
        state = msgspec.structs.replace(present, floor=floor, last_seen=seen)
    record = RecoveryRecord(
        at=attempt.now.replace(microsecond=0),
        fingerprint=signed.digest,
        problem=carried(attempt.problem, 4096),
        reason=predicate.reason,
        floor=state.floor,
        signers=signed.signers,
        statement=digest_of(data),
        last_seen=predicate.last_seen,
    )
    name = f"recovery-{attempt.number}"
    path = directory / f"{name}.json"
    write_atomic(directory / f"{name}.dsse.json", data)
    write_atomic(path, canonical_json(record))
    if present is None:
        _keep_damaged(directory, signed.digest, directory / f"{name}.damaged")
    save_state(directory, state)
    _save_ledger(directory, state, authority)
    record = msgspec.structs.replace(record, done=True)
    write_atomic(path, canonical_json(record))
    return Recovered(record, path, len(state.accepted), rebuilt.left_out)


def _present(directory: Path, fingerprint: str) -> TrustState | None:
    try:
        return load_state(directory, fingerprint)
    except DamagedStateError:
        return None


def _keep_damaged(directory: Path, fingerprint: str, copy: Path) -> None:
    path = state_path(directory, fingerprint)
    if path.is_file() and not path.is_symlink() and not copy.exists():
        write_atomic(copy, path.read_bytes()[:MAX_STATEMENT_BYTES])


def _save_ledger(directory: Path, state: TrustState, authority: Authority) -> None:
    """Write the ledger whole: what it said, if it is readable, and what is there besides."""
    try:
        ledger = load_ledger(directory)
    except DamagedStateError:
        ledger = Ledger()
        others, _ = load_readable_states(directory)
        ledger = with_roots(
            ledger,
            (EnrolledRoot(fingerprint=s.fingerprint, enrolled_at=s.enrolled_at) for s in others),
        )
    entry = EnrolledRoot(fingerprint=state.fingerprint, enrolled_at=state.enrolled_at)
    wanted = msgspec.structs.replace(
        with_roots(ledger, [entry]), authority=canonical_digest(authority)
    )
    save_ledger(directory, wanted)


def _record_for(directory: Path, statement: str) -> tuple[int, RecoveryRecord | None]:
    """Find the record of a statement, or the number for a new one."""
    number = 1
    while (directory / f"recovery-{number}.json").exists():
        name = f"recovery-{number}.json"
        data = BundleDirectory(directory).read_small(name, MAX_STATEMENT_BYTES)
        record = decode_canonical(data, RecoveryRecord, name)
        if record.statement == statement:
            return number, record
        number += 1
    return number, None
