"""Signatures of publishers, for the inputs that fuzzing begins with."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from bundle.base.oci import OCI_MANIFEST
from fuzz.trust import FIXED
from tests.support.registries.referrers import ImageSigner
from tests.support.registries.signing import envelope as dsse
from tests.support.registries.signing import simple_payload, statement
from tests.support.trust.notation_world import authority, certificate, header, jws
from tests.support.trust.sigstore_world import SigstoreWorld, b64


def upstream_seeds() -> dict[str, dict[str, bytes]]:
    """Sign another image than the one that the targets ask about."""
    signer = ImageSigner()
    (FIXED / "upstream.pem").write_bytes(signer.public_pem)
    other = "sha256:" + "1" * 64
    payload = simple_payload(other)
    signed = dsse(signer.sign, statement(other))
    body = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": signed}
    message = {
        "messageDigest": {"algorithm": "SHA2_256", "digest": b64(bytes(32))},
        "signature": b64(signer.sign(b"x")),
    }
    always: dict[str, Any] = {
        "first": datetime(2020, 1, 1, tzinfo=UTC),
        "last": datetime(2100, 1, 1, tzinfo=UTC),
    }
    top = authority(**always)
    holder = certificate("signer", top, **always)
    target = {"mediaType": OCI_MANIFEST, "digest": other, "size": 2}
    notation = jws(holder, {"targetArtifact": target}, header(__signingTime="2025-06-01T00:00:00Z"))
    (FIXED / "notation.pem").write_text(top.pem, encoding="ascii")
    return {
        "material": {"key": signer.public_pem, "certificate": top.pem.encode()},
        "cosign": {
            "envelope": b"\0" + json.dumps(signed).encode(),
            "simple": b"\xff" + b64(signer.sign(payload)).encode() + b"\n" + payload,
        },
        "sigstore-bundle": {
            "envelope": json.dumps(body).encode(),
            "message": json.dumps(
                {"mediaType": body["mediaType"], "messageSignature": message}
            ).encode(),
        },
        "notation": {"all": json.dumps(notation).encode()},
        **_keyless(other, payload),
    }


def _keyless(other: str, payload: bytes) -> dict[str, dict[str, bytes]]:
    world = SigstoreWorld(datetime(2025, 6, 1, tzinfo=UTC))
    who = world.identity("dev@example.org", "https://issuer.example.org")
    (FIXED / "trusted_root.json").write_text(world.trusted_root(), encoding="ascii")
    return {
        "keyless-bundle": {
            "statement": json.dumps(world.statement_bundle(who, statement(other))).encode(),
            "message": json.dumps(world.message_bundle(who, b"x")).encode(),
        },
        "keyless-annotations": {"all": json.dumps(world.annotations(who, payload)).encode()},
    }
