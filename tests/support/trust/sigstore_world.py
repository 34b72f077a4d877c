"""A Sigstore of our own: authority, certificate log and transparency log, with real signatures.

What it makes has the shape and the proofs of the public one's, so the library verifies it against
this one's trusted root, without a network.

Source: RFC 6962 (SCT, Merkle tree); Sigstore's protobuf-specs; Rekor's checkpoint format.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import struct
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.registries.referrers import IN_TOTO, pae

ISSUER = "https://issuer.example.org"
IDENTITY = "release@example.org"
SHA256 = hashes.SHA256()
_ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def compact(value: Any) -> bytes:
    """Encode as Rekor does: canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Identity:
    """A short-lived certificate with its key, as the authority gives one to a signer."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def raw(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(SHA256))


class SigstoreWorld:
    """A private Sigstore."""

    def __init__(self, at: dt.datetime | None = None) -> None:
        self.at = (at or dt.datetime.now(dt.UTC) - dt.timedelta(days=30)).replace(microsecond=0)
        self._authority = ec.generate_private_key(ec.SECP256R1())
        self._certificate_log = ec.generate_private_key(ec.SECP256R1())
        self.log_key = ec.generate_private_key(ec.SECP256R1())
        self._root = self._make_root()

    @property
    def log_id(self) -> bytes:
        return hashlib.sha256(der(self.log_key.public_key())).digest()

    def trusted_root(self) -> str:
        """Return the trusted root, as a rule carries it."""
        from_ = (self.at - dt.timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ")
        raw = self._root.public_bytes(serialization.Encoding.DER)
        authority = {
            "subject": {"organization": "example.org", "commonName": "test"},
            "uri": "https://ca.example.org",
            "certChain": {"certificates": [{"rawBytes": b64(raw)}]},
            "validFor": {"start": from_},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [self._log(self.log_key, "https://log.example.org", from_)],
                "certificateAuthorities": [authority],
                "ctlogs": [self._log(self._certificate_log, "https://ct.example.org", from_)],
            }
        )

    @staticmethod
    def _log(key: ec.EllipticCurvePrivateKey, url: str, from_: str) -> dict[str, Any]:
        public = der(key.public_key())
        return {
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": b64(public),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": from_},
            },
            "logId": {"keyId": b64(hashlib.sha256(public).digest())},
        }

    def identity(
        self,
        name: str = IDENTITY,
        issuer: str = ISSUER,
        *,
        with_sct: bool = True,
        code_signing: bool = True,
        started: dt.timedelta = dt.timedelta(),
    ) -> Identity:
        """Give a signer a certificate that is valid for ten minutes."""
        key = ec.generate_private_key(ec.SECP256R1())
        first = self.at + started
        san: x509.GeneralName = (
            x509.UniformResourceIdentifier(name) if "://" in name else x509.RFC822Name(name)
        )
        purpose = (
            ExtendedKeyUsageOID.CODE_SIGNING if code_signing else ExtendedKeyUsageOID.OCSP_SIGNING
        )
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key())
        text = issuer.encode()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(first)
            .not_valid_after(first + dt.timedelta(minutes=10))
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(authority, critical=False)
            .add_extension(x509.SubjectAlternativeName([san]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V1, text), critical=False)
            .add_extension(
                x509.UnrecognizedExtension(_ISSUER_V2, bytes([0x0C, len(text)]) + text),
                critical=False,
            )
        )
        certificate = builder.sign(self._authority, SHA256)
        if with_sct:
            scts = self._scts(certificate.tbs_certificate_bytes)
            extension = x509.UnrecognizedExtension(_SCTS, scts)
            certificate = builder.add_extension(extension, critical=False).sign(
                self._authority, SHA256
            )
        return Identity(certificate, key)

    def _scts(self, precertificate: bytes) -> bytes:
        """Make the list of one SCT over a certificate that does not have it yet."""
        moment = struct.pack(">Q", int(self.at.timestamp() * 1000))
        issuer = hashlib.sha256(der(self._authority.public_key())).digest()
        length = len(precertificate).to_bytes(3, "big")
        signed = b"\0\0" + moment + b"\0\1" + issuer + length + precertificate + b"\0\0"
        signature = self._certificate_log.sign(signed, ec.ECDSA(SHA256))
        log = hashlib.sha256(der(self._certificate_log.public_key())).digest()
        sct = b"\0" + log + moment + b"\0\0" + b"\4\3" + struct.pack(">H", len(signature))
        entry = struct.pack(">H", len(sct + signature)) + sct + signature
        listing = struct.pack(">H", len(entry)) + entry
        # Within an OCTET STRING, whose length fits one byte.
        return (
            bytes([0x04, 0x81, len(listing)]) + listing
            if len(listing) > 127
            else (bytes([0x04, len(listing)]) + listing)
        )

    def promise(self, body: bytes, when: dt.datetime, index: int = 0) -> bytes:
        """Sign a log entry's promise of inclusion."""
        promised = {
            "body": b64(body),
            "integratedTime": int(when.timestamp()),
            "logID": self.log_id.hex(),
            "logIndex": index,
        }
        return self.log_key.sign(compact(promised), ec.ECDSA(SHA256))

    def entry(self, body: bytes, when: dt.datetime | None = None) -> dict[str, Any]:
        """Log something, as the only entry, and return its entry with promise and proof."""
        moment = when or self.at + dt.timedelta(minutes=1)
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"log.example.org - 1\n1\n{b64(root)}\n"
        signature = self.log_key.sign(note.encode(), ec.ECDSA(SHA256))
        signed = f"{note}\n\u2014 log.example.org {b64(self.log_id[:4] + signature)}\n"
        kind = json.loads(body)
        return {
            "logIndex": "0",
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": kind["kind"], "version": kind["apiVersion"]},
            "integratedTime": str(int(moment.timestamp())),
            "inclusionPromise": {"signedEntryTimestamp": b64(self.promise(body, moment))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": signed},
            },
            "canonicalizedBody": b64(body),
        }

    def bundle(
        self, who: Identity, content: dict[str, Any], body: bytes, when: dt.datetime | None = None
    ) -> dict[str, Any]:
        """Put a bundle together."""
        return {
            "mediaType": _BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(who.raw)},
                "tlogEntries": [self.entry(body, when)],
            },
            **content,
        }

    def statement_bundle(
        self, who: Identity, statement: bytes, when: dt.datetime | None = None
    ) -> dict[str, Any]:
        """Sign an in-toto statement."""
        signature = b64(who.sign(pae(IN_TOTO, statement)))
        envelope = {
            "payloadType": IN_TOTO,
            "payload": b64(statement),
            "signatures": [{"sig": signature}],
        }
        body = compact(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
                    "payloadHash": {
                        "algorithm": "sha256",
                        "value": hashlib.sha256(statement).hexdigest(),
                    },
                    "signatures": [{"signature": signature, "verifier": b64(who.pem.encode())}],
                },
            }
        )
        return self.bundle(who, {"dsseEnvelope": envelope}, body, when)

    def message_bundle(self, who: Identity, message: bytes) -> dict[str, Any]:
        """Sign a message, which the bundle does not hold."""
        signature = who.sign(message)
        digest = {"algorithm": "SHA2_256", "digest": b64(hashlib.sha256(message).digest())}
        content = {"messageSignature": {"messageDigest": digest, "signature": b64(signature)}}
        return self.bundle(who, content, hashedrekord(who, message, signature))

    def annotations(
        self, who: Identity, payload: bytes, when: dt.datetime | None = None
    ) -> dict[str, str]:
        """Sign a payload as cosign 1 and 2 do, and return the layer's annotations."""
        moment = when or self.at + dt.timedelta(minutes=1)
        signature = who.sign(payload)
        body = hashedrekord(who, payload, signature)
        logged = {
            "SignedEntryTimestamp": b64(self.promise(body, moment, 7)),
            "Payload": {
                "body": b64(body),
                "integratedTime": int(moment.timestamp()),
                "logIndex": 7,
                "logID": self.log_id.hex(),
            },
        }
        return {
            "dev.cosignproject.cosign/signature": b64(signature),
            "dev.sigstore.cosign/certificate": who.pem,
            "dev.sigstore.cosign/chain": "",
            "dev.sigstore.cosign/bundle": json.dumps(logged),
        }

    def _make_root(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        key = self._authority.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.at - dt.timedelta(days=365))
            .not_valid_after(self.at + dt.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self._authority, SHA256)
        )


def hashedrekord(who: Identity, message: bytes, signature: bytes) -> bytes:
    """Make the body of a log entry about a detached signature."""
    digest = hashlib.sha256(message).hexdigest()
    return compact(
        {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": digest}},
                "signature": {
                    "content": b64(signature),
                    "publicKey": {"content": b64(who.pem.encode())},
                },
            },
        }
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    """The usage of a signer's certificate, or of an authority's."""
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=not signs,
        crl_sign=not signs,
        encipher_only=False,
        decipher_only=False,
    )
