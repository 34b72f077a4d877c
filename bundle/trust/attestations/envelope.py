"""Signing and verifying: DSSE envelopes, detached signatures, and public keys for stock tools.

Signatures are over what stock tools verify: for an envelope DSSE's pre-authentication encoding, for
a detached signature the file itself. Neither can be confused with TUF metadata or with the other:
the three start with different bytes.

Source: DSSE v1.0, "Protocol"; in-toto Attestation Framework v1, "Statement"; RFC 5280, section 4.1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Key, Signature

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.errors import AttestationError, FormatError, KeyFileError
from bundle.model.attestation import (
    PAYLOAD_TYPE,
    Envelope,
    EnvelopeSignature,
    Statement,
    make_statement,
    parse_envelope,
    parse_statement,
    pre_authentication_encoding,
)
from bundle.store.advice import CHANGED
from bundle.trust.keys.schemes import is_canonical
from bundle.trust.keys.stored import SigningKey, holder

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class About:
    """What a statement of ours is about.

    Attributes:
        name: Such as `bundle.json`.
        digest: Of its bytes.
    """

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A statement whose envelope verified.

    Attributes:
        statement: Authenticated.
        payload: Its bytes.
        signers: The keys that signed, at least one, each once.
    """

    statement: Statement
    payload: bytes
    signers: tuple[Key, ...]


def sign_statement(payload: bytes, *signers: SigningKey) -> bytes:
    """Wrap a statement in an envelope, signed by each of `signers`."""
    message = pre_authentication_encoding(PAYLOAD_TYPE, payload)
    return add_signatures(_envelope(payload, ()), message, signers)


def add_signatures(envelope: Envelope, message: bytes, signers: tuple[SigningKey, ...]) -> bytes:
    """Return an envelope with more signatures; one that is there already stays."""
    found = {signature.keyid: signature for signature in envelope.signatures}
    for signer in signers:
        key_id = signer.public_key.keyid
        made = bytes.fromhex(signer.sign(message).signature)
        text = base64.b64encode(made).decode("ascii")
        found.setdefault(key_id, EnvelopeSignature(keyid=key_id, sig=text))
    signatures = tuple(found[key_id] for key_id in sorted(found))
    return canonical_json(
        Envelope(
            payload_type=envelope.payload_type, payload=envelope.payload, signatures=signatures
        )
    )


def _envelope(payload: bytes, signatures: tuple[EnvelopeSignature, ...]) -> Envelope:
    return Envelope(
        payload_type=PAYLOAD_TYPE,
        payload=base64.b64encode(payload).decode("ascii"),
        signatures=signatures,
    )


def open_envelope(data: bytes, keys: Mapping[str, Key], where: str) -> Opened:
    """Verify an envelope: every signature in it, each by one of `keys`.

    Args:
        data: Untrusted, bounded by the caller.
        keys: Who may sign, by key id. The key id in the envelope only says which one to try.
        where: The file's name, for messages.
    Raises:
        AttestationError: Not our form of an envelope, an invalid signature, or one by
            another key.
    """
    envelope, payload = parse_envelope(data, where)
    if envelope.payload_type != PAYLOAD_TYPE:
        raise _refuse(where, f"expected a payload of type {PAYLOAD_TYPE}, found another")
    if canonical_json(_envelope(payload, envelope.signatures)) != data:
        raise _refuse(where, "expected canonical JSON, found another encoding")
    message = pre_authentication_encoding(PAYLOAD_TYPE, payload)
    signers: dict[str, Key] = {}
    for signature in envelope.signatures:
        key = keys.get(signature.keyid)
        if key is None:
            raise _refuse(where, f"signed by key {signature.keyid[:16]!r}, which may not sign this")
        if key.keyid in signers or not _verifies(key, signature.sig, message):
            raise _refuse(where, f"the signature of {holder(key)} is not valid")
        signers[key.keyid] = key
    return Opened(parse_statement(payload, where), payload, tuple(signers.values()))


def predicate_of(
    opened: Opened, about: About, predicate_type: str, type_: type[T], where: str
) -> T:
    """Return the predicate of a statement of ours, which is about one thing and says nothing else.

    Args:
        opened: Verified.
        about: The thing.
        predicate_type: What the statement must be.
        type_: The predicate's structure.
        where: The file's name, for messages.
    Raises:
        AttestationError: It is about something else, of another type, or malformed.
    """
    statement = opened.statement
    if statement.predicate_type != predicate_type:
        raise _refuse(
            where, f"expected a statement {predicate_type}, found {statement.predicate_type[:100]}"
        )
    expected = make_statement(about.name, about.digest, predicate_type, statement.predicate)
    if opened.payload != expected:
        raise _refuse(
            where,
            f"expected a statement about {about.name} {about.digest} alone, found something else",
        )
    try:
        return decode_canonical(canonical_json(statement.predicate), type_, where)
    except FormatError as error:
        raise AttestationError(error.message, CHANGED, {"file": where}) from error


def detached_signature(data: bytes, signer: SigningKey) -> bytes:
    """Sign a file itself, as `cosign sign-blob` does: base64 in one line."""
    return base64.b64encode(bytes.fromhex(signer.sign(data).signature)) + b"\n"


def check_detached(signature: bytes, data: bytes, key: Key, where: str) -> None:
    """Verify a detached signature.

    Raises:
        AttestationError: It is not valid, or not in canonical form.
    """
    text = signature.removesuffix(b"\n").decode("ascii", "replace")
    if not signature.endswith(b"\n") or not _verifies(key, text, data):
        raise _refuse(where, f"the signature of {holder(key)} is not valid")


def public_pem(key: Key) -> bytes:
    """Return a public key as PEM (SubjectPublicKeyInfo), the form that stock tools read.

    Raises:
        KeyFileError: The key is of no type that can be written so.
    """
    value = key.keyval.get("public", "")
    try:
        public = (
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(value))
            if key.keytype == "ed25519"
            else load_pem_public_key(value.encode("ascii"))
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"key {key.keyid[:16]} of {holder(key)} cannot be written as PEM",
            "Make keys with `isoward keys new`.",
        ) from error
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _verifies(key: Key, text: str, message: bytes) -> bool:
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    if base64.b64encode(signature).decode("ascii") != text:
        return False
    made = Signature(key.keyid, signature.hex())
    if not is_canonical(key, made):
        return False
    try:
        key.verify_signature(made, message)
    except UnverifiedSignatureError:
        return False
    return True


def _refuse(where: str, why: str) -> AttestationError:
    return AttestationError(f"{where}: {why}", CHANGED, {"file": where})
