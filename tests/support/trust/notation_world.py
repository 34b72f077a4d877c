"""Notation without Notation: an authority, signing certificates and JWS envelopes.

Source: notaryproject/specifications, signature-specification.md and signature-envelope-jws.md.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.registries.signing import NOW, SignedImage

JWS = "application/jose+json"
SIGNATURE_TYPE = "application/vnd.cncf.notary.signature"
DAY = dt.timedelta(days=1)
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key(algorithm: str = "ES256") -> Key:
    """Make a key of the size that goes with an algorithm."""
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    bits = {"weak": 1024, "PS256": 2048, "PS384": 3072, "PS512": 4096}[algorithm]
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Holder:
    """A certificate with its key; `chain` leads from it to the authority at the top."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *self.above)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def certificate(
    name: str,
    issuer: Holder | None = None,
    *,
    ca: bool = False,
    algorithm: str = "ES256",
    usage: Mapping[str, bool] | None = None,
    critical_usage: bool = True,
    purposes: Sequence[x509.ObjectIdentifier] | None = None,
    path_length: int | None = None,
    first: dt.datetime = NOW - 30 * DAY,
    last: dt.datetime = NOW + 30 * DAY,
    extra: x509.ExtensionType | None = None,
) -> Holder:
    """Issue a certificate; without an issuer it signs itself."""
    key = new_key(algorithm)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    flags = {"digital_signature": not ca, "key_cert_sign": ca, "crl_sign": False, **(usage or {})}
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    never = dict.fromkeys((*others, "encipher_only", "decipher_only"), False)
    wanted = [ExtendedKeyUsageOID.CODE_SIGNING] if purposes is None else list(purposes)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.KeyUsage(**flags, **never), critical=critical_usage)
    )
    if wanted and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(wanted), critical=False)
    if extra is not None:
        builder = builder.add_extension(extra, critical=True)
    made = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Holder(made, key, issuer.chain if issuer else ())


def authority(name: str = "test authority", **fields: Any) -> Holder:
    """Make an authority that signs itself."""
    return certificate(name, ca=True, **fields)


def payload_of(image: SignedImage, digest: str = "") -> dict[str, Any]:
    """Return what Notation signs about an image."""
    about = digest or image.digest
    media_type = json.loads(image.make.blobs[about])["mediaType"]
    size = len(image.make.blobs[about])
    return {"targetArtifact": {"mediaType": media_type, "digest": about, "size": size}}


def header(algorithm: str = "ES256", **changes: Any) -> dict[str, Any]:
    """Return a protected header; a change to None takes the field away."""
    made: dict[str, Any] = {
        "alg": algorithm,
        "cty": "application/vnd.cncf.notary.payload.v1+json",
        "crit": ["io.cncf.notary.signingScheme"],
        "io.cncf.notary.signingScheme": "notary.x509",
        "io.cncf.notary.signingTime": (NOW - DAY).isoformat().replace("+00:00", "Z"),
    }
    made.update({name.replace("__", "io.cncf.notary."): value for name, value in changes.items()})
    return {name: value for name, value in made.items() if value is not None}


def jws(holder: Holder, payload: Mapping[str, Any], protected: Mapping[str, Any]) -> dict[str, Any]:
    """Sign a payload."""
    parts = [url64(json.dumps(part).encode()) for part in (protected, payload)]
    signature = _sign(holder.key, str(protected["alg"]), ".".join(parts).encode())
    chain = [c.public_bytes(serialization.Encoding.DER) for c in holder.chain]
    return {
        "protected": parts[0],
        "payload": parts[1],
        "signature": url64(signature),
        "header": {
            "x5c": [base64.b64encode(der).decode() for der in chain],
            "io.cncf.notary.signingAgent": "test/1.0",
        },
    }


def attach(
    image: SignedImage, envelope: Mapping[str, Any] | bytes, *, kind: str = JWS, subject: str = ""
) -> str:
    """Attach an envelope as Notation does."""
    data = envelope if isinstance(envelope, bytes) else json.dumps(envelope).encode()
    return image.attach([(kind, data, {})], artifact_type=SIGNATURE_TYPE, subject=subject)


def url64(data: bytes) -> str:
    """Encode as JWS does: without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _sign(key: Key, algorithm: str, data: bytes) -> bytes:
    digest = _DIGESTS[algorithm[2:]]
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
    size = (key.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
