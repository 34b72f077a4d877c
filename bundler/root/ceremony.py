"""The key ceremony: making the first root and signing it, together or one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Role, Root, Snapshot, Targets, Timestamp

from bundle.base.errors import UnknownKeyError, UsageError
from bundle.store.atomic import directory_lock, write_atomic
from bundle.trust.keys.stored import SigningKey
from bundle.trust.keys.terms import BUILDER_THRESHOLD
from bundle.trust.metadata.fingerprint import RootDescription, describe_root
from bundle.trust.metadata.parse import add_signature
from bundle.trust.metadata.restrictions import PRODUCT_FIELD
from bundle.trust.metadata.root import FIRST_ROOT, check_policy, root_name
from bundler.root.draft import sign_pending

_IGNORED: Final = b".lock\n.*.tmp\n"


@dataclass(frozen=True, slots=True)
class RootPlan:
    """Who will hold what.

    Attributes:
        root_keys: Of those who can change the root itself.
        root_threshold: How many of them must sign it.
        approvers: Keys of the targets role.
        approvals: How many of them must approve a release.
        builder: The build system's key: snapshot and timestamp.
        expires: In UTC.
        product: The name that every bundle must have; empty if any may.
    """

    root_keys: tuple[Key, ...]
    root_threshold: int
    approvers: tuple[Key, ...]
    approvals: int
    builder: Key
    expires: datetime
    product: str = ""


def create_root(
    release: Path, plan: RootPlan, signers: Sequence[SigningKey], now: datetime
) -> RootDescription:
    """Make the first root of a release folder.

    Args:
        release: A folder that has no root yet; it is made if need be.
        plan: Who will hold what.
        signers: Root keys that sign now; the others do so with `sign_root`.
        now: The clock, in UTC.
    Raises:
        UsageError: The plan is not a safe one, or there is a root already.
        UnknownKeyError: A signer holds no root key.
        StorageError: The disk refused.
    """
    metadata = Metadata(_root(plan))
    check_policy(metadata.signed, "the requested root", UsageError)
    if plan.expires <= now:
        raise UsageError("the root would expire immediately", "Give more days.")
    for signer in signers:
        _sign(metadata, signer)
    with directory_lock(release):
        if (release / FIRST_ROOT).exists():
            raise UsageError(
                f"{release / FIRST_ROOT}: the release folder already has a root",
                "The first root is created once; to sign it, use `isoward root sign`.",
            )
        data = metadata.to_bytes()
        if not (release / ".gitignore").exists():
            write_atomic(release / ".gitignore", _IGNORED)
        write_atomic(release / FIRST_ROOT, data)
    return describe_root(data, FIRST_ROOT)


def _root(plan: RootPlan) -> Root:
    builder = (plan.builder,)
    parts = (
        (Root.type, plan.root_keys, plan.root_threshold),
        (Targets.type, plan.approvers, plan.approvals),
        (Snapshot.type, builder, BUILDER_THRESHOLD),
        (Timestamp.type, builder, BUILDER_THRESHOLD),
    )
    keys: dict[str, Key] = {}
    roles: dict[str, Role] = {}
    for name, held, threshold in parts:
        ids = [key.keyid for key in held]
        if len(set(ids)) != len(ids):
            raise UsageError(
                f"duplicate public key for the role {name}", "Each holder has one key."
            )
        if threshold < 1:
            raise UsageError(f"the role {name} needs a threshold of at least 1", "Give a number.")
        for key in held:
            if keys.setdefault(key.keyid, key).unrecognized_fields != key.unrecognized_fields:
                raise UsageError(
                    f"key {key.keyid[:16]} is given under two holders' names",
                    "Use the same .pub file in both places.",
                )
        roles[name] = Role(ids, threshold)
    fields = {PRODUCT_FIELD: plan.product} if plan.product else {}
    return Root(
        expires=plan.expires,
        keys=keys,
        roles=roles,
        consistent_snapshot=False,
        unrecognized_fields=fields,
    )


def sign_root(release: Path, signer: SigningKey) -> tuple[RootDescription, bool]:
    """Add one signature to a root that is not complete yet: the first one, or a draft.

    Returns:
        The root, and whether a signature was added: nobody signs twice.
    Raises:
        UsageError: There is none; another signature would change the newest one's fingerprint.
        UnknownKeyError: The signer holds no root key.
        TrustError: A root is malformed.
    """
    pending, added = sign_pending(release, signer)
    return describe_root(pending.data, root_name(pending.version)), added


def _sign(metadata: Metadata[Root], signer: SigningKey) -> None:
    key_id = signer.public_key.keyid
    if key_id not in metadata.signed.roles[Root.type].keyids:
        raise UnknownKeyError(
            f"key {key_id[:16]} is not a root key of this root",
            "Sign with a root key's private file.",
        )
    add_signature(metadata, signer)
