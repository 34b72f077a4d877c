"""Certificate chains as Notation requires them, at a given time, verified offline.

Source: notaryproject/specifications, signature-specification.md, "Certificate Requirements".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundle.base.plain import carried
from bundle.trust.keys.strength import weakness
from bundle.trust.upstream.verdict import MAX_SIGNER, NotGoodError

E = TypeVar("E", bound=x509.ExtensionType)
MAX_CERTIFICATES: Final = 8
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})
_KNOWN_CRITICAL: Final = frozenset(
    {x509.BasicConstraints.oid, x509.KeyUsage.oid, x509.ExtendedKeyUsage.oid}
)
_OTHER_PURPOSES: Final = frozenset(
    {
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.OCSP_SIGNING,
    }
)


def load_certificate(pem: str) -> x509.Certificate:
    """Read the certificate that a rule names.

    Raises:
        NotGoodError: Not one certificate in PEM, or its key is weak.
    """
    if pem.count("-----BEGIN") != 1 or "PRIVATE KEY" in pem:
        raise NotGoodError("expected one certificate in PEM (-----BEGIN CERTIFICATE-----)")
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise NotGoodError(
            "expected one certificate in PEM (-----BEGIN CERTIFICATE-----)"
        ) from error
    _check_key(certificate)
    return certificate


def subject_of(certificate: x509.Certificate) -> str:
    """Return a certificate's subject as text."""
    return carried(certificate.subject.rfc4514_string(), MAX_SIGNER)


def check_chain(
    chain: Sequence[x509.Certificate], anchor: x509.Certificate, at: dt.datetime
) -> None:
    """Check that a chain leads from a signing certificate to the anchor.

    Args:
        chain: The signing certificate first, each signed by the next.
        anchor: What a rule trusts: an authority in the chain, or the signing certificate itself.
        at: When all of them must be valid.
    Raises:
        NotGoodError: It does not.
    """
    if not 1 <= len(chain) <= MAX_CERTIFICATES:
        raise NotGoodError(f"expected 1 to {MAX_CERTIFICATES} certificates, found {len(chain)}")
    wanted = _der(anchor)
    place = next((i for i, found in enumerate(chain) if _der(found) == wanted), None)
    if place is None:
        raise NotGoodError(f"its certificate {subject_of(chain[0])!r} is not below this one")
    path = chain[: place + 1]
    for i, certificate in enumerate(path):
        _check_time(certificate, at)
        if i > 0:
            _check_issued(path[i - 1], certificate)
    for i, certificate in enumerate(path):
        # It takes its time with a large key, so that only keys that the anchor vouches for count.
        _check_key(certificate)
        _check_critical(certificate)
        if i == 0:
            _check_leaf(certificate)
        else:
            _check_authority(certificate, below=i - 1)


def _check_time(certificate: x509.Certificate, at: dt.datetime) -> None:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not first <= at <= last:
        raise NotGoodError(
            f"certificate {subject_of(certificate)!r} is valid from {first:%Y-%m-%d %H:%M} to "
            f"{last:%Y-%m-%d %H:%M} UTC, not at {at:%Y-%m-%d %H:%M}"
        )


def _check_key(certificate: x509.Certificate) -> None:
    subject = subject_of(certificate)
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotGoodError(f"certificate {subject!r} has an unusable key") from error
    known = isinstance(key, rsa.RSAPublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    )
    wrong = weakness(key) if known else "Notation does not use this type"
    if wrong:
        raise NotGoodError(f"certificate {subject!r} has a key that is too weak: {wrong}")


def _check_critical(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise NotGoodError(
                f"certificate {subject_of(certificate)!r} has an unsupported critical extension "
                f"({extension.oid.dotted_string})"
            )


def _check_leaf(certificate: x509.Certificate) -> None:
    name = subject_of(certificate)
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.value.ca:
        raise NotGoodError(f"certificate {name!r} is a CA's and may not sign images")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.critical or not usage.value.digital_signature:
        raise NotGoodError(f"certificate {name!r} is not for signing (key usage)")
    if usage.value.key_cert_sign or usage.value.crl_sign:
        raise NotGoodError(f"certificate {name!r} may sign certificates (key usage)")
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes is None:
        return
    found = set(purposes.value)
    if ExtendedKeyUsageOID.CODE_SIGNING not in found or found & _OTHER_PURPOSES:
        raise NotGoodError(f"certificate {name!r} is not for code signing only")


def _check_authority(certificate: x509.Certificate, below: int) -> None:
    name = subject_of(certificate)
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.critical or not constraints.value.ca:
        raise NotGoodError(f"certificate {name!r} does not belong to a certificate authority")
    length = constraints.value.path_length
    if length is not None and length < below:
        raise NotGoodError(f"certificate {name!r} does not allow an authority below it")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.critical or not usage.value.key_cert_sign:
        raise NotGoodError(f"certificate {name!r} may not sign certificates (key usage)")


def _check_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise NotGoodError(
            f"certificate {subject_of(certificate)!r} was not issued by {subject_of(issuer)!r}"
        ) from error


def _extension(certificate: x509.Certificate, kind: type[E]) -> x509.Extension[E] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)
