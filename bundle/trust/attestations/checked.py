"""The files below attestations/: which ones must exist, and what each must say.

Complete both ways: each signature under targets.json has its approval by the same key, each
approval has its signature; the build system's statements are there; nothing else is. So removing a
file is noticed as much as adding one.

Source: docs/FORMAT.md, "attestations/".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn

from securesystemslib.signer import Key
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from bundle.base.digest import digest_of
from bundle.base.errors import AttestationError
from bundle.base.limits import KIB, MAX_ATTESTATION_BYTES
from bundle.model.attestation import APPROVAL, CHANGES, PROVENANCE
from bundle.model.changes import Changes
from bundle.model.manifest import Manifest
from bundle.model.predicates import Approval, Reviewed, ticket_problem
from bundle.model.provenance import Provenance
from bundle.store.advice import ADDED, INCOMPLETE
from bundle.store.layout import (
    ATTESTATION_DIRECTORY,
    KEY_DIRECTORY,
    MANIFEST_NAME,
    BundleDirectory,
)
from bundle.store.sums import attestation_files
from bundle.trust.attestations.attested import ApprovalRecord, Attestations, BuilderRecord
from bundle.trust.attestations.envelope import (
    About,
    Opened,
    check_detached,
    open_envelope,
    predicate_of,
    public_pem,
)
from bundle.trust.keys.stored import holder
from bundle.trust.metadata.parse import keys_of

PROVENANCE_NAME: Final = f"{ATTESTATION_DIRECTORY}/provenance.dsse.json"
CHANGES_NAME: Final = f"{ATTESTATION_DIRECTORY}/changes.dsse.json"
ID_LENGTH: Final = 16
"""Characters of a key id in a file's name."""

_SMALL: Final = 64 * KIB
"""All but the build system's two statements."""


@dataclass(frozen=True, slots=True)
class Release:
    """The release that the attestations are about.

    Attributes:
        manifest: Decoded.
        data: bundle.json.
        number: Of the release.
        root: In force.
    """

    manifest: Manifest
    data: bytes
    number: int
    root: Root

    @property
    def about(self) -> About:
        """The subject of every statement."""
        return About(MANIFEST_NAME, digest_of(self.data))

    @property
    def builders(self) -> dict[str, Key]:
        """The build system's keys."""
        return keys_of(self.root, Snapshot.type) | keys_of(self.root, Timestamp.type)

    @property
    def approvers(self) -> dict[str, Key]:
        """The keys that may approve."""
        return keys_of(self.root, Targets.type)


def approval_name(key_id: str) -> str:
    """Return the file of a key's approval."""
    return f"{ATTESTATION_DIRECTORY}/approval-{key_id[:ID_LENGTH]}.dsse.json"


def signature_name(key_id: str) -> str:
    """Return the file of a key's detached signature of bundle.json."""
    return f"{ATTESTATION_DIRECTORY}/{MANIFEST_NAME}.{key_id[:ID_LENGTH]}.sig"


def key_name(key_id: str) -> str:
    """Return the file of a public key."""
    return f"{KEY_DIRECTORY}/{key_id[:ID_LENGTH]}.pem"


def builder_names(key_id: str) -> tuple[str, ...]:
    """Return the files that a build writes."""
    return PROVENANCE_NAME, CHANGES_NAME, signature_name(key_id), key_name(key_id)


def approver_names(key_id: str) -> tuple[str, ...]:
    """Return the files that an approval writes."""
    return approval_name(key_id), signature_name(key_id), key_name(key_id)


def read_attestations(bundle: BundleDirectory) -> dict[str, bytes]:
    """Read every file below attestations/, once, bounded, following no link.

    Raises:
        IntegrityError: One is too large or a link, or there are too many.
    """
    large = {PROVENANCE_NAME, CHANGES_NAME}
    return {
        name: bundle.read_small(name, MAX_ATTESTATION_BYTES if name in large else _SMALL)
        for name in attestation_files(bundle)
    }


def check_attestations(
    files: Mapping[str, bytes], release: Release, approved: Collection[str]
) -> Attestations:
    """Check that the attestations are complete and good.

    Args:
        files: As read.
        release: Authenticated by the caller.
        approved: Key ids whose signatures under targets.json verify.
    Raises:
        AttestationError: One is missing, too many, or not what it must be; the file is named.
    """
    builder = check_builder(files, release)
    for key_id in release.approvers:
        if approval_name(key_id) in files and key_id not in approved:
            _refuse(
                approval_name(key_id),
                f"{holder(release.approvers[key_id])} did not sign trust/targets.json",
                "The approval was interrupted: the approver must run `isoward approve` again.",
            )
    approvals = [check_approval(files, release, builder, key_id) for key_id in approved]
    expected = {*builder_names(builder.key_id)}
    expected.update(name for key_id in approved for name in approver_names(key_id))
    check_no_other(files, expected)
    ordered = sorted(approvals, key=lambda found: (found.name, found.key_id))
    return Attestations(builder, tuple(ordered), MappingProxyType(dict(files)))


def check_no_other(files: Mapping[str, bytes], expected: Collection[str]) -> None:
    """Check that there are no other files.

    Raises:
        AttestationError: A file does not belong to any signature of this release.
    """
    for name in files:
        if name not in expected:
            _refuse(
                name,
                "this file does not belong to any builder or approver of this release",
                ADDED,
            )


@dataclass(frozen=True, slots=True)
class BuildStatements:
    """The build system's two statements, verified; of which release is not looked at.

    Attributes:
        key: That signed the provenance.
        provenance: How the bundle was built.
        changes: What changed since the release before.
        provenance_payload: The bytes of the one.
        changes_payload: The bytes of the other.
    """

    key: Key
    provenance: Provenance
    changes: Changes
    provenance_payload: bytes
    changes_payload: bytes


def open_build(
    files: Mapping[str, bytes], release: Release, earlier: Mapping[str, Key] | None = None
) -> BuildStatements:
    """Verify the build system's two statements, which one key must have signed.

    Args:
        files: As read.
        release: Authenticated by the caller.
        earlier: Keys that the build system had before; with these, either statement may be by any.
    Raises:
        AttestationError: One is missing, or not what it must be.
    """
    opened = _open(files, PROVENANCE_NAME, {**(earlier or {}), **release.builders})
    key = opened.signers[0]
    one = {key.keyid: key}
    also = _open(files, CHANGES_NAME, one if earlier is None else {**earlier, **release.builders})
    about = release.about
    provenance = predicate_of(opened, about, PROVENANCE, type_=Provenance, where=PROVENANCE_NAME)
    changes = predicate_of(also, about, CHANGES, type_=Changes, where=CHANGES_NAME)
    asked = provenance.build_definition.external_parameters
    if f"sha256:{asked.lock.digest.sha256}" != release.manifest.lock:
        _refuse(PROVENANCE_NAME, "it names a different lock than bundle.json")
    if asked.bundle != release.manifest.metadata:
        _refuse(PROVENANCE_NAME, "it belongs to another bundle")
    return BuildStatements(key, provenance, changes, opened.payload, also.payload)


def check_builder(files: Mapping[str, bytes], release: Release) -> BuilderRecord:
    """Check what the build system wrote.

    Raises:
        AttestationError: Something is missing, or not what it must be.
    """
    build = open_build(files, release)
    if build.changes.release != release.number:
        _refuse(
            CHANGES_NAME,
            f"expected the changes of release {release.number}, found {build.changes.release}",
        )
    _check_key_files(files, release, build.key)
    return BuilderRecord(
        name=holder(build.key),
        key_id=build.key.keyid,
        provenance=build.provenance,
        changes=build.changes,
        statements=Reviewed(
            provenance=digest_of(build.provenance_payload),
            changes=digest_of(build.changes_payload),
        ),
    )


def check_approval(
    files: Mapping[str, bytes], release: Release, builder: BuilderRecord, key_id: str
) -> ApprovalRecord:
    """Check what one approver wrote.

    Args:
        files: As read.
        release: Authenticated.
        builder: What was to be approved.
        key_id: One of the approvers'.
    Raises:
        AttestationError: Something is missing, or not what it must be.
    """
    key, name = release.approvers[key_id], approval_name(key_id)
    opened = _open(files, name, {key_id: key})
    approval = predicate_of(opened, release.about, APPROVAL, type_=Approval, where=name)
    if approval.approver != holder(key):
        _refuse(name, f"expected the approval of {holder(key)}, found {approval.approver[:100]!r}")
    if approval.release != release.number:
        _refuse(name, f"expected release {release.number}, found release {approval.release}")
    if problem := ticket_problem(approval.ticket):
        _refuse(name, f"invalid ticket: {problem}")
    if approval.reviewed != builder.statements:
        _refuse(name, "the approved provenance and changes are not the present ones")
    _check_key_files(files, release, key)
    return ApprovalRecord(holder(key), key_id, approval.ticket, approval.time, approval.reviewed)


def _open(files: Mapping[str, bytes], name: str, keys: Mapping[str, Key]) -> Opened:
    opened = open_envelope(_file(files, name), keys, name)
    if len(opened.signers) != 1:
        _refuse(name, f"expected one signature, found {len(opened.signers)}")
    return opened


def _check_key_files(files: Mapping[str, bytes], release: Release, key: Key) -> None:
    name = signature_name(key.keyid)
    check_detached(_file(files, name), release.data, key, name)
    name = key_name(key.keyid)
    if _file(files, name) != public_pem(key):
        _refuse(name, f"it is not the key of {holder(key)} named by the root")


def _file(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        _refuse(name, "expected this attestation, found none")
    return files[name]


def _refuse(name: str, why: str, hint: str = INCOMPLETE) -> NoReturn:
    raise AttestationError(f"{name}: {why}", hint, {"file": name})
