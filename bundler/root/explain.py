"""What signing a root would mean, in plain words: what changes, what holds then, who counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from securesystemslib.signer import Key
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from bundle.base.digest import digest_of
from bundle.trust.keys.schemes import type_name
from bundle.trust.keys.stored import holder
from bundle.trust.metadata.fingerprint import fingerprint_groups
from bundle.trust.metadata.parse import keys_of
from bundle.trust.metadata.restrictions import product_of
from bundle.trust.metadata.root import ROLES, folded_name, root_name
from bundle.trust.metadata.signed import read_signed_root
from bundler.root.draft import Pending

_BECOMES: Final = {
    Root.type: "holds a root key, and decides with others who holds keys",
    Targets.type: "is an approver, and decides with others what is released",
    Snapshot.type: "is the build system (snapshot)",
    Timestamp.type: "is the build system (timestamp)",
}
_LEAVES: Final = {
    Root.type: "no longer holds a root key",
    Targets.type: "is no longer an approver",
    Snapshot.type: "is no longer the build system (snapshot)",
    Timestamp.type: "is no longer the build system (timestamp)",
}
_ROLE_WORDS: Final = {
    Root.type: "root key holder",
    Targets.type: "approver",
    Snapshot.type: "build system (snapshot)",
    Timestamp.type: "build system (timestamp)",
}
_NEEDED: Final = {
    Root.type: "signatures needed to change the root",
    Targets.type: "approvals needed for a release",
    Snapshot.type: "build system signatures needed (snapshot)",
    Timestamp.type: "build system signatures needed (timestamp)",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A root that waits for signatures, for the person who is asked to sign it.

    Attributes:
        version: That it is to be.
        present: Version of the root before it; 0 if there is none.
        present_fingerprint: Of the root before it; empty if there is none.
        check_value: Digest of what is signed, the same on every holder's machine.
        changes: One sentence each.
        roles: What holds then, one line a role.
        signed_by: Holders who signed.
        missing: Signatures missing of the holders of the root before, and of its own.
    """

    version: int
    present: int
    present_fingerprint: str
    check_value: str
    changes: tuple[str, ...]
    roles: tuple[str, ...]
    signed_by: tuple[str, ...]
    missing: tuple[int, int]


def explain(pending: Pending) -> Explanation:
    """Say what a root that waits for signatures would change.

    Raises:
        SignatureError: What is signed of it has something that cannot be shown.
    """
    read_signed_root(pending.draft.signed_bytes, root_name(pending.version))
    root, previous = pending.draft.signed, pending.previous
    return Explanation(
        version=root.version,
        present=previous.version if previous else 0,
        present_fingerprint=digest_of(pending.previous_data) if previous else "",
        check_value=pending.check_value,
        changes=tuple(_changes(previous, root)) if previous else (),
        roles=tuple(_whole(root)),
        signed_by=pending.signed_by,
        missing=pending.missing,
    )


def _changes(old: Root, new: Root) -> Iterator[str]:
    for role in ROLES:
        before, after = keys_of(old, role), keys_of(new, role)
        left = {folded_name(key): key for k, key in before.items() if k not in after}
        came = {folded_name(key): key for k, key in after.items() if k not in before}
        for name, key in came.items():
            if name in left:
                yield (
                    f"{holder(key)}, {_ROLE_WORDS[role]}, gets a new key: "
                    f"{_key(left[name])} -> {_key(key)}"
                )
            else:
                yield f"{holder(key)} {_BECOMES[role]}: key {_key(key)}"
        for name, key in left.items():
            if name not in came:
                yield f"{holder(key)} {_LEAVES[role]}: key {_key(key)}"
        was, will_be = old.roles[role].threshold, new.roles[role].threshold
        if was != will_be:
            yield f"{_NEEDED[role]}: {was} -> {will_be}"
    yield from _other_changes(old, new)


def _other_changes(old: Root, new: Root) -> Iterator[str]:
    for key_id in sorted(set(old.keys) & set(new.keys)):
        if holder(old.keys[key_id]) != holder(new.keys[key_id]):
            yield f"{holder(old.keys[key_id])} is now called {holder(new.keys[key_id])}"
    if old.expires != new.expires:
        yield f"the root is valid until {new.expires:%Y-%m-%d} (was {old.expires:%Y-%m-%d})"
    if product_of(old) != product_of(new):
        was, will_be = (product_of(root) or "any product" for root in (old, new))
        yield f"the root is for {will_be} (was {was})"


def _whole(root: Root) -> Iterator[str]:
    for role in ROLES:
        keys = keys_of(root, role).values()
        names = ", ".join(f"{holder(key)} ({_key(key)})" for key in keys)
        yield f"{_ROLE_WORDS[role]}: {root.roles[role].threshold} of {names}"
    yield f"valid until {root.expires:%Y-%m-%d}"
    if product_of(root):
        yield f"for the product {product_of(root)} only"


def _key(key: Key) -> str:
    return f"{type_name(key)} {key.keyid[:16]}"


def counts_for(pending: Pending, key_id: str) -> tuple[str, ...]:
    """Say for which thresholds a holder's signature counts."""
    parts = []
    if pending.previous and key_id in keys_of(pending.previous, Root.type):
        parts.append(f"the present root (version {pending.previous.version})")
    if key_id in keys_of(pending.draft.signed, Root.type):
        parts.append(f"the new root (version {pending.version})")
    return tuple(parts)


def page(told: Explanation) -> list[str]:
    """Write an explanation for a terminal."""
    lines = [f"This is root version {told.version}: it decides who may do what."]
    if told.present:
        lines += [
            f"It replaces version {told.present}, whose fingerprint is",
            *_indented(fingerprint_groups(told.present_fingerprint)),
            "",
            "What changes:",
            *(f"  - {change}" for change in told.changes or ("only the version",)),
        ]
    else:
        lines.append("It is the first root: there is no earlier one to compare with.")
    lines += ["", "The complete new state:", *(f"  {line}" for line in told.roles)]
    lines += ["", f"Signed so far by: {', '.join(told.signed_by) or 'nobody'}", _missing(told)]
    return [
        *lines,
        "",
        "Check value of what is signed; every signer sees the same one:",
        *_indented(fingerprint_groups(told.check_value)),
    ]


def _missing(told: Explanation) -> str:
    before, own = told.missing
    if not before and not own:
        return "It has all required signatures."
    parts = []
    if before:
        parts.append(f"{before} of version {told.present}'s root key holders")
    if own:
        parts.append(f"{own} of version {told.version}'s")
    return f"Still needed: {' and '.join(parts)}; one key can be both."


MEANING: Final = (
    (
        "What it means: once enough holders have signed, every site that trusts the present root "
        "accepts this one automatically. Removed holders no longer count there; new ones do. It "
        "cannot be undone, only followed by another version."
    ),
    (
        "Before you sign: compare the check value, and the fingerprint of the present root, with "
        "what you were told by phone or have on paper; whoever made this file can put anything "
        "in it."
    ),
)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
