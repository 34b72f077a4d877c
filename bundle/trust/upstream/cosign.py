"""What cosign puts under its tags: simple signing, and DSSE envelopes, each a layer.

Source: cosign's SIGNATURE_SPEC and ATTESTATION_SPEC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from bundle.base.errors import AttestationError
from bundle.model.attestation import parse_envelope, pre_authentication_encoding
from bundle.trust.upstream.in_toto import (
    SIMPLE_SIGNING,
    check_simple_signing,
    judge_statement,
)
from bundle.trust.upstream.public_keys import UpstreamKey, decode_base64
from bundle.trust.upstream.strict_json import strict_object
from bundle.trust.upstream.verdict import (
    Bad,
    Good,
    NotGoodError,
    SignatureManifest,
    Subject,
    Verdict,
)

DSSE: Final = "application/vnd.dsse.envelope.v1+json"
SIGNATURE: Final = "dev.cosignproject.cosign/signature"
LAYER_TYPES: Final = frozenset({SIMPLE_SIGNING, DSSE})


class LayerVerifier(Protocol):
    """Verifies what one layer holds: by a key, or by a certificate beside it."""

    def signature(self, payload: bytes, annotations: Mapping[str, str]) -> str:
        """Verify a detached signature of `payload` and return its signer, or raise NotGoodError."""

    def envelope(self, data: bytes, annotations: Mapping[str, str]) -> tuple[str, str, bytes]:
        """Verify an envelope; return signer, payload type and payload, or raise NotGoodError."""


class KeyVerifier:
    """Verifies by a public key."""

    def __init__(self, key: UpstreamKey) -> None:
        """Accept what `key` signed."""
        self._key = key

    def signature(self, payload: bytes, annotations: Mapping[str, str]) -> str:
        """Verify a detached signature; see LayerVerifier."""
        signature = decode_base64(annotations.get(SIGNATURE, ""), "its signature")
        if not self._key.verify(signature, payload):
            raise NotGoodError("it was not made by this key")
        return self._key.fingerprint

    def envelope(self, data: bytes, annotations: Mapping[str, str]) -> tuple[str, str, bytes]:  # noqa: ARG002 - the key is all
        """Verify an envelope; see LayerVerifier."""
        kind, payload = envelope_by_key(data, self._key)
        return self._key.fingerprint, kind, payload


def envelope_by_key(data: bytes, key: UpstreamKey) -> tuple[str, bytes]:
    """Verify a DSSE envelope and return the payload's type and the payload.

    Raises:
        NotGoodError: None of its signatures is by `key`.
    """
    strict_object(data, "envelope")
    try:
        envelope, payload = parse_envelope(data, "its envelope")
    except AttestationError as error:
        raise NotGoodError(error.message) from error
    signed = pre_authentication_encoding(envelope.payload_type, payload)
    for signature in envelope.signatures:
        if key.verify(decode_base64(signature.sig, "its signature"), signed):
            return envelope.payload_type, payload
    raise NotGoodError("it was not made by this key")


def judge_layers(
    manifest: SignatureManifest, subject: Subject, verifier: LayerVerifier
) -> Iterator[Verdict]:
    """Judge each signature that cosign put into a manifest's layers."""
    for layer in manifest.body.layers:
        if layer.media_type not in LAYER_TYPES:
            continue
        try:
            data = manifest.read(layer)
            if layer.media_type == SIMPLE_SIGNING:
                signer = verifier.signature(data, layer.annotations)
                check_simple_signing(data, subject)
                yield Good(signer)
            else:
                signer, kind, payload = verifier.envelope(data, layer.annotations)
                yield judge_statement(kind, payload, subject, signer)
        except NotGoodError as error:
            yield Bad(str(error))
