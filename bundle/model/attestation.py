"""Attestations: in-toto statements in DSSE envelopes, as values.

Signing and verifying are bundle.trust's; here are the shapes, and the bytes that are signed.

Source: in-toto Attestation Framework v1, "Statement"; DSSE v1.0, "Protocol" and "Envelope".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from bundle.base.canonical import canonical_json
from bundle.base.errors import AttestationError
from bundle.base.limits import MIB

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
VERIFICATION_SUMMARY: Final = "https://slsa.dev/verification_summary/v1"
CHANGES: Final = "urn:isoward:changes:v1"
APPROVAL: Final = "urn:isoward:approval:v1"
WAIVER: Final = "urn:isoward:waiver:v1"
RECOVERY: Final = "urn:isoward:recovery:v1"
MAX_ENVELOPE_BYTES: Final = 16 * MIB
"""An SBOM in an upstream attestation may be large; our own are a few KiB."""

_MAX_SIGNATURES: Final = 64
_Base64 = Annotated[str, msgspec.Meta(max_length=2 * MAX_ENVELOPE_BYTES)]


class Subject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a statement is about.

    Unknown fields are ignored here and below, as the in-toto specification requires.
    """

    digest: Mapping[str, str]
    name: str = ""


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An in-toto statement."""

    type: Literal["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"] = (
        msgspec.field(name="_type")
    )
    subject: Annotated[tuple[Subject, ...], msgspec.Meta(min_length=1, max_length=1000)]
    predicate_type: Annotated[str, msgspec.Meta(max_length=1024)]
    predicate: Mapping[str, Any] = {}


class EnvelopeSignature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature of an envelope; `keyid` is only a hint, and nothing relies on it."""

    sig: Annotated[str, msgspec.Meta(max_length=16384)]
    keyid: str = ""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A DSSE envelope."""

    payload_type: str
    payload: _Base64
    signatures: Annotated[
        tuple[EnvelopeSignature, ...], msgspec.Meta(min_length=1, max_length=_MAX_SIGNATURES)
    ]


def make_statement(
    name: str, digest: str, predicate_type: str, predicate: Mapping[str, Any]
) -> bytes:
    """Make the payload of an attestation about one subject.

    Args:
        name: Of the thing, such as `bundle.json`.
        digest: `sha256:<hex>`.
        predicate_type: A URI.
        predicate: Plain data.
    Returns:
        Canonical JSON.
    """
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: PAE("DSSEv1", type, payload)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_envelope(data: bytes, where: str) -> tuple[Envelope, bytes]:
    """Parse an envelope and decode its payload, which is not authenticated by that.

    Raises:
        AttestationError: Too large, or not an envelope.
    """
    if len(data) > MAX_ENVELOPE_BYTES:
        raise _refuse(where, f"expected at most {MAX_ENVELOPE_BYTES} bytes, found {len(data)}")
    try:
        envelope = msgspec.json.decode(data, type=Envelope)
        payload = base64.b64decode(envelope.payload, validate=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        # base64 reports characters outside ASCII as a plain ValueError.
        raise _refuse(where, f"not a DSSE envelope: {error}") from error
    return envelope, payload


def parse_statement(payload: bytes, where: str) -> Statement:
    """Parse a payload as an in-toto statement; call it after the signature was verified.

    Raises:
        AttestationError: Not a statement.
    """
    try:
        return msgspec.json.decode(payload, type=Statement)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refuse(where, f"not an in-toto statement: {error}") from error


def _refuse(where: str, why: str) -> AttestationError:
    return AttestationError(
        f"{where}: {why}", "The file is damaged or forged; do not use this bundle."
    )
