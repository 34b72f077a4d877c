"""Which roots a site has enrolled, so that a lost record is noticed.

A missing state file looks like a site that never enrolled; enrolling again would then start new
trust that has seen no release. The ledger distinguishes the two, and so do the records of imports.

Order of writing: the state, then the ledger, and only then may anything be accepted. So a power
failure between the two leaves a state that has seen nothing, which `isoward enroll` or the next
import adds to the ledger; anything missing that the ledger names was lost.

Source: docs/FORMAT.md, "The depot".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.canonical import canonical_digest, canonical_json, decode_canonical
from bundle.base.digest import PREFIX, Digest, Hex64, hex_of
from bundle.base.documents import API_VERSION, Document, Text
from bundle.base.errors import DamagedStateError, IsowardError, LostStateError
from bundle.base.limits import MIB
from bundle.store.atomic import storage_errors, write_atomic
from bundle.store.layout import BundleDirectory
from bundle.store.owners import entry_problem, way_problem

LEDGER_NAME: Final = "ledger.json"
BUNDLES: Final = "bundles"
"""The folder of imported bundles in a depot, next to that of the states."""
RECOVER: Final = (
    "A backup would lose what was seen since. Two people recover it with `isoward recover`, "
    "as described in docs/runbooks/recovery.md; do not remove or create files here."
)
"""What to do about a damaged or missing record."""

_IMPORT_NAME: Final = "import.json"
_MAX_BYTES: Final = MIB
_HEX_LENGTH: Final = 64


class EnrolledRoot(Document, frozen=True, kw_only=True):
    """A root that this site trusts."""

    fingerprint: Digest
    enrolled_at: Annotated[datetime, msgspec.Meta(tz=True)]


class Ledger(Document, frozen=True, kw_only=True):
    """ledger.json: every enrolled root, and the site's own keys."""

    api_version: Literal["isoward/v1"] = API_VERSION
    kind: Literal["TrustLedger"] = "TrustLedger"
    roots: tuple[EnrolledRoot, ...] = ()
    authority: Digest | None = None
    """Digest of the authority's canonical JSON; if empty, no authority is in force."""


class _LedgerFile(Document, frozen=True, kw_only=True):
    checksum: Digest
    ledger: Ledger


class ImportTrace(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What an import.json says about the root; its other fields belong to the depot."""

    root: Hex64
    release: Annotated[int, msgspec.Meta(ge=1)]
    root_version: Annotated[int, msgspec.Meta(ge=1)]
    digest: Digest
    when: Text = ""


def require_own_folder(directory: Path) -> None:
    """Check that only root and this user can change a depot's trust folder.

    Args:
        directory: The trust folder, which may not exist yet; the depot is its parent.
    Raises:
        DamagedStateError: Someone else can: by its owner or mode, or those of a folder above it.
    """
    problem = way_problem(directory.parent) or entry_problem(directory, str(directory))
    if problem:
        raise DamagedStateError(
            f"{directory}: the records of what this site has seen cannot be trusted: {problem}",
            "They may have been changed. Find out, compare the root's fingerprint with "
            "the vendor's again, then give the folder to root and remove the mode (chown root, "
            "chmod go-w).",
        )


def load_ledger(directory: Path) -> Ledger:
    """Read the ledger of a depot's trust folder; an empty one if there is none.

    Raises:
        DamagedStateError: It is damaged.
    """
    path = directory / LEDGER_NAME
    require_own_folder(directory)
    if not path.is_symlink() and not path.exists():
        return Ledger()
    if problem := entry_problem(path):
        raise DamagedStateError(
            f"{path}: the list of what this site has enrolled is damaged: {problem}", RECOVER
        )
    try:
        data = BundleDirectory(directory).read_small(LEDGER_NAME, _MAX_BYTES)
        file = decode_canonical(data, _LedgerFile, LEDGER_NAME)
    except IsowardError as error:
        raise DamagedStateError(
            f"{path}: the list of what this site has enrolled is damaged: {error.message}", RECOVER
        ) from error
    if file.checksum != canonical_digest(file.ledger):
        raise DamagedStateError(
            f"{path}: the list of what this site has enrolled is damaged: wrong checksum",
            RECOVER,
        )
    return file.ledger


def save_ledger(directory: Path, ledger: Ledger) -> None:
    """Write the ledger; the caller holds the depot's lock.

    Raises:
        StorageError: Writing failed; the ledger is unchanged.
    """
    file = _LedgerFile(checksum=canonical_digest(ledger), ledger=ledger)
    write_atomic(directory / LEDGER_NAME, canonical_json(file))


def with_roots(ledger: Ledger, roots: Iterable[EnrolledRoot]) -> Ledger:
    """Return the ledger with more roots; existing ones are unchanged."""
    known = {entry.fingerprint: entry for entry in ledger.roots}
    for entry in roots:
        known.setdefault(entry.fingerprint, entry)
    ordered = tuple(sorted(known.values(), key=lambda entry: entry.fingerprint))
    return msgspec.structs.replace(ledger, roots=ordered)


def import_traces(depot: Path) -> dict[str, ImportTrace | None]:
    """Read which root each imported bundle belongs to, by the bundle's folder.

    None means a record that cannot be read.
    """
    directory = depot / BUNDLES
    if not directory.is_dir():
        return {}
    with storage_errors(f"list {directory}"):
        names = sorted(entry.name for entry in directory.iterdir())
    return {name: _trace(directory, name) for name in names if len(name) == _HEX_LENGTH}


def _trace(directory: Path, name: str) -> ImportTrace | None:
    try:
        data = BundleDirectory(directory).read_small(f"{name}/{_IMPORT_NAME}", _MAX_BYTES)
        trace = msgspec.json.decode(data, type=ImportTrace)
    except (IsowardError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return trace if hex_of(trace.digest) == name else None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a site's records say must exist.

    An import writes the state first, then the ledger, then its own record. Whoever reads these
    without the depot's lock reads them in the other order, or meets a record whose state it has
    read too early and takes that for damage.

    Attributes:
        ledger: The roots that were enrolled.
        traces: Of the imports, by the bundle's folder; None for one that cannot be read.
    """

    ledger: Ledger
    traces: Mapping[str, ImportTrace | None]


def read_recorded(directory: Path) -> Recorded:
    """Read a depot's records, before the states that they are held against.

    Raises:
        DamagedStateError: The ledger is damaged.
    """
    traces = import_traces(directory.parent)
    return Recorded(load_ledger(directory), traces)


def require_none_lost(directory: Path, recorded: Recorded, present: Collection[str]) -> None:
    """Check that every enrolled root still has its state.

    Args:
        directory: The depot's trust folder.
        recorded: Read before `present`.
        present: Fingerprints of the existing states.
    Raises:
        LostStateError: One is missing.
    """
    for entry in recorded.ledger.roots:
        if entry.fingerprint not in present:
            raise _lost(directory, entry.fingerprint, f"{LEDGER_NAME} says that it was enrolled")
    for name, trace in recorded.traces.items():
        if trace is not None and PREFIX + trace.root not in present:
            why = f"release {trace.release} in {BUNDLES}/{name[:16]}... was imported below it"
            raise _lost(directory, PREFIX + trace.root, why)
    if recorded.traces and not present:
        raise _lost(directory, "", "there are imported bundles")


def _lost(directory: Path, fingerprint: str, why: str) -> LostStateError:
    what = f"the root {hex_of(fingerprint)}" if fingerprint else "any root"
    return LostStateError(
        f"{directory}: the record of what this site has seen below {what} is missing: {why}",
        RECOVER,
        {"fingerprint": fingerprint},
    )
