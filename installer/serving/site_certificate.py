"""Whether those who will meet a site's certificate take it: containerd, skopeo, pip, apt, dnf.

Go's rules are the narrowest of theirs, and a node's runtime is Go. What rustls makes of it is asked
of the server itself: installer/serving/trial.py.

Source: Go's crypto/x509 (Certificate.Verify, ParseCertificate) and crypto/tls (maxRSAKeySize).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, PublicKeyAlgorithmOID, SignatureAlgorithmOID

from bundle.base.errors import DefinitionError
from installer.serving.tls.certificate import Identity, check_pair
from installer.serving.tls.held import HeldPair, hold
from installer.serving.tls.issuers import has_issued, is_for_servers, issuer_problems
from installer.serving.trial import try_pair

_RSA_BITS: Final = (2048, 8192)
_CURVES: Final = ("secp256r1", "secp384r1")
_CURVES_OF_ISSUERS: Final = (*_CURVES, "secp521r1")
"""An issuer signs nothing in a handshake, so that the server's library need not know its curve."""
_WEAK: Final = frozenset({"md5", "sha1"})
_SIGNED_BY: Final = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.RSASSA_PSS,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.ED25519,
    }
)
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.KEY_USAGE,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
_HINT: Final = (
    "Ask who issued it for a server certificate (X.509 version 3, P-256 or RSA of 2048 bits or"
    " more, SHA-256) with the depot's names as subjectAltName."
)


def site_identity(
    certificate: Path, key: Path, names: Sequence[str], now: dt.datetime
) -> tuple[Identity, HeldPair]:
    """Check the certificate and key that a site gives, and keep what was checked.

    Args:
        certificate: The chain, PEM.
        key: PEM.
        names: By which nodes reach the depot, as far as they were given.
        now: UTC.
    Raises:
        DefinitionError: They cannot be read, do not belong together, or somebody would refuse them.
    """
    pair = hold(certificate, key)
    try:
        leaf, expires = check_chain(pair.certificate.read_bytes(), certificate, names, now)
        check_pair(pair.certificate, pair.key, (certificate, key))
        try_pair(pair, certificate, leaf)
    except BaseException:
        pair.close()
        raise
    fingerprint = hashlib.sha256(leaf).hexdigest()
    return Identity(
        certificate, key, None, fingerprint=fingerprint, leaf=fingerprint, expires=expires
    ), pair


def check_chain(
    data: bytes, path: Path, names: Sequence[str], now: dt.datetime
) -> tuple[bytes, dt.datetime]:
    """Check a site's chain; return the server's certificate, DER, and when the chain ends.

    Args:
        data: PEM.
        path: Where it came from, for messages.
        names: Host names and addresses by which nodes reach the depot, as far as they were given.
        now: UTC.
    Raises:
        DefinitionError: Somebody would refuse it; the message has every reason.
    """
    try:
        with warnings.catch_warnings():
            # Of what the library will not read one day; we say it in words of ours.
            warnings.simplefilter("ignore")
            chain = x509.load_pem_x509_certificates(data)
            problems = list(_problems(chain, names, now))
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        # Also extensions that cannot be read or come twice, which are only looked at here.
        raise DefinitionError(
            f"{path}: expected a certificate in PEM form that can be read ({error})", _HINT
        ) from error
    if problems:
        raise DefinitionError(f"{path}: {'; '.join(problems)}", _HINT)
    ends = min(each.not_valid_after_utc for each in chain)
    return chain[0].public_bytes(Encoding.DER), ends


def names_without_certificate(data: bytes, names: Sequence[str]) -> list[str]:
    """Return those host names and addresses for which a checked chain, PEM, does not hold."""
    leaf = x509.load_pem_x509_certificates(data)[0]
    offered = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = offered.get_values_for_type(x509.DNSName)
    addresses = [str(address) for address in offered.get_values_for_type(x509.IPAddress)]
    return [name for name in names if not _covers(name, hosts, addresses)]


def _problems(
    chain: Sequence[x509.Certificate], names: Sequence[str], now: dt.datetime
) -> Iterator[str]:
    for number, each in enumerate(chain):
        which = "the certificate" if number == 0 else f"certificate {number + 1} of the file"
        curves = _CURVES_OF_ISSUERS if number else _CURVES
        yield from (f"{which} {problem}" for problem in _each(each, now, curves))
    for number, (lower, upper) in enumerate(pairwise(chain), start=1):
        if not has_issued(lower, upper):
            yield (
                f"certificate {number + 1} of the file did not issue certificate {number}, or not"
                " in a form that Go reads: expected the server's first, then each one's issuer"
            )
    yield from issuer_problems(chain)
    if chain[0].version is x509.Version.v3:
        yield from _of_a_server(chain[0], names)


def _each(found: x509.Certificate, now: dt.datetime, curves: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with any certificate of a chain."""
    if found.version is not x509.Version.v3:
        yield "is of X.509 version 1, which TLS servers and Go refuse"
    if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        yield (
            f"is valid from {found.not_valid_before_utc:%Y-%m-%d} to"
            f" {found.not_valid_after_utc:%Y-%m-%d}, and this machine's clock says {now:%Y-%m-%d}"
        )
    if found.serial_number <= 0:
        yield "has a serial number below 1, which Go refuses"
    if (words := _key_words(found, curves)) != "":
        yield words
    # Nobody verifies the signature of one that is its own issuer.
    if found.issuer != found.subject:
        yield from _signature_problems(found)
    for extension in found.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            yield f"has a critical extension that Go does not know ({extension.oid.dotted_string})"


def _signature_problems(found: x509.Certificate) -> Iterator[str]:
    digest = found.signature_hash_algorithm
    if digest is not None and digest.name in _WEAK:
        yield f"is signed over {digest.name.upper()}, which Go refuses"
    elif found.signature_algorithm_oid not in _SIGNED_BY:
        oid = found.signature_algorithm_oid.dotted_string
        yield f"is signed by an algorithm that Go does not know ({oid})"


def _key_words(found: x509.Certificate, curves: Sequence[str]) -> str:
    try:
        key = found.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "has a key of an unknown kind"
    if isinstance(key, rsa.RSAPublicKey):
        low, high = _RSA_BITS
        if found.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS:
            return "has an RSA key for PSS alone, which Go does not know"
        if not low <= key.key_size <= high:
            return f"has an RSA key of {key.key_size} bits: expected {low} to {high}"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in curves:
            return f"has a key on the curve {key.curve.name}: expected P-256 or P-384"
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        return "has a key that is neither RSA, EC nor Ed25519"
    return ""


def _of_a_server(leaf: x509.Certificate, names: Sequence[str]) -> Iterator[str]:
    extensions = leaf.extensions
    if not is_for_servers(leaf):
        yield "the certificate is not for servers (extendedKeyUsage without serverAuth)"
    try:
        keys = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        keys = None
    if keys is not None and not keys.digital_signature:
        yield "the certificate's key may not sign, as TLS 1.3 does (keyUsage: digitalSignature)"
    try:
        alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        yield "the certificate has no subjectAltName, without which containerd refuses it"
        return
    hosts = alternative.get_values_for_type(x509.DNSName)
    addresses = alternative.get_values_for_type(x509.IPAddress)
    if not hosts and not addresses:
        yield "the certificate's subjectAltName has neither a host name nor an address"
        return
    listed = ", ".join([*hosts, *(str(address) for address in addresses)][:10])
    for name in names:
        if not _covers(name, hosts, [str(address) for address in addresses]):
            yield f"the certificate is not for {name}: its subjectAltName has {listed}"


def _covers(name: str, hosts: Sequence[str], addresses: Sequence[str]) -> bool:
    """Say whether a name matches as in Go: an address by addresses only, `*` for one label."""
    try:
        return str(ipaddress.ip_address(name)) in addresses
    except ValueError:
        pass
    wanted = name.lower().rstrip(".")
    rest = wanted.partition(".")[2]
    # Of what a certificate offers, a dot at the end is a part.
    taken = {wanted, name.lower(), *([f"*.{rest}"] if rest else [])}
    return any(host.lower() in taken for host in hosts)
