"""Changes of a root: who joins, who leaves, whose key is replaced, how many must sign.

Each takes a root that is not signed yet and changes it in place; whether the result is safe is
`check_policy`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Final

from securesystemslib.signer import Key
from tuf.api.metadata import Role, Root, Snapshot, Targets, Timestamp

from bundle.base.errors import UsageError
from bundle.model.people import folded
from bundle.trust.keys.stored import holder
from bundle.trust.metadata.parse import keys_of
from bundle.trust.metadata.root import ROLES, folded_name

Change = Callable[[Root], None]
"""Changes a root in place."""

PERSONS: Final = (Root.type, Targets.type)
_MACHINE: Final = (Snapshot.type, Timestamp.type)


def add(root_keys: Collection[Key], approvers: Collection[Key]) -> Change:
    """Let people hold a root key, or approve."""

    def change(root: Root) -> None:
        if not root_keys and not approvers:
            raise UsageError("no key was given", "Give --approver or --root-key.")
        for role, keys in ((Root.type, root_keys), (Targets.type, approvers)):
            for key in keys:
                _put(root, root.roles[role], key)

    return change


def _put(root: Root, role: Role, key: Key, place: int | None = None) -> None:
    if key.keyid in role.keyids:
        raise UsageError(
            f"the key {key.keyid[:16]} of {holder(key)} already has that role",
            "See `isoward root show`.",
        )
    if root.keys.setdefault(key.keyid, key).unrecognized_fields != key.unrecognized_fields:
        raise UsageError(
            f"key {key.keyid[:16]} is held by {holder(root.keys[key.keyid])}, not {holder(key)}",
            "A key has one holder: use the same .pub file in both places.",
        )
    if place is None:
        role.keyids.append(key.keyid)
    else:
        role.keyids[place] = key.keyid


def retire(name: str, roles: Collection[str] = PERSONS) -> Change:
    """Take a person's keys away.

    Args:
        name: Of the holder.
        roles: From which roles.
    """

    def change(root: Root) -> None:
        held = _held_by(root, name, PERSONS)
        if not held.keys() & set(roles):
            raise _nobody(root, name, roles)
        for role in held.keys() & set(roles):
            root.roles[role].keyids.remove(held[role])
        _drop_unused(root)

    return change


def rotate(name: str, new: Key) -> Change:
    """Replace a holder's key, a person's or the build system's, in every role that it has."""

    def change(root: Root) -> None:
        held = _held_by(root, name, ROLES)
        if not held:
            raise _nobody(root, name, ROLES)
        for role, key_id in held.items():
            keyids = root.roles[role].keyids
            _put(root, root.roles[role], new, keyids.index(key_id))
        _drop_unused(root)

    return change


def set_thresholds(root_threshold: int | None, approvals: int | None) -> Change:
    """Say anew how many root key holders must sign the root, and how many approvers a release."""

    def change(root: Root) -> None:
        if root_threshold is None and approvals is None:
            raise UsageError("no threshold was given", "Give --root-keys or --approvals.")
        for role, number in ((Root.type, root_threshold), (Targets.type, approvals)):
            if number is not None and number < 1:
                raise UsageError(f"the role {role} needs a threshold of at least 1", "Give more.")
            root.roles[role].threshold = number or root.roles[role].threshold

    return change


def expire(moment: datetime) -> Change:
    """Say anew until when the root is valid."""

    def change(root: Root) -> None:
        root.expires = moment

    return change


def _held_by(root: Root, name: str, roles: Iterable[str]) -> dict[str, str]:
    """Find a holder's key in each role; a role names a holder once."""
    wanted = folded(name)
    return {
        role: key_id
        for role in roles
        for key_id, key in keys_of(root, role).items()
        if folded_name(key) == wanted
    }


def _drop_unused(root: Root) -> None:
    used = {key_id for role in root.roles.values() for key_id in role.keyids}
    for key_id in set(root.keys) - used:
        del root.keys[key_id]


def _nobody(root: Root, name: str, roles: Iterable[str]) -> UsageError:
    builders = _held_by(root, name, _MACHINE)
    if builders:
        return UsageError(
            f"{name} is the build system, without which nothing can be released",
            "Replace its key with `isoward root rotate`.",
        )
    names = sorted({holder(key) for role in roles for key in keys_of(root, role).values()})
    return UsageError(
        f"{name} does not hold such a key; holders are {', '.join(names)}",
        "Give the name as `isoward root show` prints it.",
    )
