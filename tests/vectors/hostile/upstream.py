"""Images that upstream did not sign as the approved rules want, in a bundle that says it did."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from bundle.base.digest import hex_of
from bundle.base.oci import OCI_MANIFEST
from bundle.kinds.artifacts import LockedReferrer
from bundle.kinds.policy import VerifiedBy
from bundle.trust.upstream.public_keys import load_upstream_key
from tests.support.depot.imported import change_lock, signed_bundle
from tests.support.documents.content import Maker, sample
from tests.support.registries.referrers import SIGNATURE, SIMPLE_SIGNING, ImageSigner
from tests.support.registries.signing import NAME, by_key, simple_payload
from tests.support.trust.sigstore_world import b64
from tests.vectors.hostile.base import Family, Stage

case = Family("upstream")
_OTHER = "sha256:" + "1" * 64
Sign = Callable[[ImageSigner, str], tuple[bytes, dict[str, str]]]


def _good(signer: ImageSigner, digest: str) -> tuple[bytes, dict[str, str]]:
    payload = simple_payload(digest)
    return payload, {SIGNATURE: b64(signer.sign(payload))}


def build(stage: Stage, sign: Sign = _good, *, carried: bool = True, key: Any = None) -> None:
    """Make the bundle one of an image that is signed somehow, and claims to be signed well.

    Args:
        stage: Whose bundle is replaced.
        sign: Makes the payload and the annotations of the signature.
        carried: Whether the signature is in the bundle.
        key: The signer whose key the rule names; by default the one that signs.
    """
    make, signer = Maker(), ImageSigner()
    wanted = key or signer
    image = make.index(f"{NAME}:2.1", ("linux/amd64",))
    payload, annotations = sign(signer, image.digest)
    layer, config = make.put(payload), make.put(b"{}")
    described = make.descriptor(layer, SIMPLE_SIGNING, annotations=annotations)
    body = {
        "schemaVersion": 2,
        "config": make.descriptor(config, "application/vnd.oci.empty.v1+json"),
        "layers": [described],
    }
    made = make.put(json.dumps(body).encode())
    referrer = LockedReferrer(
        digest=made.digest,
        size=made.size,
        media_type=OCI_MANIFEST,
        config=config,
        layers=(layer,),
        subject=image.digest,
        via="cosign-tag",
        tag=f"sha256-{hex_of(image.digest)}.sig",
    )
    claim = VerifiedBy(
        rule=0,
        method="cosign",
        signer=load_upstream_key(wanted.public_pem.decode()).fingerprint,
        digest=made.digest,
        subject=image.digest,
    )
    signed = replace(image, referrers=(referrer,) if carried else (), verified=(claim,))
    lock = change_lock(
        sample(Maker())[0], images=(signed,), charts=(), files=(), signatures=(by_key(wanted),)
    )
    shutil.rmtree(stage.bundle)
    signed_bundle(stage.bundle, stage.vendor, lock, make.blobs)


@case("unsigned", NAME)
def no_signature(stage: Stage) -> None:
    build(stage, carried=False)


@case("unsigned", NAME)
def by_another_key(stage: Stage) -> None:
    build(stage, key=ImageSigner())


@case("unsigned", NAME)
def of_another_image(stage: Stage) -> None:
    build(stage, lambda signer, _: _good(signer, _OTHER))


@case("unsigned", NAME)
def over_another_payload(stage: Stage) -> None:
    def sign(signer: ImageSigner, digest: str) -> tuple[bytes, dict[str, str]]:
        _, annotations = _good(signer, _OTHER)
        return simple_payload(digest), annotations

    build(stage, sign)


def _annotation(change: Callable[[str], str]) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        def sign(signer: ImageSigner, digest: str) -> tuple[bytes, dict[str, str]]:
            payload, annotations = _good(signer, digest)
            return payload, {SIGNATURE: change(annotations[SIGNATURE])}

        build(stage, sign)

    return make


for _label, _change in {
    "empty": lambda text: "",
    "cut-short": lambda text: text[:-8],
    "with-a-line-end": lambda text: text + "\n",
    "no-base64": lambda text: "!" + text,
    "no-ascii": lambda text: "\u00e9" + text,
    "huge": lambda text: text * 1000,
    "of-nothing": lambda text: "AAAA",
}.items():
    case.add(f"a-signature-{_label}", _annotation(_change), "unsigned", NAME)


def _payload(change: Callable[[bytes], bytes]) -> Callable[[Stage], None]:
    """Sign something else than a payload: the signature is good, and says nothing."""

    def make(stage: Stage) -> None:
        def sign(signer: ImageSigner, digest: str) -> tuple[bytes, dict[str, str]]:
            payload = change(simple_payload(digest))
            return payload, {SIGNATURE: b64(signer.sign(payload))}

        build(stage, sign)

    return make


for _label, _change_payload in {
    "of-another-type": lambda d: d.replace(b"cosign container image signature", b"atomic"),
    "with-a-key-twice": lambda d: d.replace(b'"critical":', b'"critical":{},"critical":', 1),
    "nested-deep": lambda d: b'{"critical":' * 5000,
    "of-no-json": lambda d: b"MZ" + d,
    "of-nothing": lambda d: b"",
    "not-a-number": lambda d: d.replace(b"null", b"NaN"),
    "in-utf-16": lambda d: d.decode().encode("utf-16"),
}.items():
    case.add(f"a-payload-{_label}", _payload(_change_payload), "unsigned", NAME)


@case("unsigned", NAME)
def an_attestation_for_a_signature(stage: Stage) -> None:
    """Simple signing of something, under an annotation that no tool of cosign's writes."""
    build(stage, lambda signer, digest: (_good(signer, digest)[0], {"x": "y"}))


@case("policy", "says it was verified by")
def a_claim_of_another_signer(stage: Stage) -> None:
    build(stage)
    stage.manifest(lambda b: b["images"][0]["verified"][0].update(signer="sha256:" + "0" * 64))


@case("policy", "PEM")
def a_rule_whose_key_is_none(stage: Stage) -> None:
    build(stage)
    stage.manifest(lambda b: b["signatures"][0]["cosign"].update(key="no key"))


@case("unsigned", "none valid")
def a_site_that_wants_another_key(stage: Stage) -> None:
    build(stage)
    (stage.depot / "site.pub").write_bytes(ImageSigner().public_pem)
    rule = "signatures: [{images: ['**'], cosign: {key: site.pub}}]\n"
    text = f"apiVersion: isoward/v1\nkind: SitePolicy\n{rule}"
    (stage.depot / "policy.yaml").write_text(text)
