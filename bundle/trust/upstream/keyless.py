"""Keyless signatures: by an identity for which an issuer vouched, in Sigstore's logs. Offline.

The sigstore library verifies: the certificate's chain at the logged time, its SCT, the log's proof
and promise, and the signature. Two things are ours: who is accepted, and cosign's older form, in
which the log's signed promise stands alone, without a proof of inclusion (docs/adr/0009).

Source: Sigstore client specification, "Verification"; cosign's SIGNATURE_SPEC, "Properties".
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sigstore.errors import VerificationError
from sigstore.models import Bundle, TransparencyLogEntry, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import OIDCIssuer, OIDCIssuerV2

from bundle.base.plain import carried
from bundle.kinds.policy import KeylessRule
from bundle.trust.keys.strength import weakness
from bundle.trust.upstream.cosign import SIGNATURE
from bundle.trust.upstream.in_toto import judge_statement
from bundle.trust.upstream.public_keys import decode_base64
from bundle.trust.upstream.sigstore_bundle import checked_bundle
from bundle.trust.upstream.strict_json import strict_object, text_at
from bundle.trust.upstream.verdict import MAX_SIGNER, Good, NotGoodError, Subject

CERTIFICATE: Final = "dev.sigstore.cosign/certificate"
LOG_BUNDLE: Final = "dev.sigstore.cosign/bundle"
_OLD_BUNDLE: Final = "application/vnd.dev.sigstore.bundle+json;version=0.1"
_ISSUER_V2: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


class KeylessVerifier:
    """Verifies by an identity, its issuer and a carried trusted root."""

    def __init__(self, rule: KeylessRule) -> None:
        """Accept what `rule` says.

        Raises:
            NotGoodError: Its trusted root cannot be used.
        """
        self._rule = rule
        self._verifier = _verifier(rule.trusted_root)

    def bundle(self, data: bytes, subject: Subject) -> Good:
        """Verify a bundle; see BundleVerifier."""
        content = checked_bundle(data)
        with _refused():
            bundle = Bundle.from_json(data)
        accepts = _Accepts(self._rule)
        if "dsseEnvelope" not in content:
            with _refused():
                self._verifier.verify_artifact(subject.data, bundle, accepts)
            return Good(accepts.signer)
        with _refused():
            kind, payload = self._verifier.verify_dsse(bundle, accepts)
        return judge_statement(kind, payload, subject, accepts.signer)

    def signature(self, payload: bytes, annotations: Mapping[str, str]) -> str:
        """Verify cosign's older form; see LayerVerifier."""
        signature = decode_base64(annotations.get(SIGNATURE, ""), "its signature")
        encoded = base64.b64encode(signature).decode()
        digest = base64.b64encode(hashlib.sha256(payload).digest()).decode()
        message = {"algorithm": "SHA2_256", "digest": digest}
        content = {"messageSignature": {"messageDigest": message, "signature": encoded}}
        accepts = _Accepts(self._rule)
        bundle = _old_bundle(annotations, content)
        with _refused():
            self._verifier.verify_artifact(payload, bundle, accepts)
        return accepts.signer

    def envelope(self, data: bytes, annotations: Mapping[str, str]) -> tuple[str, str, bytes]:
        """Verify cosign's older form of an attestation; see LayerVerifier."""
        content = {"dsseEnvelope": strict_object(data, "envelope")}
        accepts = _Accepts(self._rule)
        bundle = _old_bundle(annotations, content)
        with _refused():
            kind, payload = self._verifier.verify_dsse(bundle, accepts)
        return accepts.signer, kind, payload


class _Accepts:
    """The policy that the library asks about a certificate; remembers whom it accepted."""

    def __init__(self, rule: KeylessRule) -> None:
        self._rule = rule
        self.signer = ""

    def verify(self, cert: x509.Certificate) -> None:
        """Accept a certificate, or raise VerificationError."""
        if wrong := weakness(cert.public_key()):
            raise VerificationError(f"the key of its certificate is weak: {wrong}")
        newer = any(extension.oid == _ISSUER_V2 for extension in cert.extensions)
        (OIDCIssuerV2 if newer else OIDCIssuer)(self._rule.issuer).verify(cert)
        identities = _identities(cert)
        for identity in identities:
            if self._is_wanted(identity):
                self.signer = carried(f"{identity} ({self._rule.issuer})", MAX_SIGNER)
                return
        found = ", ".join(identity[:200] for identity in identities) or "nobody"
        raise VerificationError(f"it was made by {found}")

    def _is_wanted(self, identity: str) -> bool:
        if self._rule.identity is not None:
            return identity == self._rule.identity
        return re.fullmatch(self._rule.identity_regexp or "", identity) is not None


class _PromisedEntry(TransparencyLogEntry):
    """A log entry of which only the log's signed promise is known."""

    def _validate(self) -> None:
        if self._inner.inclusion_promise is None or not self._inner.integrated_time:
            raise VerificationError("the log's promise is missing")

    def _verify(self, keyring: object) -> None:
        self._verify_set(keyring)  # type: ignore[arg-type]


class _PromisedBundle(Bundle):
    """What cosign's annotations hold, as a bundle."""

    def _verify(self) -> None:
        material = self._inner.verification_material
        chain = material.x509_certificate_chain
        if chain is None or len(chain.certificates) != 1 or len(material.tlog_entries) != 1:
            raise VerificationError("expected one certificate and one log entry")
        self._signing_certificate = x509.load_der_x509_certificate(chain.certificates[0].raw_bytes)
        self._log_entry = _PromisedEntry(material.tlog_entries[0])


def _old_bundle(annotations: Mapping[str, str], content: Mapping[str, object]) -> Bundle:
    """Put together what cosign 1 and 2 left in the annotations of a layer."""
    if CERTIFICATE not in annotations or LOG_BUNDLE not in annotations:
        raise NotGoodError("it has no certificate and log entry; it was signed with a key")
    with _refused():
        leaf = x509.load_pem_x509_certificate(annotations[CERTIFICATE].encode())
    logged = strict_object(annotations[LOG_BUNDLE].encode(), "log entry")
    payload = logged.get("Payload")
    if not isinstance(payload, dict):
        raise NotGoodError("its log entry has no payload")
    body = text_at(payload, "body")
    about = strict_object(decode_base64(body, "log entry"), "log entry")
    with _refused():
        log_id = base64.b64encode(bytes.fromhex(text_at(payload, "logID"))).decode()
        entry = {
            "logIndex": str(int(payload["logIndex"])),
            "logId": {"keyId": log_id},
            "kindVersion": {
                "kind": text_at(about, "kind"),
                "version": text_at(about, "apiVersion"),
            },
            "integratedTime": str(int(payload["integratedTime"])),
            "inclusionPromise": {"signedEntryTimestamp": text_at(logged, "SignedEntryTimestamp")},
            # The library's shape wants one; _PromisedEntry never looks at it.
            "inclusionProof": {"logIndex": "0", "rootHash": "", "treeSize": "1", "hashes": []},
            "canonicalizedBody": body,
        }
        der = leaf.public_bytes(serialization.Encoding.DER)
        certificates = [{"rawBytes": base64.b64encode(der).decode()}]
        material = {"x509CertificateChain": {"certificates": certificates}, "tlogEntries": [entry]}
        made = {"mediaType": _OLD_BUNDLE, "verificationMaterial": material, **content}
        return _PromisedBundle.from_json(json.dumps(made))


@lru_cache(maxsize=16)
def _verifier(trusted_root: str) -> Verifier:
    # The library's public way to a trusted root is by a file.
    with _refused("the trusted root"), tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(trusted_root.encode())
        file.flush()
        return Verifier(trusted_root=TrustedRoot.from_file(file.name))


def _identities(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    ]


@contextmanager
def _refused(what: str = "") -> Iterator[None]:
    """Make whatever goes wrong in the library one answer: not good.

    It parses hostile bytes with several parsers, each with errors of its own.
    """
    try:
        yield
    except NotGoodError:
        raise
    except Exception as error:  # what is not understood is refused
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise NotGoodError(f"{what}: {why}" if what else why) from error
