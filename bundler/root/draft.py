"""A root on its way: the next version, which counts for nothing until enough holders signed it.

A draft is `draft/<n>.root.json` of the release folder; it is complete when the thresholds of the
root before it and its own are met, and only then becomes `<n>.root.json`. The first root has no
root before it and is made in its place.

Each step is one rename: killed anywhere, the folder has the old root, or the new one.

Source: TUF specification 1.0, section 6.1 "Key management and migration".
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from securesystemslib.signer import Key, Signature
from tuf.api.metadata import Metadata, Root

from bundle.base.digest import digest_of
from bundle.base.errors import MissingBlobError, UnknownKeyError, UsageError
from bundle.base.limits import MAX_TRUST_FILE_BYTES
from bundle.store.atomic import (
    directory_lock,
    fsync_directory,
    remove_stale_temporaries,
    storage_errors,
    write_atomic,
)
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.stored import SigningKey, holder
from bundle.trust.keys.terms import MAX_ROOTS
from bundle.trust.metadata.parse import add_signature, check_signatures, keys_of, names_of
from bundle.trust.metadata.root import (
    FIRST_ROOT,
    check_chain,
    check_policy,
    parse_root,
    read_roots,
    require_release,
    root_name,
)
from bundle.trust.metadata.signed import read_signed_root
from bundler.root.changes import Change

DRAFTS: Final = "draft"
"""The folder of drafts in a release folder."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A root that is not complete, or was completed just now.

    Attributes:
        draft: The root, with the signatures so far; every one of them verifies.
        previous: The root before it; None for the first.
        previous_data: Its file.
    """

    draft: Metadata[Root]
    previous: Root | None
    previous_data: bytes

    @property
    def version(self) -> int:
        """The version that it is to be."""
        return self.draft.signed.version

    @property
    def data(self) -> bytes:
        """The file."""
        return self.draft.to_bytes()

    @property
    def check_value(self) -> str:
        """Digest of what is signed, the same for every holder; a fingerprint comes at the end."""
        return digest_of(self.draft.signed_bytes)

    @property
    def signers(self) -> dict[str, Key]:
        """Who may sign: root key holders of this root and of the one before, by key id."""
        keys = keys_of(self.previous, Root.type) if self.previous else {}
        return keys | keys_of(self.draft.signed, Root.type)

    @property
    def signed_by(self) -> tuple[str, ...]:
        """Holders who signed."""
        return names_of([self.signers[key_id] for key_id in self.draft.signatures])

    @property
    def missing(self) -> tuple[int, int]:
        """How many signatures are missing of the holders of the root before, and of its own."""
        found = self.draft.signed.get_root_verification_result(
            self.previous, self.draft.signed_bytes, self.draft.signatures
        )
        before = found.first.missing if self.previous else 0
        return before, found.second.missing

    @property
    def complete(self) -> bool:
        """Whether it counts."""
        return self.missing == (0, 0)


def make_pending(draft: Metadata[Root], previous_data: bytes, where: str) -> Pending:
    """Put a draft and the root before it together, and check the signatures so far.

    Raises:
        UnknownKeyError: A signature by somebody else.
        SignatureError: An invalid signature.
    """
    previous = parse_root(previous_data, where).signed if previous_data else None
    pending = Pending(draft, previous, previous_data)
    check_signatures(draft, pending.signers, where, Root.type)
    return pending


def newest_root(release: Path) -> tuple[dict[int, bytes], Metadata[Root] | None]:
    """Return the roots of a release folder, and the newest; None if the first is not complete.

    Raises:
        UsageError: It is no release folder.
        TrustError: A root is damaged, or does not follow from the one before it.
    """
    require_release(release)
    roots = read_roots(BundleDirectory(release), "")
    if set(roots) == {1} and not make_pending(parse_root(roots[1], FIRST_ROOT), b"", "").complete:
        return roots, None
    return roots, check_chain(roots, "")[-1]


def read_pending(release: Path) -> Pending | None:
    """Return the root that waits for signatures, if there is one.

    Raises:
        UsageError: It is no release folder.
        TrustError: A root or the draft is damaged.
    """
    roots, newest = newest_root(release)
    if newest is None:
        return make_pending(parse_root(roots[1], FIRST_ROOT), b"", FIRST_ROOT)
    version = newest.signed.version + 1
    where = f"{DRAFTS}/{root_name(version)}"
    try:
        data = BundleDirectory(release).read_small(where, MAX_TRUST_FILE_BYTES)
    except MissingBlobError:
        return None
    draft = parse_root(data, where)
    if draft.signed.version != version:
        raise UsageError(
            f"{where}: expected a draft of version {version}, found {draft.signed.version}",
            "Discard it with `isoward root discard`, and make the change again.",
        )
    return make_pending(draft, roots[version - 1], where)


def require_pending(release: Path) -> Pending:
    """Return the root that waits for signatures.

    Raises:
        UsageError: There is none.
    """
    pending = read_pending(release)
    if pending is None:
        raise UsageError(
            f"{release}: there is no draft of a root",
            "Create one, for example with `isoward root add` or `isoward root refresh`.",
        )
    return pending


def amend(release: Path, changes: Sequence[Change], now: datetime) -> tuple[Pending, int]:
    """Change the draft of the next root; without one, begin it from the newest root.

    Args:
        release: A release folder with a complete root.
        changes: In their order.
        now: The clock, in UTC.
    Returns:
        The draft, without signatures, and how many signatures of an earlier draft were dropped.
    Raises:
        UsageError: The change makes no sense, or no safe root, or there is no complete root yet.
        TrustError: A root is damaged.
        StorageError: The disk refused; the folder is as it was.
    """
    with locked(release):
        roots, newest = newest_root(release)
        if newest is None:
            raise UsageError(
                f"{release / FIRST_ROOT}: the first root is not complete yet",
                "Its holders must sign it with `isoward root sign`, or create a new one.",
            )
        begun = read_pending(release)
        root = _next_root(newest.signed, begun)
        for change in changes:
            change(root)
        check_policy(root, "the requested root", UsageError)
        _check_next(root, roots, now)
        pending = Pending(Metadata(root), newest.signed, roots[newest.signed.version])
        _write_draft(release, pending)
    return pending, len(begun.draft.signatures) if begun else 0


def _next_root(newest: Root, begun: Pending | None) -> Root:
    source = begun.draft.signed if begun else newest
    root = Root.from_dict(copy.deepcopy(source.to_dict()))
    root.version = newest.version + 1
    return root


def _check_next(root: Root, roots: dict[int, bytes], now: datetime) -> None:
    """Check what a policy for one root cannot see: the time, and those before it."""
    if root.expires <= now:
        raise UsageError(
            f"the new root would have expired on {root.expires:%Y-%m-%d}", "Give --expires-days."
        )
    if root.version > MAX_ROOTS:
        raise UsageError(
            f"a release folder holds at most {MAX_ROOTS} roots", "Start a new release folder."
        )
    history = [parse_root(data, root_name(version)).signed for version, data in roots.items()]
    newest = history[-1]
    gone = {key_id for old in history for key_id in old.keys} - set(newest.keys)
    for key_id in gone & set(root.keys):
        raise UsageError(
            f"the key {key_id[:16]} of {holder(root.keys[key_id])} was revoked by an earlier "
            "root; it cannot be used again",
            "Its holder must create a new one with `isoward keys new`.",
        )


def discard(release: Path) -> None:
    """Drop the draft, also a damaged one.

    Raises:
        UsageError: There is none.
        StorageError: The disk refused.
    """
    with locked(release):
        _, newest = newest_root(release)
        path = release / DRAFTS / root_name(newest.signed.version + 1 if newest else 1)
        if not path.is_file():
            raise UsageError(f"{release}: there is no draft of a root", "Nothing was changed.")
        _remove(path)


def sign_pending(release: Path, signer: SigningKey) -> tuple[Pending, bool]:
    """Add one signature to the root that waits for signatures; complete, it takes its place.

    Returns:
        The root as it is then, and whether a signature was added: nobody signs twice.
    Raises:
        UsageError: No root waits: another signature would change the newest one's fingerprint.
        UnknownKeyError: The signer is no root key holder of it or of the one before.
        TrustError: A root is damaged.
        StorageError: The disk refused; run again.
    """
    with locked(release):
        pending = read_pending(release)
        if pending is None:
            return _signed_before(release, signer), False
        signed = with_signature(pending, signer)
        added = len(signed.draft.signatures) > len(pending.draft.signatures)
        settle(release, signed)
    return signed, added


def newest_as_pending(release: Path) -> Pending:
    """Return the newest root in the form of one that was completed just now.

    Raises:
        UsageError: It is no release folder.
        TrustError: A root is damaged.
    """
    roots, newest = newest_root(release)
    metadata = newest or parse_root(roots[1], FIRST_ROOT)
    version = metadata.signed.version
    return make_pending(metadata, roots.get(version - 1, b""), root_name(version))


def _signed_before(release: Path, signer: SigningKey) -> Pending:
    newest = newest_as_pending(release)
    if signer.public_key.keyid in newest.draft.signatures:
        return newest
    name = root_name(newest.version)
    signer_name(newest, signer)
    raise UsageError(
        f"{name}: it has all required signatures, and there is no draft of another root",
        "A new one would change the fingerprint that sites may already have.",
    )


def signer_name(pending: Pending, signer: SigningKey) -> str:
    """Return the name under which a key may sign a root.

    Raises:
        UnknownKeyError: The signer is no root key holder of it or of the one before.
    """
    key_id = signer.public_key.keyid
    if key_id not in pending.signers:
        names = ", ".join(names_of(pending.signers.values()))
        raise UnknownKeyError(
            f"key {key_id[:16]} is not a root key here or in the previous root: those are {names}",
            "Sign with a root key holder's private key.",
        )
    return holder(pending.signers[key_id])


def with_signature(pending: Pending, signer: SigningKey) -> Pending:
    """Return a root with one signature more, or as it is if that holder has signed.

    Raises:
        UnknownKeyError: The signer is no root key holder of it or of the one before.
        SignatureError: What is signed of it has something that cannot be shown.
    """
    signer_name(pending, signer)
    read_signed_root(pending.draft.signed_bytes, root_name(pending.version))
    if signer.public_key.keyid in pending.draft.signatures:
        return pending
    draft: Metadata[Root] = Metadata.from_bytes(pending.data)
    add_signature(draft, signer)
    return Pending(draft, pending.previous, pending.previous_data)


def with_signatures(pending: Pending, signatures: dict[str, Signature]) -> Pending:
    """Return a root with checked signatures added; those that it has stay."""
    draft: Metadata[Root] = Metadata.from_bytes(pending.data)
    merged: dict[str, Any] = signatures | draft.signatures
    draft.signatures = dict(sorted(merged.items()))
    return Pending(draft, pending.previous, pending.previous_data)


def settle(release: Path, pending: Pending) -> None:
    """Write a root that was signed: into its place if it is complete, else as a draft.

    The caller holds the release folder's lock.
    """
    place = release / root_name(pending.version)
    if pending.previous is None:
        if place.read_bytes() != pending.data:
            write_atomic(place, pending.data)
    elif pending.complete:
        write_atomic(place, pending.data)
        _remove(release / DRAFTS / place.name)
    else:
        _write_draft(release, pending)


def _write_draft(release: Path, pending: Pending) -> None:
    folder = release / DRAFTS
    with storage_errors(f"create {folder}"):
        folder.mkdir(exist_ok=True)
        fsync_directory(release)
    write_atomic(folder / root_name(pending.version), pending.data)


def _remove(path: Path) -> None:
    with storage_errors(f"remove {path}"):
        path.unlink(missing_ok=True)
        fsync_directory(path.parent)


@contextmanager
def locked(release: Path) -> Iterator[None]:
    """Hold a release folder, and clear away what a command that was killed left behind.

    Raises:
        UsageError: It is no release folder.
        BusyError: Another process holds it.
    """
    require_release(release)
    drafts = release / DRAFTS
    with directory_lock(release):
        remove_stale_temporaries(release)
        if drafts.is_dir() and not drafts.is_symlink():
            remove_stale_temporaries(drafts)
            with storage_errors(f"clean {drafts}"):
                done = [path for path in drafts.iterdir() if (release / path.name).exists()]
            for path in done:
                _remove(path)
        yield
