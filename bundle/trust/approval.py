"""Approving a release: one approver's signature over targets.json, in the bundle itself.

The release folder is not touched: it numbers releases, and the bundle carries who approved. So an
approver needs the bundle's bundle.json and trust/ and nothing of the build system's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tuf.api.metadata import Metadata, Targets

from bundle.model.digest import digest_of
from bundle.model.errors import CouldNotVerifyError, UnknownKeyError
from bundle.model.manifest import Manifest
from bundle.store.atomic import remove_stale_temporaries, write_atomic
from bundle.store.layout import TRUST_DIRECTORY, BundleDirectory
from bundle.store.sums import write_sums
from bundle.trust.documents import (
    TARGETS,
    check_documents,
    check_fresh,
    parse_documents,
    read_manifest,
    read_trust_files,
)
from bundle.trust.keys import SigningKey, holder
from bundle.trust.metadata import add_signature, keys_of
from bundle.trust.root import PREFIX, check_chain, root_name


@dataclass(frozen=True, slots=True)
class Review:
    """What an approver is asked to sign.

    Attributes:
        manifest: Of the bundle, matching targets.json.
        manifest_digest: Of bundle.json.
        release: The release number.
        root_fingerprint: Of the bundle's newest root.
        approvers: Holders by key id, of all who may approve.
        approved: Key ids of those who have.
        threshold: How many must.
        expires: The earliest expiry, in UTC.
    """

    manifest: Manifest
    manifest_digest: str
    release: int
    root_fingerprint: str
    approvers: dict[str, str]
    approved: tuple[str, ...]
    threshold: int
    expires: datetime

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
                f"key {key_id[:16]} is no approver's key: the root names {names}",
                "Approve with the private key of one of them; the build system's key cannot.",
            )
        return self.approvers[key_id]


def review(bundle: BundleDirectory, now: datetime) -> Review:
    """Check a bundle as far as it can be before it is approved.

    The root is the bundle's own: the approver compares its fingerprint. What an approval that was
    cut short left behind is removed.

    Raises:
        TrustError: Metadata does not verify or is expired.
        IntegrityError: A file is missing or damaged, or bundle.json is another one.
    """
    for directory in (bundle.path, bundle.path / TRUST_DIRECTORY):
        if directory.is_dir() and not directory.is_symlink():
            remove_stale_temporaries(directory)
    return _examine(bundle, now)[0]


def _examine(bundle: BundleDirectory, now: datetime) -> tuple[Review, Metadata[Targets]]:
    files = read_trust_files(bundle)
    root = check_chain(files.roots, PREFIX)[-1].signed
    documents = parse_documents(files)
    signers = check_documents(documents, files, root, approved=False)
    expires = check_fresh(documents, root, PREFIX + root_name(root.version), now)
    content = read_manifest(bundle, documents.targets.signed)
    found = Review(
        manifest=content.manifest,
        manifest_digest=digest_of(content.data),
        release=documents.targets.signed.version,
        root_fingerprint=digest_of(files.roots[root.version]),
        approvers={k: holder(key) for k, key in keys_of(root, Targets.type).items()},
        approved=tuple(s.key_id for s in signers if s.role == Targets.type),
        threshold=root.roles[Targets.type].threshold,
        expires=expires,
    )
    return found, documents.targets


def approve(
    bundle: BundleDirectory, shown: Review, signer: SigningKey, now: datetime
) -> tuple[Review, bool]:
    """Add an approver's signature to trust/targets.json and renew SHA256SUMS.

    Args:
        bundle: The bundle.
        shown: What the approver was shown; anything else is not signed.
        signer: The approver's key.
        now: The clock, in UTC.
    Returns:
        The bundle as it is now, and whether a signature was added: nobody approves twice.
    Raises:
        UnknownKeyError: The key is no approver's.
        CouldNotVerifyError: The bundle is no longer the one that was shown.
        TrustError, IntegrityError: As `review`.
        StorageError: The disk refused; run again.
    """
    current, targets = _examine(bundle, now)
    current.holder_of(signer)
    if _subject(current) != _subject(shown):
        raise CouldNotVerifyError(
            f"{bundle.path}: the bundle changed while it was being approved",
            "Nothing was signed; run the command again and look at what it shows.",
        )
    added = signer.public_key.keyid not in current.approved
    if added:
        add_signature(targets, signer)
        write_atomic(bundle.path / TRUST_DIRECTORY / TARGETS, targets.to_bytes())
    # Also when nothing was added: a power cut may have come between the two files.
    write_sums(bundle.path, current.manifest)
    return _examine(bundle, now)[0], added


def _subject(seen: Review) -> tuple[str, int, str]:
    return seen.manifest_digest, seen.release, seen.root_fingerprint
