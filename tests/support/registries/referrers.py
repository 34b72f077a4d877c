"""Signatures, attestations and SBOMs as cosign and OCI 1.1 tools leave them beside an image.

Real ones: the signatures verify with the key, in the formats of cosign's SIGNATURE_SPEC and
ATTESTATION_SPEC, sigstore's bundle v0.3, DSSE and in-toto.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.registries.oci import (
    CONFIG,
    EMPTY,
    Artifact,
    Blob,
    index,
    manifest,
    platform_entry,
    sha256,
    to_json,
)

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
CYCLONEDX = "application/vnd.cyclonedx+json"
SPDX = "application/spdx+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
_EMPTY_CONFIG = Blob(EMPTY, b"{}")


class ImageSigner:
    """An ECDSA P-256 key, as `cosign generate-key-pair` makes them."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))

    def envelope(self, statement: bytes) -> dict[str, Any]:
        """Sign an in-toto statement as DSSE."""
        encoded = base64.b64encode(statement).decode()
        signature = base64.b64encode(self.sign(pae(IN_TOTO, statement))).decode()
        return {"payloadType": IN_TOTO, "payload": encoded, "signatures": [{"sig": signature}]}


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding, which is what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def cosign_tag(digest: str, suffix: str) -> str:
    """Return the tag under which cosign looks: `sha256-<hex>.sig` and so on."""
    return f"{digest.replace(':', '-')}.{suffix}"


def cosign_signature(signer: ImageSigner, name: str, subject: Artifact) -> Artifact:
    """Make what is pushed under the `.sig` tag."""
    payload = to_json(
        {
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": subject.digest},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    signature = base64.b64encode(signer.sign(payload)).decode()
    return _cosign(Blob(SIMPLE_SIGNING, payload, {SIGNATURE: signature}))


def cosign_attestation(
    signer: ImageSigner, name: str, subject: Artifact, packages: Sequence[str]
) -> Artifact:
    """Make what is pushed under the `.att` tag: an SBOM in a signed statement."""
    statement = _statement(name, subject, "https://cyclonedx.org/bom", packages)
    annotations = {SIGNATURE: "", "predicateType": "https://cyclonedx.org/bom"}
    return _cosign(Blob(DSSE, to_json(signer.envelope(statement)), annotations))


def cosign_sbom(subject: Artifact, packages: Sequence[str]) -> Artifact:
    """Make what is pushed under the `.sbom` tag."""
    return _cosign(Blob("text/spdx+json", spdx(subject.digest, packages)))


def _cosign(layer: Blob) -> Artifact:
    config = Blob(
        CONFIG,
        to_json(
            {
                "architecture": "",
                "created": "0001-01-01T00:00:00Z",
                "history": [{"created": "0001-01-01T00:00:00Z"}],
                "os": "",
                "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
                "config": {},
            }
        ),
    )
    return manifest(config, [layer])


def referrer(artifact_type: str, payload: bytes, subject: Artifact) -> Artifact:
    """Make an OCI 1.1 manifest that refers to `subject`."""
    return manifest(
        _EMPTY_CONFIG,
        [Blob(artifact_type, payload)],
        artifact_type=artifact_type,
        subject=subject,
        annotations={"org.opencontainers.image.created": "2025-01-01T00:00:00Z"},
    )


def sigstore_bundle(
    signer: ImageSigner, name: str, subject: Artifact, packages: Sequence[str]
) -> Artifact:
    """Make a sigstore bundle v0.3 with a signed statement, as cosign 3 attaches it."""
    statement = _statement(name, subject, "https://cyclonedx.org/bom", packages)
    hint = base64.b64encode(bytes.fromhex(sha256(signer.public_pem)[7:])).decode()
    body = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": signer.envelope(statement),
    }
    return referrer(BUNDLE, to_json(body), subject)


def with_provenance(children: Sequence[Artifact], name: str) -> Artifact:
    """Make an index as BuildKit does: the first image's provenance is an entry of the index."""
    about = children[0]
    statement = _statement(name, about, "https://slsa.dev/provenance/v1", [])
    attestation = manifest(
        Blob(CONFIG, to_json({"architecture": "unknown", "os": "unknown", "config": {}})),
        [Blob(IN_TOTO, statement, {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"})],
    )
    entry = {
        **attestation.descriptor,
        "annotations": {
            "vnd.docker.reference.digest": about.digest,
            "vnd.docker.reference.type": "attestation-manifest",
        },
        "platform": {"architecture": "unknown", "os": "unknown"},
    }
    entries = [*(platform_entry(child) for child in children), entry]
    return index([*children, attestation], entries)


def _statement(name: str, subject: Artifact, predicate_type: str, packages: Sequence[str]) -> bytes:
    return to_json(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": {"sha256": subject.digest[7:]}}],
            "predicateType": predicate_type,
            "predicate": json.loads(cyclonedx(subject.digest, packages)),
        }
    )


def cyclonedx(digest: str, packages: Sequence[str]) -> bytes:
    """Write a CycloneDX SBOM; a package is `name=version`."""
    components = [
        {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/debian/{name}@{version}",
        }
        for name, _, version in (package.partition("=") for package in packages)
    ]
    return to_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
            "version": 1,
            "metadata": {"component": {"type": "container", "name": digest}},
            "components": components,
        }
    )


def spdx(digest: str, packages: Sequence[str]) -> bytes:
    """Write an SPDX 2.3 SBOM; a package is `name=version`."""
    listed = [
        {
            "SPDXID": f"SPDXRef-{name.replace('_', '-')}",
            "name": name,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
        }
        for name, _, version in (package.partition("=") for package in packages)
    ]
    return to_json(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": digest,
            "documentNamespace": f"https://example.org/spdx/{digest[7:]}",
            "creationInfo": {
                "created": "2025-01-01T00:00:00Z",
                "creators": ["Tool: isoward-test-content"],
            },
            "packages": listed,
        }
    )
