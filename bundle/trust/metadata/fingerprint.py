"""Roots and fingerprints in a form that people can read and type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tuf.api.metadata import Root

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import UsageError
from bundle.trust.keys.stored import holder
from bundle.trust.metadata.parse import keys_of, names_of
from bundle.trust.metadata.restrictions import product_of
from bundle.trust.metadata.root import ROLES, parse_root

ROLE_WORDS: Final = {
    "root": "root keys",
    "targets": "approvers",
    "snapshot": "build system (snapshot)",
    "timestamp": "build system (timestamp)",
}
"""Names of the TUF roles for people, used everywhere."""

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RoleDescription:
    """A role: its name, how many of its keys must sign, and its keys as (holder, key id)."""

    name: str
    threshold: int
    keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RootDescription:
    """A root, for display.

    Attributes:
        version: Starts at 1.
        fingerprint: Digest of the file.
        expires: In UTC.
        roles: root, targets (the approvers), snapshot, timestamp (the build system).
        signed_by: Holders whose signatures verify.
        missing: How many signatures are missing before it is valid.
        product: The name that every bundle must have; empty if any may.
    """

    version: int
    fingerprint: str
    expires: datetime
    roles: tuple[RoleDescription, ...]
    signed_by: tuple[str, ...]
    missing: int
    product: str = ""


def describe_root(data: bytes, where: str) -> RootDescription:
    """Describe a root, complete or still being signed.

    Raises:
        TrustError: Malformed, or against the policy.
    """
    metadata = parse_root(data, where)
    root = metadata.signed
    result = root.get_verification_result(Root.type, metadata.signed_bytes, metadata.signatures)
    return RootDescription(
        version=root.version,
        fingerprint=digest_of(data),
        expires=root.expires,
        roles=tuple(
            RoleDescription(
                name,
                root.roles[name].threshold,
                tuple((holder(key), key_id) for key_id, key in keys_of(root, name).items()),
            )
            for name in ROLES
        ),
        signed_by=names_of(result.signed.values()),
        missing=result.missing,
        product=product_of(root),
    )


def fingerprint_groups(fingerprint: str) -> list[str]:
    """Split a fingerprint into groups of four, eight per line, for reading aloud."""
    text = hex_of(fingerprint)
    groups = [text[i : i + 4] for i in range(0, len(text), 4)]
    return [" ".join(groups[i : i + 8]) for i in range(0, len(groups), 8)]


def plain_fingerprint(text: str) -> str:
    """Return a typed fingerprint without groups, case and `sha256:`; unchecked."""
    # Groups are separated by spaces, dots, dashes of every kind, or invisible characters.
    plain = "".join(character for character in text.lower() if character.isalnum())
    return plain.removeprefix("sha256").removeprefix("fingerprint")


def parse_fingerprint(text: str) -> str:
    """Parse a typed fingerprint: any case, spaces, with or without `sha256:`.

    Raises:
        UsageError: Not 64 hexadecimal characters.
    """
    plain = plain_fingerprint(text)
    if not _FINGERPRINT.fullmatch(plain):
        raise UsageError(
            f"expected a fingerprint of 64 hexadecimal characters, found {len(plain)} characters",
            "Use the value that the vendor read from `isoward root show`.",
        )
    return f"sha256:{plain}"
