"""The depot's directory: verified content, by digest, and what was imported when.

    depot.json                     that this is a depot
    blobs/sha256/<hex>             content; a blob gets its name only after its digest was checked
    bundles/<hex>/bundle.json      the manifest of an imported bundle; <hex> is its digest
    bundles/<hex>/import.json      when and by whom it was vouched for
    bundles/<hex>/trust/           the bundle's trust metadata, for an auditor
    bundles/<hex>/waiver.dsse.json the site's waiver, where the bundle had expired
    trust/                         enrolled roots and what this site has seen
    tls/                           the site's CA and the server's certificate
    staging/                       content on its way in; worth nothing
    runs/                          records of installations
    sites/                         what is kept of each site: its inventory, kubeconfig and journal
    environments/                  Python environments for Kubespray, made of a bundle's wheels

Source: docs/FORMAT.md, "Depot".
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import Digest, hex_of
from bundle.base.documents import API_VERSION, Document, Metadata, Text
from bundle.base.errors import FormatError, StorageError, UnsafePathError
from bundle.base.limits import MIB
from bundle.store.atomic import make_directory, storage_errors, write_atomic
from bundle.store.owners import entry_problem, way_problem
from bundle.store.reading import read_bounded
from bundle.trust.upstream.site_policy import POLICY_NAME

DEPOT_NAME: Final = "depot.json"
IMPORT_NAME: Final = "import.json"
PARTIAL_SUFFIX: Final = ".tmp"
_KNOWN: Final = frozenset(
    {
        *("blobs", "bundles", "trust", "tls", "staging", "runs", "sites", "environments"),
        *(".lock", POLICY_NAME, "policy"),
    }
)
"""What may be there before the first import: a site enrols a root and writes its policy first."""

_BUNDLE_NAME: Final = re.compile(r"[0-9a-f]{64}")
_MAX_RECORD_BYTES: Final = MIB

Count = Annotated[int, msgspec.Meta(ge=0)]


class DepotFile(Document, frozen=True, kw_only=True):
    """depot.json."""

    api_version: Literal["isoward/v1"]
    kind: Literal["Depot"]


class RecordedSigner(Document, frozen=True, kw_only=True):
    """Somebody whose signature counted when the bundle was imported."""

    name: Text
    key_id: Text
    role: Text


class RecordedWaiver(Document, frozen=True, kw_only=True):
    """The site's waiver under which an expired bundle was imported."""

    digest: Digest
    """Of waiver.dsse.json, beside this record."""
    reason: Text
    ticket: Text
    expires: Text
    """UTC, RFC 3339."""
    signers: tuple[Text, ...]


class ImportRecord(Document, frozen=True, kw_only=True):
    """import.json."""

    api_version: Literal["isoward/v1"]
    kind: Literal["Import"]
    sequence: Annotated[int, msgspec.Meta(ge=1)]
    """Counts imports into this depot; a later one wins a tag."""
    when: Text
    """UTC, RFC 3339."""
    metadata: Metadata
    digest: Digest
    """Of bundle.json."""
    release: Count
    """The release number of the trust metadata."""
    root: Text
    """The enrolled root's fingerprint."""
    root_version: Count
    signers: tuple[RecordedSigner, ...]
    blobs: Count
    size: Count
    """Of all its blobs, in bytes."""
    new_blobs: Count
    """How many the depot did not have."""
    new_size: Count
    waiver: RecordedWaiver | None = None

    def with_waiver(self, waiver: RecordedWaiver) -> ImportRecord:
        """Return the record with a waiver."""
        return msgspec.structs.replace(self, waiver=waiver)

    @property
    def order(self) -> tuple[int, str]:
        """What imports are sorted by."""
        return self.sequence, self.digest


class DepotDirectory:
    """Paths and records of one depot. Opening it reads one small file."""

    def __init__(self, path: Path) -> None:
        """Name the directory; use `open_depot` or `create_depot` to get one that was checked."""
        self.path = path
        self.blobs = path / "blobs" / "sha256"
        self.bundles = path / "bundles"
        self.trust = path / "trust"
        self.tls = path / "tls"
        self.staging = path / "staging"
        self.runs = path / "runs"

    def blob_path(self, digest: str) -> Path:
        """Return where a blob is, or would be. `digest` must be one of a manifest's."""
        return self.blobs / hex_of(digest)

    def bundle_path(self, digest: str) -> Path:
        """Return the directory of the bundle whose bundle.json has this digest."""
        return self.bundles / hex_of(digest)

    def bundle_names(self) -> frozenset[str]:
        """Return the names of the bundles that are imported whole."""
        try:
            names = os.listdir(self.bundles)  # noqa: PTH208 - per request; no Path each
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            raise StorageError(
                f"cannot list {self.bundles}: {error.strerror}", "Check the disk and permissions."
            ) from error
        return frozenset(name for name in names if _BUNDLE_NAME.fullmatch(name))

    def load_record(self, name: str) -> ImportRecord:
        """Read the record of one import.

        Raises:
            FormatError: It is malformed or of another bundle.
            StorageError: It is missing or cannot be read.
        """
        path = self.bundles / name / IMPORT_NAME
        record = decode_canonical(_read(path, _MAX_RECORD_BYTES), ImportRecord, str(path))
        if hex_of(record.digest) != name:
            raise FormatError(
                f"{path}: expected the record of {name}, found {hex_of(record.digest)}",
                "The depot is damaged: remove this bundle's directory and import it again.",
            )
        return record

    def records(self) -> list[ImportRecord]:
        """Return the records of all imports, in the order in which they were made."""
        records = [self.load_record(name) for name in self.bundle_names()]
        return sorted(records, key=lambda record: record.order)


def create_depot(path: Path) -> DepotDirectory:
    """Open the depot at `path`, making it if there is none yet.

    Raises:
        FormatError: The directory holds something else.
        UnsafePathError: A folder of it is a link.
        StorageError: It cannot be made.
    """
    depot = DepotDirectory(path)
    make_directory(path)
    with storage_errors(f"create the depot {path}"):
        present = (path / DEPOT_NAME).exists()
    if not present:
        _require_ours(path)
        marker = DepotFile(api_version=API_VERSION, kind="Depot")
        write_atomic(path / DEPOT_NAME, canonical_json(marker))
    for directory in (depot.blobs.parent, depot.blobs, depot.bundles, depot.staging, depot.trust):
        if directory.is_symlink():
            raise UnsafePathError(
                f"{directory}: it is a link, so imports would be written elsewhere",
                "Give --depot the directory itself; mount a larger disk there if necessary.",
            )
    for directory in (depot.blobs, depot.bundles):
        make_directory(directory)
    make_directory(depot.staging, 0o700)
    return open_depot(path)


def open_depot(path: Path) -> DepotDirectory:
    """Open an existing depot.

    Raises:
        FormatError: There is no depot at `path`.
        UnsafePathError: Somebody else could have changed it.
        StorageError: It cannot be read.
    """
    marker = path / DEPOT_NAME
    try:
        data = _read(marker, _MAX_RECORD_BYTES)
    except StorageError as error:
        if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
            raise
        raise FormatError(
            f"{path}: not a depot: it has no {DEPOT_NAME}",
            "Create one with `isoward import BUNDLE --depot DIR`.",
        ) from error
    decode_canonical(data, DepotFile, str(marker))
    depot = DepotDirectory(path)
    _require_own(depot)
    return depot


def _require_own(depot: DepotDirectory) -> None:
    """Check that nobody but root and this user could change what the depot is made of.

    The records below trust/ are looked at where they are read.
    """
    places = [depot.path / name for name in sorted(_KNOWN | {DEPOT_NAME, "damaged", "check"})]
    found = (entry_problem(place, str(place)) for place in (depot.blobs, *places))
    problem = way_problem(depot.path) or next(filter(None, found), "")
    if problem:
        raise UnsafePathError(
            f"{depot.path}: the depot cannot be trusted: {problem}",
            "They may have changed it. Find out, give it to root and remove the mode "
            "(chown -R root, chmod -R go-w), then run `isoward depot check`.",
        )


def _require_ours(path: Path) -> None:
    """Refuse to turn somebody's home directory into a depot."""
    with storage_errors(f"list {path}"):
        foreign = sorted(
            entry.name
            for entry in path.iterdir()
            # write_atomic of another process names its file .depot.json.<random>.tmp.
            if entry.name not in _KNOWN and not entry.name.startswith(f".{DEPOT_NAME}")
        )
    if foreign:
        raise FormatError(
            f"{path}: not a depot, and not empty: it has {foreign[0]!r}",
            "Give an empty or a new directory to --depot.",
        )


def _read(path: Path, limit: int) -> bytes:
    larger = FormatError(f"{path}: expected at most {limit} bytes, found more", "Is it damaged?")
    return read_bounded(path, limit, larger)
