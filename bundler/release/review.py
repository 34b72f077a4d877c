"""Looking at a release before it is approved: all that can be checked without approvals."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from tuf.api.metadata import Metadata, Targets

from bundle.base.canonical import decode_canonical
from bundle.base.digest import digest_of
from bundle.base.errors import AttestationError, UnknownKeyError
from bundle.model.changes import Earlier
from bundle.model.claims import contradictions
from bundle.model.manifest import Manifest
from bundle.store.atomic import remove_stale_temporaries
from bundle.store.layout import (
    ATTESTATION_DIRECTORY,
    KEY_DIRECTORY,
    TRUST_DIRECTORY,
    BundleDirectory,
)
from bundle.trust.attestations.attested import ApprovalRecord, BuilderRecord
from bundle.trust.attestations.checked import (
    CHANGES_NAME,
    Release,
    approver_names,
    builder_names,
    check_approval,
    check_builder,
    check_no_other,
    read_attestations,
)
from bundle.trust.keys.stored import SigningKey, holder
from bundle.trust.metadata.release_chain import (
    TARGETS,
    check_documents,
    check_fresh,
    check_lifetimes,
    parse_documents,
    read_manifest,
    read_trust_files,
)
from bundle.trust.metadata.root import PREFIX, check_chain, root_name
from bundle.trust.metadata.signed import SignedTargets, read_signed_targets


@dataclass(frozen=True, slots=True)
class Review:
    """What an approver is asked to sign.

    Attributes:
        manifest: Of the bundle, matching targets.json.
        manifest_digest: Of bundle.json.
        release: The release number.
        root_fingerprint: Of the bundle's newest root.
        approvers: Holders by key id, of all who may approve.
        approvals: Of those who have approved, sorted by name.
        unfinished: Key ids of those whose approval was cut short; they count for nothing.
        builder: What the build system attests.
        threshold: How many must.
        expires: The earliest expiry, in UTC.
        signed: The very bytes that an approver signs: of targets.json.
        terms: The same, decoded; nothing in them is left out.
    """

    manifest: Manifest
    manifest_digest: str
    release: int
    root_fingerprint: str
    approvers: dict[str, str]
    approvals: tuple[ApprovalRecord, ...]
    unfinished: tuple[str, ...]
    builder: BuilderRecord
    threshold: int
    expires: datetime
    signed: bytes
    terms: SignedTargets

    @property
    def approved(self) -> tuple[str, ...]:
        """The key ids of those who approved."""
        return tuple(approval.key_id for approval in self.approvals)

    @property
    def missing(self) -> int:
        """How many approvals are missing."""
        return max(0, self.threshold - len(self.approved))

    @property
    def approved_by(self) -> tuple[str, ...]:
        """The names of those who approved."""
        return tuple(self.approvers[key_id] for key_id in self.approved)

    def holder_of(self, signer: SigningKey) -> str:
        """Return the approver's name.

        Raises:
            UnknownKeyError: The key is no approver's.
        """
        key_id = signer.public_key.keyid
        if key_id not in self.approvers:
            names = ", ".join(self.approvers.values())
            raise UnknownKeyError(
                f"key {key_id[:16]} is not an approver's key: the root names {names}",
                "Approve with the private key of one of them, not with the build system's key.",
            )
        return self.approvers[key_id]


def review(bundle: BundleDirectory, now: datetime, previous: bytes | None = None) -> Review:
    """Check a bundle as far as it can be before it is approved.

    The root is the bundle's own: the approver compares its fingerprint. What a write that was cut
    short left behind is removed. What the build system says of the bundle is computed again from
    bundle.json, and what differs is refused.

    Args:
        bundle: Which.
        now: The clock, in UTC.
        previous: bundle.json of the release before, with which the changes are compared again.
    Raises:
        TrustError: Metadata or an attestation does not verify, cannot be shown whole or contradicts
            bundle.json, or metadata is expired.
        IntegrityError: A file is missing or damaged, or bundle.json is another one.
        FormatError: `previous` is no bundle.json.
    """
    remove_leftovers(bundle)
    found = examine(bundle, now).review
    if previous is not None:
        _check_claims(found.manifest, found.builder, _earlier(found.builder, previous))
    return found


def _earlier(builder: BuilderRecord, data: bytes) -> Earlier:
    said = builder.changes.previous
    found = digest_of(data)
    if said is None or said.digest != found:
        expected = f"release {said.release} ({said.digest})" if said else "no release"
        raise AttestationError(
            f"{CHANGES_NAME}: the build system compared with {expected}, but the bundle.json "
            f"given is {found}",
            "Give the bundle of that release. If it is a different release, do not approve.",
        )
    return Earlier(said.release, decode_canonical(data, Manifest, "--previous"), data)


def _check_claims(
    manifest: Manifest, builder: BuilderRecord, earlier: Earlier | None = None
) -> None:
    for problem in contradictions(manifest, builder.provenance, builder.changes, earlier):
        built = builder.provenance.run_details.builder.version.isoward
        raise AttestationError(
            f"{ATTESTATION_DIRECTORY}/: the build system's statement contradicts the bundle: "
            f"{problem}",
            f"Do not approve: the build system may be compromised. If isoward {built}, which "
            "built it, is another version than this one, look at it with that version first.",
        )


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found: what is shown of it, and what signing needs.

    Attributes:
        review: For the approver.
        targets: targets.json.
        release: What attestations are about.
        files: Those below attestations/.
    """

    review: Review
    targets: Metadata[Targets]
    release: Release
    files: Mapping[str, bytes]


def remove_leftovers(bundle: BundleDirectory) -> None:
    """Remove temporary files of writes that were cut short."""
    for folder in ("", TRUST_DIRECTORY, ATTESTATION_DIRECTORY, KEY_DIRECTORY):
        directory = bundle.path / folder
        if directory.is_dir() and not directory.is_symlink():
            remove_stale_temporaries(directory)


def examine(bundle: BundleDirectory, now: datetime) -> Examined:
    """Check a bundle; see `review`."""
    files = read_trust_files(bundle)
    root = check_chain(files.roots, PREFIX)[-1].signed
    documents = parse_documents(files)
    signers = check_documents(documents, files, root, approved=False)
    expires = check_fresh(documents, root, PREFIX + root_name(root.version), now)
    signed = documents.targets.signed_bytes
    terms = read_signed_targets(signed, PREFIX + TARGETS)
    content = read_manifest(bundle, documents.targets.signed)
    release = Release(content.manifest, content.data, documents.targets.signed.version, root)
    attested = read_attestations(bundle)
    builder = check_builder(attested, release)
    _check_claims(content.manifest, builder)
    if now >= builder.provenance.run_details.metadata.finished_on:
        # An earlier clock is wrong, which `approve` says.
        check_lifetimes(documents, now)
    approved = {signer.key_id for signer in signers if signer.role == Targets.type}
    approvals, unfinished = _approvals(attested, release, builder, approved)
    found = Review(
        manifest=content.manifest,
        manifest_digest=release.about.digest,
        release=release.number,
        root_fingerprint=digest_of(files.roots[root.version]),
        approvers={key_id: holder(key) for key_id, key in release.approvers.items()},
        approvals=approvals,
        unfinished=unfinished,
        builder=builder,
        threshold=root.roles[Targets.type].threshold,
        expires=expires,
        signed=signed,
        terms=terms,
    )
    return Examined(found, documents.targets, release, attested)


def _approvals(
    files: Mapping[str, bytes], release: Release, builder: BuilderRecord, signed: Collection[str]
) -> tuple[tuple[ApprovalRecord, ...], tuple[str, ...]]:
    """Return the approvals that are whole, and the key ids of those that were cut short."""
    whole: list[ApprovalRecord] = []
    unfinished: list[str] = []
    expected = {*builder_names(builder.key_id)}
    for key_id in release.approvers:
        names = approver_names(key_id)
        found = [name for name in names if name in files]
        expected.update(names)
        if key_id in signed and len(found) == len(names):
            whole.append(check_approval(files, release, builder, key_id))
        elif key_id in signed or found:
            unfinished.append(key_id)
    check_no_other(files, expected)
    ordered = sorted(whole, key=lambda record: (record.name, record.key_id))
    return tuple(ordered), tuple(unfinished)
