"""Bringing together approvals that were given on several copies of one release.

Approvers who work apart each get a copy of bundle.json, trust/ and attestations/, and approve that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from securesystemslib.signer import Signature
from tuf.api.metadata import Metadata, Targets

from bundle.base.errors import CouldNotVerifyError
from bundle.store.atomic import locked_folder
from bundle.store.layout import BundleDirectory
from bundle.store.sums import write_sums
from bundle.trust.attestations.checked import approver_names
from bundler.release.approval import subject_of, write_approvals
from bundler.release.review import Examined, Review, examine


def collect(
    bundle: BundleDirectory, others: Sequence[BundleDirectory], now: datetime
) -> tuple[Review, tuple[str, ...]]:
    """Take over the approvals that other copies of the same release have.

    Each copy is verified first, as far as it can be before it has all approvals. Run again, it
    completes what was cut short.

    Args:
        bundle: Gets them.
        others: The copies, which stay as they are.
        now: The clock, in UTC.
    Returns:
        The bundle as it is now, and the names of those whose approvals were new to it.
    Raises:
        CouldNotVerifyError: A copy is of another release or build.
        BusyError: Another process is writing to this bundle.
        TrustError, IntegrityError: Something in the bundle or in a copy does not verify.
        StorageError: The disk refused; run again.
    """
    with locked_folder(bundle.path):
        current = examine(bundle, now)
        files: dict[str, bytes] = {}
        signatures: dict[str, Signature] = {}
        for other in others:
            found = examine(other, now)
            _check_same(bundle, current, other, found)
            for key_id in found.review.approved:
                if key_id in current.review.approved or key_id in signatures:
                    continue
                signatures[key_id] = found.targets.signatures[key_id]
                files |= {name: found.files[name] for name in approver_names(key_id)}

        def sign(targets: Metadata[Targets]) -> None:
            targets.signatures = dict(sorted({**targets.signatures, **signatures}.items()))

        if files:
            write_approvals(bundle, current, files, sign)
        # Also when nothing was added: a power cut may have come before SHA256SUMS.
        write_sums(bundle.path, current.review.manifest)
        names = sorted(current.review.approvers[key_id] for key_id in signatures)
        return examine(bundle, now).review, tuple(names)


def _check_same(
    bundle: BundleDirectory, ours: Examined, other: BundleDirectory, theirs: Examined
) -> None:
    same = ours.targets.signed_bytes == theirs.targets.signed_bytes
    if not same or subject_of(ours.review) != subject_of(theirs.review):
        raise CouldNotVerifyError(
            f"{other.path}: not a copy of {bundle.path}: expected release {ours.review.release} "
            f"with {ours.review.manifest_digest}, found release {theirs.review.release} with "
            f"{theirs.review.manifest_digest}, or it comes from another build",
            "Give each approver a copy of the same build. Nothing was collected.",
        )
