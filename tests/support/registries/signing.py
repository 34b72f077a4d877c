"""One image in memory, its signatures in every form, and what verifies it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.oci import OCI_MANIFEST
from bundle.kinds.artifacts import Artifact, LockedArtifact, LockedReferrer, artifact_entry
from bundle.kinds.policy import CosignRule, SignatureRule, VerifiedBy
from bundle.trust.upstream.judgement import verify_image
from tests.support.documents.content import Maker
from tests.support.registries.referrers import IN_TOTO, SIGNATURE, SIMPLE_SIGNING, ImageSigner, pae
from tests.support.trust.sigstore_world import b64

NAME = "registry.example.org/app/web"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
PLATFORMS = ("linux/amd64", "linux/arm64")
Signer = Callable[[bytes], bytes]


class SignedImage:
    """An image whose signatures a test attaches.

    Attributes:
        make: Has the bytes.
        locked: As a lock would have it.
    """

    def __init__(self, *, index: bool = True) -> None:
        self.make = Maker()
        reference = f"{NAME}:2.1"
        self.locked: LockedArtifact = (
            self.make.index(reference, PLATFORMS) if index else self.make.image(reference)
        )
        self._referrers: list[LockedReferrer] = []

    @property
    def digest(self) -> str:
        return self.locked.digest

    @property
    def data(self) -> bytes:
        return self.make.blobs[self.digest]

    def platform(self, i: int) -> str:
        return self.locked.manifests[i].digest

    def size(self, digest: str) -> int | None:
        data = self.make.blobs.get(digest)
        return None if data is None else len(data)

    def read(self, digest: str) -> bytes:
        return self.make.blobs[digest]

    def attach(
        self,
        layers: Sequence[tuple[str, bytes, Mapping[str, str]]],
        *,
        subject: str = "",
        artifact_type: str = "",
        config_type: str = "application/vnd.oci.empty.v1+json",
        edit: Callable[[bytes], bytes] = lambda data: data,
    ) -> str:
        """Attach a manifest with these layers (type, bytes, annotations), return its digest."""
        config = self.make.put(b"{}")
        described = [
            self.make.descriptor(self.make.put(data), media_type, annotations=dict(annotations))
            for media_type, data, annotations in layers
        ]
        body: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.make.descriptor(config, config_type),
            "layers": described,
        }
        if artifact_type:
            body["artifactType"] = artifact_type
        made = self.make.put(edit(canonical_json(body)))
        self._referrers.append(
            LockedReferrer(
                digest=made.digest,
                size=made.size,
                media_type=OCI_MANIFEST,
                subject=subject or self.digest,
                artifact_type=artifact_type,
                via="api",
            )
        )
        return made.digest

    def artifact(self) -> Artifact:
        """Return the image with what is attached, as bundle.json has it."""
        return artifact_entry(replace(self.locked, referrers=tuple(self._referrers)))

    def verify(
        self, *rules: SignatureRule, now: dt.datetime = NOW, image: Artifact | None = None
    ) -> tuple[VerifiedBy, ...]:
        """Verify by these rules."""
        return verify_image(image or self.artifact(), rules, self, now)

    def sign(self, signer: Signer, *, subject: str = "", about: str = "") -> str:
        """Sign as cosign's `.sig` tags have it: `subject`, or one that claims another image."""
        payload = simple_payload(about or subject or self.digest)
        annotations = {SIGNATURE: b64(signer(payload))}
        return self.attach([(SIMPLE_SIGNING, payload, annotations)], subject=subject)

    def sign_bundle(
        self,
        signer: Signer,
        *,
        subject: str = "",
        about: str = "",
        predicate: str = SIGN_PREDICATE,
        edit: Callable[[dict[str, Any]], None] = lambda bundle: None,
    ) -> str:
        """Sign as cosign 3 does by a key: a bundle with an envelope, as a referrer."""
        made = statement(about or subject or self.digest, predicate)
        body: dict[str, Any] = {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": "aGludA=="}, "tlogEntries": []},
            "dsseEnvelope": envelope(signer, made),
        }
        edit(body)
        return self.attach_bundle(body, subject=subject)

    def attach_bundle(self, body: Mapping[str, Any], *, subject: str = "") -> str:
        """Attach a bundle."""
        data = json.dumps(body).encode()
        return self.attach([(BUNDLE, data, {})], subject=subject, artifact_type=BUNDLE)


def simple_payload(digest: str, kind: str = "cosign container image signature") -> bytes:
    """Make what simple signing signs."""
    critical = {
        "identity": {"docker-reference": NAME},
        "image": {"docker-manifest-digest": digest},
        "type": kind,
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def statement(digest: str, predicate: str = SIGN_PREDICATE, *more: str) -> bytes:
    """Make an in-toto statement about an image, and about more of them."""
    subjects = [
        {"name": "", "digest": {"sha256": d.removeprefix("sha256:")}} for d in (digest, *more)
    ]
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": predicate,
            "predicate": {},
        }
    ).encode()


def envelope(signer: Signer, payload: bytes, kind: str = IN_TOTO) -> dict[str, Any]:
    """Sign a payload as DSSE."""
    signature = b64(signer(pae(kind, payload)))
    return {"payloadType": kind, "payload": b64(payload), "signatures": [{"sig": signature}]}


def by_key(signer: ImageSigner, pattern: str = "**") -> SignatureRule:
    """Return a rule that wants this key."""
    key = signer.public_pem.decode()
    return SignatureRule(images=(pattern,), cosign=CosignRule(key=key))


def other_digest() -> str:
    """Return the digest of another image."""
    return digest_of(b"another image")
