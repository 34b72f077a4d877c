"""Sigstore bundles as OCI 1.1 referrers, by a public key; cosign 3's default form.

Source: Sigstore protobuf-specs, sigstore_bundle.proto; cosign, "Bundle specification".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, Protocol

from bundle.base.digest import hex_of
from bundle.trust.upstream.cosign import envelope_by_key
from bundle.trust.upstream.in_toto import judge_statement
from bundle.trust.upstream.public_keys import UpstreamKey, decode_base64
from bundle.trust.upstream.strict_json import strict_object, text_at
from bundle.trust.upstream.verdict import (
    Bad,
    Good,
    NotGoodError,
    SignatureManifest,
    Subject,
    Verdict,
)

MEDIA_TYPES: Final = frozenset(
    {
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
    }
)
_LAYER_PREFIX: Final = "application/vnd.dev.sigstore.bundle"


class BundleVerifier(Protocol):
    """Verifies one bundle: by a key, or by the certificate in it."""

    def bundle(self, data: bytes, subject: Subject) -> Good:
        """Verify a bundle over the subject, or raise NotGoodError."""


class KeyBundleVerifier:
    """Verifies bundles by a public key."""

    def __init__(self, key: UpstreamKey) -> None:
        """Accept what `key` signed."""
        self._key = key

    def bundle(self, data: bytes, subject: Subject) -> Good:
        """Verify a bundle; see BundleVerifier."""
        content = checked_bundle(data)
        envelope = content.get("dsseEnvelope")
        if isinstance(envelope, dict):
            kind, payload = envelope_by_key(json.dumps(envelope).encode(), self._key)
            return judge_statement(kind, payload, subject, self._key.fingerprint)
        check_message_digest(content, subject)
        signature = decode_base64(text_at(content, "messageSignature", "signature"), "signature")
        if not self._key.verify(signature, subject.data):
            raise NotGoodError("it was not made by this key")
        return Good(self._key.fingerprint)


def is_bundle_layer(media_type: str) -> bool:
    """Return whether a layer of this type is a bundle."""
    return media_type.startswith(_LAYER_PREFIX)


def checked_bundle(data: bytes) -> dict[str, Any]:
    """Parse a bundle as far as its kind and content.

    Raises:
        NotGoodError: Of an unknown version, or with not exactly one content.
    """
    content = strict_object(data, "bundle")
    media_type = text_at(content, "mediaType")
    if media_type not in MEDIA_TYPES:
        raise NotGoodError(f"its bundle has the unknown type {media_type[:100]!r}")
    parts = [content.get(name) for name in ("dsseEnvelope", "messageSignature")]
    if sum(isinstance(part, dict) for part in parts) != 1 or sum(p is not None for p in parts) != 1:
        raise NotGoodError("its bundle must have either an envelope or a message signature")
    return content


def check_message_digest(content: dict[str, Any], subject: Subject) -> None:
    """Check that a message signature names the subject's digest, if it names one.

    The signature itself is over the subject's bytes.

    Raises:
        NotGoodError: It names another one.
    """
    found = content["messageSignature"].get("messageDigest")
    if found is None:
        return
    digest = decode_base64(text_at(found, "digest"), "its digest").hex()
    if text_at(found, "algorithm") != "SHA2_256" or digest != hex_of(subject.digest):
        raise NotGoodError(f"it signs sha256:{digest[:64]}")


def judge_bundles(
    manifest: SignatureManifest, subject: Subject, verifier: BundleVerifier
) -> Iterator[Verdict]:
    """Judge each bundle that is a layer of a manifest."""
    for layer in manifest.body.layers:
        if is_bundle_layer(layer.media_type):
            try:
                yield verifier.bundle(manifest.read(layer), subject)
            except NotGoodError as error:
                yield Bad(str(error))
