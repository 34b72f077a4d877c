"""cosign's `.sig` tags, by a public key: what is good, and each way in which it is not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from bundle.base.errors import FormatError, PolicyError, UnsignedError
from bundle.kinds.policy import CosignRule, SignatureRule
from tests.support.registries.referrers import SIGNATURE, SIMPLE_SIGNING, ImageSigner
from tests.support.registries.signing import (
    SignedImage,
    Signer,
    by_key,
    other_digest,
    simple_payload,
)
from tests.support.trust.sigstore_world import b64


def _public(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> str:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def _ecdsa(curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> tuple[str, Signer]:
    key = ec.generate_private_key(curve)
    return _public(key.public_key()), lambda data: key.sign(data, ec.ECDSA(digest))


def _ed25519() -> tuple[str, Signer]:
    key = ed25519.Ed25519PrivateKey.generate()
    return _public(key.public_key()), key.sign


def _rsa(bits: int = 2048) -> tuple[str, Signer]:
    key = rsa.generate_private_key(65537, bits)
    return _public(key.public_key()), lambda data: key.sign(
        data, padding.PKCS1v15(), hashes.SHA256()
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: _ecdsa(ec.SECP256R1(), hashes.SHA256()),
        lambda: _ecdsa(ec.SECP384R1(), hashes.SHA256()),
        lambda: _ecdsa(ec.SECP384R1(), hashes.SHA384()),
        _ed25519,
        _rsa,
    ],
    ids=["p256", "p384", "p384-sha384", "ed25519", "rsa"],
)
def test_each_kind_of_key(image: SignedImage, make: Callable[[], tuple[str, Signer]]) -> None:
    public, sign = make()
    rule = SignatureRule(images=("**",), cosign=CosignRule(key=public))
    carrier = image.sign(sign)
    (found,) = image.verify(rule)
    assert (found.method, found.digest, found.subject) == ("cosign", carrier, image.digest)
    assert found.signer.startswith("sha256:")


@pytest.mark.parametrize(
    "make",
    [
        lambda: _ecdsa(ec.SECP521R1(), hashes.SHA256())[0],
        lambda: _ecdsa(ec.SECP256K1(), hashes.SHA256())[0],
        lambda: _rsa(1024)[0],
        lambda: "-----BEGIN PUBLIC KEY-----\nbm90IGEga2V5\n-----END PUBLIC KEY-----\n",
        lambda: "not PEM",
        lambda: 2 * _ed25519()[0],
    ],
    ids=["p521", "k256", "short-rsa", "garbage", "no-pem", "two-keys"],
)
def test_a_key_that_cannot_be_used_is_no_waiver(
    image: SignedImage, make: Callable[[], str]
) -> None:
    rule = SignatureRule(images=("**",), cosign=CosignRule(key=make()))
    with pytest.raises(PolicyError, match=r"signatures\[0\].*expected"):
        image.verify(rule)


def test_an_image_without_any_signature(image: SignedImage, signer: ImageSigner) -> None:
    with pytest.raises(UnsignedError, match=r"by cosign key sha256:.*found none"):
        image.verify(by_key(signer))


def test_wrong_key(image: SignedImage, signer: ImageSigner, stranger: ImageSigner) -> None:
    image.sign(stranger.sign)
    image.sign_bundle(stranger.sign)
    with pytest.raises(
        UnsignedError, match="2 signatures, none valid: it was not made by this key"
    ):
        image.verify(by_key(signer))


def test_one_good_signature_among_others_is_enough(
    image: SignedImage, signer: ImageSigner, stranger: ImageSigner
) -> None:
    image.sign(stranger.sign)
    good = image.sign(signer.sign)
    image.sign(signer.sign, about=other_digest())
    assert [found.digest for found in image.verify(by_key(signer))] == [good]


def test_swapped_image(image: SignedImage, signer: ImageSigner) -> None:
    image.sign(signer.sign, about=other_digest())
    with pytest.raises(UnsignedError, match=f"it signs {other_digest()}"):
        image.verify(by_key(signer))


def test_a_signature_of_one_platform_is_none_of_the_index(
    image: SignedImage, signer: ImageSigner
) -> None:
    image.sign(signer.sign, about=image.platform(0))
    with pytest.raises(UnsignedError, match="it signs"):
        image.verify(by_key(signer))


def test_altered_payload(image: SignedImage, signer: ImageSigner) -> None:
    signed = simple_payload(other_digest())
    annotations = {SIGNATURE: b64(signer.sign(signed))}
    image.attach([(SIMPLE_SIGNING, simple_payload(image.digest), annotations)])
    with pytest.raises(UnsignedError, match="not made by this key"):
        image.verify(by_key(signer))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("!!!!", "not base64"),
        ("YQ==\n", "not base64"),
        ("YQ", "not base64"),
        ("YQ==", "not made by this key"),
    ],
)
def test_malformed_signature(image: SignedImage, signer: ImageSigner, text: str, says: str) -> None:
    image.attach([(SIMPLE_SIGNING, simple_payload(image.digest), {SIGNATURE: text})])
    with pytest.raises(UnsignedError, match=says):
        image.verify(by_key(signer))


def test_a_layer_without_annotation(image: SignedImage, signer: ImageSigner) -> None:
    image.attach([(SIMPLE_SIGNING, simple_payload(image.digest), {})])
    with pytest.raises(UnsignedError, match="its signature is empty"):
        image.verify(by_key(signer))


def _payloads(digest: str) -> dict[str, tuple[bytes, str]]:
    good = simple_payload(digest).decode()
    twice = good.replace('{"docker-m', f'{{"docker-manifest-digest": "{other_digest()}", "docker-m')
    return {
        "not-json": (b"{", "not JSON"),
        "a-list": (b"[]", "not an object"),
        "utf-16": (good.encode("utf-16-be"), "not JSON"),
        "digest-twice": (twice.encode(), "duplicate key"),
        "digest-in-two-cases": (
            twice.replace("docker-m", "Docker-M", 1).encode(),
            "duplicate key",
        ),
        "critical-twice": (good[:-1].encode() + b', "critical": {}}', "duplicate key"),
        "other-type": (simple_payload(digest, "atomic container signature"), "is of type"),
        "no-image": (
            b'{"critical": {"type": "cosign container image signature"}}',
            "signs nothing",
        ),
        "digest-is-a-list": (
            good.replace(f'"{digest}"', f'["{digest}"]').encode(),
            "signs nothing",
        ),
        "upper-case": (simple_payload(digest.upper()), "it signs SHA256"),
        "deep": (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "nested deeper"),
        "very-deep": (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON"),
        "nan": (good.replace("null", "NaN").encode(), "NaN"),
    }


@pytest.mark.parametrize("name", list(_payloads("sha256:" + "0" * 64)))
def test_a_signed_payload_that_is_malformed(
    image: SignedImage, signer: ImageSigner, name: str
) -> None:
    payload, says = _payloads(image.digest)[name]
    image.attach([(SIMPLE_SIGNING, payload, {SIGNATURE: b64(signer.sign(payload))})])
    with pytest.raises(UnsignedError, match=says):
        image.verify(by_key(signer))


def test_annotations_that_stand_twice(image: SignedImage, signer: ImageSigner) -> None:
    payload = simple_payload(image.digest)
    good = json.dumps(b64(signer.sign(payload)))

    def twice(data: bytes) -> bytes:
        name = json.dumps(SIGNATURE)
        return data.replace(f"{name}:{good}".encode(), f'{name}:"YQ==",{name}:{good}'.encode())

    image.attach([(SIMPLE_SIGNING, payload, {SIGNATURE: json.loads(good)})], edit=twice)
    with pytest.raises(FormatError, match="duplicate key"):
        image.verify(by_key(signer))


def test_oversized_payload_is_not_read(
    image: SignedImage, signer: ImageSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundle.trust.upstream.judgement.MAX_SIGNATURE_BYTES", 100)
    image.sign(signer.sign)
    with pytest.raises(UnsignedError, match="more than 100"):
        image.verify(by_key(signer))


def test_a_payload_that_is_not_carried(image: SignedImage, signer: ImageSigner) -> None:
    payload = simple_payload(image.digest)
    image.sign(signer.sign)
    image.make.blobs = {d: data for d, data in image.make.blobs.items() if data != payload}
    with pytest.raises(UnsignedError, match="not carried"):
        image.verify(by_key(signer))


def test_the_tag_may_hold_several_signatures(
    image: SignedImage, signer: ImageSigner, stranger: ImageSigner
) -> None:
    payload = simple_payload(image.digest)
    layers = [
        (SIMPLE_SIGNING, payload, {SIGNATURE: b64(by.sign(payload))}) for by in (stranger, signer)
    ]
    image.attach(layers)
    assert len(image.verify(by_key(signer))) == 1


def test_other_layers_are_not_signatures(image: SignedImage, signer: ImageSigner) -> None:
    payload = simple_payload(image.digest)
    image.attach([("application/x.other", payload, {SIGNATURE: b64(signer.sign(payload))})])
    with pytest.raises(UnsignedError, match="found none"):
        image.verify(by_key(signer))
