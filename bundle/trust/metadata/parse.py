"""Reads TUF metadata more strictly than TUF requires.

python-tuf counts the valid signatures and ignores the others, and accepts any encoding of JSON.
That is too lenient for a medium that must be proven unchanged: here every byte counts. These checks
only ever refuse; python-tuf alone decides what is trusted.

Source: TUF specification 1.0, section 4.2 "File formats: general principles".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from bundle.base.errors import (
    ExpiredError,
    KeyFileError,
    RevokedKeyError,
    SignatureError,
    ThresholdError,
    UnknownKeyError,
)
from bundle.base.limits import MAX_SAFE_INTEGER, MAX_TRUST_DEPTH
from bundle.store.advice import CHANGED, NOT_THIS
from bundle.trust.keys.schemes import is_canonical, is_signature_text
from bundle.trust.keys.stored import SigningKey, holder

T = TypeVar("T", Root, Timestamp, Snapshot, Targets)
AnySigned = Root | Timestamp | Snapshot | Targets

_KEY_ID: Final = re.compile(r"[0-9a-f]{64}")
_NESTING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A string, which hides its brackets, or a bracket.

A string need not end: to look for the end again from every quote would take minutes, and a file
that ends within one is refused by the parser.
"""


def parse_metadata(data: bytes, kind: type[T], where: str) -> Metadata[T]:
    """Parse one metadata file; that alone makes nothing in it trusted.

    Args:
        data: Untrusted, bounded by the caller.
        kind: The role that it must be.
        where: The file's name, for messages.
    Raises:
        SignatureError: Malformed, of another role, or not in canonical form.
    """
    _check_depth(data, where)
    try:
        metadata: Metadata[T] = Metadata.from_bytes(data)
        # The signed part must be fit to be signed again, and the whole to be written again.
        spelling = metadata.to_bytes() if metadata.signed_bytes else b""
    except (RepositoryError, RecursionError) as error:
        raise SignatureError(
            f"{where}: expected TUF metadata, found something else", CHANGED
        ) from error
    if not isinstance(metadata.signed, kind):
        raise SignatureError(
            f"{where}: expected metadata of the role {kind.type}, found {metadata.signed.type}",
            CHANGED,
        )
    version: object = metadata.signed.version
    if type(version) is not int or version > MAX_SAFE_INTEGER:
        raise SignatureError(f"{where}: its version is not an integer", CHANGED)
    if not all(map(_is_plain, metadata.signatures.values())):
        raise SignatureError(f"{where}: a signature is malformed or has unsigned fields", CHANGED)
    if metadata.unrecognized_fields or spelling != data:
        raise SignatureError(
            f"{where}: expected compact JSON without unsigned fields, found another encoding",
            CHANGED,
        )
    return metadata


def _check_depth(data: bytes, where: str) -> None:
    """Bound the nesting before a parser sees it, so that no parser's own limit is needed.

    Raises:
        SignatureError: Nested deeper than any metadata is.
    """
    depth = 0
    for found in _NESTING.finditer(data):
        token = found[0][:1]
        depth += (token in b"[{") - (token in b"]}")
        if depth > MAX_TRUST_DEPTH:
            raise SignatureError(
                f"{where}: expected JSON nested at most {MAX_TRUST_DEPTH} deep, found deeper",
                NOT_THIS,
            )


def _is_plain(signature: Signature) -> bool:
    """Return whether a signature is what we write; python-tuf does not look at its values' types.

    Upper-case or spaced hexadecimal would be read as the same bytes.
    """
    values: tuple[object, object] = (signature.keyid, signature.signature)
    texts = [value for value in values if isinstance(value, str)]
    return (
        len(texts) == len(values)
        and _KEY_ID.fullmatch(texts[0]) is not None
        and is_signature_text(texts[1])
        and not signature.unrecognized_fields
    )


def keys_of(root: Root, role: str) -> dict[str, Key]:
    """Return the keys of a role by key id."""
    return {key_id: root.keys[key_id] for key_id in root.roles[role].keyids}


def check_signatures(
    metadata: Metadata[Any],
    keys: dict[str, Key],
    where: str,
    role: str,
    retired: Mapping[str, Key] = MappingProxyType({}),
) -> tuple[Key, ...]:
    """Check that every signature is valid and by one of `keys`.

    Args:
        metadata: Parsed.
        keys: Of the role, by key id.
        where: The file's name, for messages.
        role: For messages.
        retired: Keys that an earlier root named for the role, to tell which error it is.
    Returns:
        The keys that signed, in the file's order.
    Raises:
        RevokedKeyError: A signature by a revoked key.
        UnknownKeyError: A signature by another key.
        SignatureError: An invalid signature.
    """
    payload = metadata.signed_bytes
    for key_id, signature in metadata.signatures.items():
        if key_id not in keys and key_id in retired:
            raise RevokedKeyError(
                f"{where}: signed by the key {key_id[:16]} of {holder(retired[key_id])}, which a "
                f"newer root revoked for the role {role}",
                "Do not use this bundle; ask the vendor whether it is genuine.",
                {"file": where, "keyId": key_id},
            )
        if key_id not in keys:
            raise UnknownKeyError(
                f"{where}: signed by key {key_id[:16]}, which is not a key of the role {role}",
                "Someone unauthorized signed it, or the file was changed.",
            )
        if not _verifies(keys[key_id], signature, payload):
            raise SignatureError(
                f"{where}: the signature of {holder(keys[key_id])} is not valid", CHANGED
            )
    return tuple(keys[key_id] for key_id in metadata.signatures)


def _verifies(key: Key, signature: Signature, payload: bytes) -> bool:
    if not is_canonical(key, signature):
        return False
    try:
        key.verify_signature(signature, payload)
    except UnverifiedSignatureError:
        return False
    return True


def add_signature(metadata: Metadata[Any], signer: SigningKey) -> None:
    """Add a signature to metadata, keeping the signatures in the order of key ids.

    Raises:
        KeyFileError: The key could not sign: a token refused.
    """
    try:
        metadata.sign(signer, append=True)
    except UnsignedMetadataError as error:
        # python-tuf wraps what a signer raises; a token's own message says what to do.
        cause = error.__cause__
        raise (cause if isinstance(cause, KeyFileError) else error) from error
    metadata.signatures = dict(sorted(metadata.signatures.items()))


def check_threshold(metadata: Metadata[Any], root: Root, where: str) -> None:
    """Check that enough keys of the role signed, as python-tuf counts.

    Raises:
        ThresholdError: Too few.
    """
    role = metadata.signed.type
    result = root.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    if result.verified:
        return
    names = ", ".join(holder(key) for key in result.signed.values()) or "nobody yet"
    what = "approvals" if role == Targets.type else f"signatures of the role {role}"
    advice = (
        f"Ask {result.missing} more of the approvers to run `isoward approve`."
        if role == Targets.type
        else "Ask the vendor for a complete bundle."
    )
    raise ThresholdError(
        f"{where}: {len(result.signed)} of {result.threshold} {what} ({names})",
        advice,
        {"found": len(result.signed), "expected": result.threshold},
    )


def check_unexpired(signed: AnySigned, where: str, now: datetime) -> None:
    """Check the expiry of one file against a given clock.

    Raises:
        ExpiredError: At or past it.
    """
    if signed.is_expired(now):
        raise ExpiredError(
            f"{where}: expired on {signed.expires:%Y-%m-%d %H:%M} UTC; "
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC",
            "If the clock is right, ask the vendor for a release with fresh metadata.",
            {"file": where, "expired": signed.expires.isoformat()},
        )


def names_of(keys: Collection[Key]) -> tuple[str, ...]:
    """Return the holders of `keys`."""
    return tuple(holder(key) for key in keys)
