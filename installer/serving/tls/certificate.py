"""The depot's certificate: the site's own, or one from a CA that is made here for this depot.

The CA's key never leaves depot/tls; nodes are given ca.pem only.

Source: RFC 5280; CA/Browser Forum Baseline Requirements 6.3.2 (825 days at most).
"""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bundle.base.errors import ClockError, DefinitionError, UsageError
from bundle.base.reference import is_host
from bundle.store.atomic import make_directory, write_atomic
from bundle.trust.keys.terms import CLOCK_TOLERANCE
from installer.base.networks import IpAddress, address_of
from installer.serving.tls.held import read_pem

Clock = Callable[[], dt.datetime]

CA_NAME: Final = "ca.pem"
_CA_KEY: Final = "ca.key"
_CERTIFICATE: Final = "server.pem"
_KEY: Final = "server.key"
_CA_LIFE: Final = dt.timedelta(days=3652)
_LIFE: Final = dt.timedelta(days=825)
_RENEW: Final = dt.timedelta(days=60)
"""A certificate with less time than this is made anew when the depot starts."""
_SKEW: Final = dt.timedelta(hours=1)
"""Clocks of machines without a network differ; what is made now is valid a little earlier."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the server shows.

    Attributes:
        certificate: The chain, PEM.
        key: PEM.
        ca: What a client must trust, PEM; None if the site's own certificate came without one.
        fingerprint: SHA-256 of `ca`, or of the certificate: lower-case hexadecimal.
        leaf: SHA-256 of the certificate.
        expires: When the certificate or one of its chain ends.
    """

    certificate: Path
    key: Path
    ca: Path | None
    fingerprint: str
    leaf: str
    expires: dt.datetime


def made_identity(
    directory: Path, names: Sequence[str], clock: Clock, known: dt.datetime | None = None
) -> Identity:
    """Return the depot's own certificate, making or renewing what is missing or close to expiry.

    With a clock that is known to be wrong nothing is made: a certificate of another year is refused
    by every node. One that is there is served as it is, since nodes judge it by their own clocks.

    Args:
        directory: depot/tls.
        names: Host names and addresses under which nodes reach the depot.
        clock: UTC.
        known: A moment that is past for certain, such as when a release was signed.
    Raises:
        ClockError: The clock is earlier than `known`, and there is no certificate to serve.
        UsageError: A name is neither a host name nor an address.
        DefinitionError: What is in `directory` cannot be read.
        StorageError: It cannot be written.
    """
    wanted = alternative_names(names)
    now = clock()
    make_directory(directory, 0o700)
    certificate, key = directory / _CERTIFICATE, directory / _KEY
    if known is not None and now < known - CLOCK_TOLERANCE:
        ca = _kept_authority(directory, now, known)
        if not _is_current(certificate, key, ca, names=wanted, now=known):
            raise _wrong_clock(now, known)
    else:
        ca, ca_key = _authority(directory, now)
        if not _is_current(certificate, key, ca, names=wanted, now=now):
            _issue(directory, ca, ca_key, names=wanted, now=now)
    made = _load_certificate(certificate)
    return Identity(
        certificate,
        key,
        directory / CA_NAME,
        fingerprint=ca.fingerprint(hashes.SHA256()).hex(),
        leaf=made.fingerprint(hashes.SHA256()).hex(),
        expires=min(made.not_valid_after_utc, ca.not_valid_after_utc),
    )


def _kept_authority(directory: Path, now: dt.datetime, known: dt.datetime) -> x509.Certificate:
    path = directory / CA_NAME
    if not path.exists():
        raise _wrong_clock(now, known)
    return _load_certificate(path)


def _wrong_clock(now: dt.datetime, known: dt.datetime) -> ClockError:
    return ClockError(
        f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, and it is {known:%Y-%m-%d %H:%M} UTC "
        "or later: a certificate that is made now would be refused by every machine",
        "Correct the clock (`date -u` shows it; it is in UTC), then run the command again. If it "
        "is right, it was ahead before: two people lower what was seen with `isoward recover "
        "--lower-clock`; docs/runbooks/recovery.md.",
    )


def alternative_names(names: Sequence[str]) -> list[x509.GeneralName]:
    """Turn names and addresses into what a certificate says, sorted and without repeats.

    Raises:
        UsageError: One is neither a host name nor an address.
    """
    addresses: set[IpAddress] = set()
    hosts: set[str] = set()
    for name in names:
        address = address_of(name)
        if address is not None:
            addresses.add(address)
        elif is_host(name) and ":" not in name:
            hosts.add(name.lower())
        else:
            raise UsageError(
                f"--name: expected a host name or an address, found {name[:100]!r}",
                "Write it as 10.0.0.5 or depot.hospital.example, without a port.",
            )
    ordered = sorted(addresses, key=lambda address: (address.version, int(address)))
    return [
        *(x509.DNSName(host) for host in sorted(hosts)),
        *(x509.IPAddress(address) for address in ordered),
    ]


def _authority(
    directory: Path, now: dt.datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    path, key_path = directory / CA_NAME, directory / _CA_KEY
    if not path.exists():
        # The key goes first: a certificate on disk then always has its key.
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(key_path, key)
        write_atomic(path, _pem(_self_signed(key, now)))
    ca, key = _load_certificate(path), _load_key(key_path)
    check_pair(path, key_path)
    if now < ca.not_valid_before_utc:
        raise DefinitionError(
            f"{path}: the depot's CA begins on {ca.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and "
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC",
            "Correct the clock. If it is right, it was ahead when the CA was made: move "
            f"{directory} away; `isoward serve` makes a new one, which nodes must be given.",
        )
    if now + _RENEW > ca.not_valid_after_utc:
        raise DefinitionError(
            f"{path}: the depot's CA ends on {ca.not_valid_after_utc:%Y-%m-%d}",
            f"Move {directory} away; `isoward serve` makes a new one, which nodes must be given.",
        )
    return ca, key


def _self_signed(key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # The key's identifier is in the name, since every depot has a CA and all are called the same.
    name = _name(f"Isoward depot CA {identifier.digest.hex()[:16]}")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


def _issue(
    directory: Path,
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    names: Sequence[x509.GeneralName],
    now: dt.datetime,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name("Isoward depot"))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(min(now - _SKEW + _LIFE, ca.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    # A kill between the two leaves a pair that does not match, which the next start makes anew.
    _write_key(directory / _KEY, key)
    write_atomic(directory / _CERTIFICATE, _pem(certificate))


def _is_current(
    certificate: Path,
    key: Path,
    ca: x509.Certificate,
    names: Sequence[x509.GeneralName],
    now: dt.datetime,
) -> bool:
    try:
        found = _load_certificate(certificate)
        check_pair(certificate, key)
        found.verify_directly_issued_by(ca)
        extension = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (DefinitionError, InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    in_time = found.not_valid_before_utc <= now <= found.not_valid_after_utc - _RENEW
    return in_time and list(extension.value) == list(names)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_atomic(path, data, mode=0o600)


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(read_pem(path))[0]
    except ValueError as error:
        raise DefinitionError(
            f"{path}: expected a certificate in PEM form ({error})", "Give a PEM file."
        ) from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(read_pem(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise DefinitionError(
            f"{path}: expected an unencrypted private key in PEM form ({error})",
            "Restore the depot's tls directory from a backup, or move it away.",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise DefinitionError(f"{path}: expected an EC key", "Restore it from a backup.")
    return key


def check_pair(certificate: Path, key: Path, said: tuple[Path, Path] | None = None) -> None:
    """Check that a certificate and a key belong together, as OpenSSL would.

    Args:
        certificate: PEM.
        key: PEM.
        said: What messages name instead.
    Raises:
        DefinitionError: They do not, or cannot be read.
    """
    read_pem(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A function for the passphrase, so that OpenSSL does not ask for it on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        one, other = said or (certificate, key)
        raise DefinitionError(
            f"{one} and {other}: expected a certificate and its unencrypted private key ({reason})",
            "Give the key that the certificate was made for, in PEM form, without a passphrase.",
        ) from error
