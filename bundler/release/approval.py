"""Approving a release: one approver's signature and attestation, in the bundle itself.

The release folder is not touched: it numbers releases, and the bundle carries who approved. So an
approver needs the bundle's bundle.json, trust/ and attestations/ and nothing of the build system's.

The order of writing: the approver's files below attestations/, then the signature in
trust/targets.json, which makes them count, then SHA256SUMS. A kill in between leaves a bundle that
every site refuses until the same command has run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import to_builtins
from tuf.api.metadata import Metadata, Targets

from bundle.base.errors import CouldNotVerifyError, UsageError
from bundle.model.attestation import APPROVAL, make_statement
from bundle.model.predicates import Approval, Reviewed, ticket_problem
from bundle.store.atomic import locked_folder, storage_errors, write_atomic
from bundle.store.layout import ATTESTATION_DIRECTORY, TRUST_DIRECTORY, BundleDirectory
from bundle.store.sums import write_sums
from bundle.trust.attestations.checked import (
    approval_name,
    approver_names,
    key_name,
    signature_name,
)
from bundle.trust.attestations.envelope import detached_signature, public_pem, sign_statement
from bundle.trust.keys.stored import SigningKey
from bundle.trust.metadata.parse import add_signature
from bundle.trust.metadata.release_chain import TARGETS
from bundle.trust.verify.clock import check_signed
from bundler.release.build_record import make_folders
from bundler.release.review import Examined, Review, examine


def approve(
    bundle: BundleDirectory, shown: Review, signer: SigningKey, ticket: str, now: datetime
) -> tuple[Review, bool]:
    """Add an approval: attestation, detached signature, TUF signature, and SHA256SUMS anew.

    What another approver left half done is removed: it counts for nothing, and no site would take
    the bundle with it.

    Args:
        bundle: The bundle.
        shown: What the approver was shown; anything else is not signed.
        signer: The approver's key.
        ticket: Where the decision was taken.
        now: The clock, in UTC.
    Returns:
        The bundle as it is now, and whether an approval was added: nobody approves twice.
    Raises:
        UsageError: The ticket is empty, too long or not printable.
        UnknownKeyError: The key is no approver's.
        CouldNotVerifyError: The bundle is no longer the one that was shown.
        BusyError: Another process is writing to this bundle.
        ClockError: The clock is earlier than the build, so the approval would tell a wrong time.
        TrustError, IntegrityError: As `review`.
        StorageError: The disk refused; run again.
    """
    shown.holder_of(signer)
    check_ticket(ticket)
    with locked_folder(bundle.path):
        current = examine(bundle, now)
        if subject_of(current.review) != subject_of(shown):
            raise CouldNotVerifyError(
                f"{bundle.path}: the bundle changed while it was being approved",
                "Nothing was signed; run the command again and review what it shows.",
            )
        added = signer.public_key.keyid not in current.review.approved
        if added:
            built = current.review.builder.provenance.run_details.metadata.finished_on
            check_signed(now, built, "the record of this build")
            files = _approval_files(current, signer, ticket, now)
            write_approvals(bundle, current, files, lambda targets: add_signature(targets, signer))
        # Also when nothing was added: a power cut may have come before SHA256SUMS.
        write_sums(bundle.path, current.review.manifest)
        return examine(bundle, now).review, added


def check_ticket(ticket: str) -> str:
    """Return `ticket` if it can be one.

    Raises:
        UsageError: Empty, too long, or not printable.
    """
    if problem := ticket_problem(ticket):
        raise UsageError(
            f"invalid ticket: {problem}",
            "Name the change or ticket that decided this release, such as CHG-1234.",
        )
    return ticket


def _approval_files(
    current: Examined, signer: SigningKey, ticket: str, now: datetime
) -> dict[str, bytes]:
    key_id = signer.public_key.keyid
    release = current.release
    approval = Approval(
        approver=current.review.approvers[key_id],
        ticket=ticket,
        time=now.replace(microsecond=0),
        release=release.number,
        reviewed=current.review.builder.statements,
    )
    about = release.about
    statement = make_statement(about.name, about.digest, APPROVAL, to_builtins(approval))
    return {
        key_name(key_id): public_pem(release.approvers[key_id]),
        signature_name(key_id): detached_signature(release.data, signer),
        approval_name(key_id): sign_statement(statement, signer),
    }


def write_approvals(
    bundle: BundleDirectory,
    current: Examined,
    files: Mapping[str, bytes],
    sign: Callable[[Metadata[Targets]], None],
) -> None:
    """Write the files of new approvals, and only then the signatures that make them count.

    Args:
        bundle: The bundle, locked.
        current: As it is.
        files: Of the new approvals.
        sign: Adds the signatures to targets.json.
    """
    signed = current.targets.signatures
    make_folders(bundle.path)
    with storage_errors(f"clean {bundle.path / ATTESTATION_DIRECTORY}"):
        for key_id in current.review.unfinished:
            for name in approver_names(key_id) if key_id not in signed else ():
                (bundle.path / name).unlink(missing_ok=True)
    for name, data in files.items():
        write_atomic(bundle.path / name, data)
    sign(current.targets)
    data = current.targets.to_bytes()
    write_atomic(bundle.path / TRUST_DIRECTORY / TARGETS, data)


def subject_of(seen: Review) -> tuple[bytes, str, str, Reviewed]:
    """Return what an approval is about, to compare two copies of a release by.

    First come the very bytes that are signed; all else follows from bundle.json, the root and the
    statements that the approval names.
    """
    return seen.signed, seen.manifest_digest, seen.root_fingerprint, seen.builder.statements
