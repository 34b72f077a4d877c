"""A site's own certificate, by the rules of those who will meet it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import subprocess
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bundle.base.errors import DefinitionError
from installer.cli.serve import place_of
from installer.serving.shown import ShownIdentity
from installer.serving.site_certificate import check_chain, site_identity
from installer.serving.tls.held import hold
from installer.serving.trial import try_pair
from tests.support.depot.old_certificates import negative_serial, over_sha1, version_one
from tests.support.programs.needs import requires_tool

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NAMES = ("depot.hospital.example", "10.0.0.5")
_SANS = (
    x509.DNSName("depot.hospital.example"),
    x509.IPAddress(ipaddress.ip_address("10.0.0.5")),
)
KEY = ec.generate_private_key(ec.SECP256R1())
CA_KEY = ec.generate_private_key(ec.SECP256R1())
SIGNER = ec.generate_private_key(ec.SECP256R1())
SMALL_RSA = rsa.generate_private_key(65537, 1024)


@dataclass(frozen=True)
class Made:
    """A certificate to be made; by default one that everybody takes."""

    key: Any = KEY
    ca_key: Any = CA_KEY
    issuer: str = "Hospital CA"
    subject: str = "depot"
    sans: Sequence[x509.GeneralName] = _SANS
    start: dt.datetime = NOW - DAY
    end: dt.datetime = NOW + 100 * DAY
    usage: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,)
    signs: bool = True
    algorithm: Any = field(default_factory=hashes.SHA256)
    critical: str = ""
    ca: bool = False
    path_length: int | None = None
    padding: Any = None
    constraints: x509.NameConstraints | None = None

    def certificate(self) -> x509.Certificate:
        """Make it."""
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(self.subject))
            .issuer_name(_name(self.issuer))
            .public_key(self.key.public_key())
            .serial_number(1000)
            .not_valid_before(self.start)
            .not_valid_after(self.end)
            .add_extension(x509.BasicConstraints(self.ca, self.path_length), critical=True)
            .add_extension(_key_usage(signs=self.signs, issues=self.ca), critical=True)
        )
        if self.constraints:
            builder = builder.add_extension(self.constraints, critical=True)
        if self.sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(self.sans), critical=False)
        if self.usage:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.usage), critical=False)
        if self.critical:
            oid = x509.ObjectIdentifier(self.critical)
            unknown = x509.UnrecognizedExtension(oid, b"\x05\x00")
            builder = builder.add_extension(unknown, critical=True)
        return builder.sign(self.ca_key, self.algorithm, rsa_padding=self.padding)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _key_usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, key: Any, *chain: x509.Certificate) -> tuple[Path, Path]:
    pem = serialization.Encoding.PEM
    certificate, secret = folder / "site.pem", folder / "site.key"
    certificate.write_bytes(b"".join(each.public_bytes(pem) for each in chain))
    secret.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, secret


GOOD = Made()
CA = Made(key=CA_KEY, subject="Hospital CA", sans=(), usage=(), ca=True)


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (GOOD, NAMES),
        (GOOD, ()),
        (replace(GOOD, key=ec.generate_private_key(ec.SECP384R1())), NAMES),
        (replace(GOOD, key=rsa.generate_private_key(65537, 2048)), NAMES),
        (replace(GOOD, usage=()), NAMES),
        (replace(GOOD, sans=(x509.DNSName("*.hospital.example"),)), ("Depot.hospital.example.",)),
        (replace(GOOD, algorithm=hashes.SHA512()), NAMES),
    ],
)
def test_a_certificate_that_all_take_is_taken(
    tmp_path: Path, made: Made, names: tuple[str, ...]
) -> None:
    paths = _write(tmp_path, made.key, made.certificate(), CA.certificate())
    found, pair = site_identity(*paths, names, NOW)
    assert (found.certificate, found.key, found.ca) == (*paths, None)
    assert found.expires == GOOD.end
    # What was checked is what is shown, whatever becomes of the files.
    before = paths[0].read_bytes()
    paths[0].write_bytes(b"replaced")
    assert pair.certificate.read_bytes() == before
    pair.close()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (replace(GOOD, sans=()), "no subjectAltName"),
        (replace(GOOD, sans=(x509.RFC822Name("a@example.org"),)), "neither a host name nor"),
        (replace(GOOD, sans=(x509.DNSName("other.example"),)), "not for depot.hospital.example"),
        (replace(GOOD, sans=(*_SANS[:1], x509.DNSName("10.0.0.5"))), "not for 10.0.0.5"),
        (replace(GOOD, sans=(x509.DNSName("*.example"), _SANS[1])), "not for depot.hospital"),
        (replace(GOOD, sans=(x509.DNSName("depot.hospital.example."), _SANS[1])), "not for depot"),
        (replace(GOOD, algorithm=hashes.SHA224()), "algorithm that Go does not know"),
        (replace(GOOD, algorithm=hashes.SHA3_256()), "algorithm that Go does not know"),
        (replace(GOOD, start=NOW + DAY), "is valid from"),
        (replace(GOOD, end=NOW - DAY / 2), "is valid from"),
        (replace(GOOD, usage=(ExtendedKeyUsageOID.CLIENT_AUTH,)), "not for servers"),
        (replace(GOOD, signs=False), "may not sign"),
        (replace(GOOD, critical="1.2.3.4.5"), "critical extension"),
        (replace(GOOD, key=SMALL_RSA), "RSA key of 1024 bits"),
        (replace(GOOD, key=ec.generate_private_key(ec.SECP521R1())), "secp521r1"),
        (replace(GOOD, key=ec.generate_private_key(ec.SECP224R1())), "secp224r1"),
        (replace(GOOD, key=ec.generate_private_key(ec.SECP256K1())), "secp256k1"),
        (replace(GOOD, key=ed448.Ed448PrivateKey.generate()), "neither RSA, EC nor"),
        (replace(GOOD, key=dsa.generate_private_key(1024)), "neither RSA, EC nor"),
    ],
)
def test_what_somebody_refuses_is_refused_in_its_own_words(
    tmp_path: Path, made: Made, words: str
) -> None:
    paths = _write(tmp_path, made.key, made.certificate(), CA.certificate())
    with pytest.raises(DefinitionError, match=words):
        site_identity(*paths, NAMES, NOW)


def test_an_address_that_the_certificate_is_not_for_is_announced_to_no_node(tmp_path: Path) -> None:
    paths = _write(tmp_path, KEY, GOOD.certificate())
    shown = ShownIdentity(lambda: site_identity(*paths, (), NOW), lambda: NOW)
    other = place_of(shown, "10.0.0.9", (), 5443)
    assert (other.refused, other.for_nodes) == (("10.0.0.9",), [])
    own = place_of(shown, "10.0.0.5", (), 5443)
    assert (own.refused, own.for_nodes) == ((), ["https://10.0.0.5:5443"])
    named = place_of(shown, "10.0.0.9", ("depot.hospital.example",), 5443)
    assert (named.refused, named.for_nodes) == ((), ["https://depot.hospital.example:5443"])


def test_every_reason_is_said_at_once(tmp_path: Path) -> None:
    made = replace(GOOD, sans=(), usage=(ExtendedKeyUsageOID.CLIENT_AUTH,), end=NOW - DAY / 2)
    paths = _write(tmp_path, made.key, made.certificate())
    with pytest.raises(DefinitionError, match=r"valid from .*not for servers.*no subjectAltName"):
        site_identity(*paths, NAMES, NOW)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (version_one, "version 1"),
        (negative_serial, "serial number below 1"),
        (over_sha1, "signed over SHA1"),
    ],
)
def test_a_certificate_of_another_time_is_refused(
    tmp_path: Path,
    made: Callable[[x509.Certificate, ec.EllipticCurvePrivateKey], bytes],
    words: str,
    recwarn: pytest.WarningsRecorder,
) -> None:
    paths = _write(tmp_path, KEY, CA.certificate())
    paths[0].write_bytes(made(GOOD.certificate(), CA_KEY))
    with pytest.raises(DefinitionError, match=words):
        site_identity(*paths, (), NOW)
    assert not recwarn.list


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (lambda: (CA.certificate(), GOOD.certificate()), "expected a certificate and its|issue"),
        (lambda: (GOOD.certificate(), replace(CA, key=KEY).certificate()), "did not issue"),
        (lambda: (GOOD.certificate(), replace(CA, end=NOW - DAY / 2).certificate()), "2 of the"),
    ],
)
def test_a_chain_is_in_order_and_valid(
    tmp_path: Path, chain: Callable[[], tuple[x509.Certificate, ...]], words: str
) -> None:
    paths = _write(tmp_path, KEY, *chain())
    with pytest.raises(DefinitionError, match=words):
        site_identity(*paths, (), NOW)


def _dns(*names: str) -> list[x509.GeneralName]:
    return [x509.DNSName(name) for name in names]


def _net(network: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_network(network))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ca": False}, "certificate 2 of the file is not an authority's"),
        ({"usage": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "2 of the file may not issue for servers"),
        (
            {"constraints": x509.NameConstraints(_dns("other.example"), None)},
            r"2 of the file may not issue for depot\.hospital\.example",
        ),
        (
            {"constraints": x509.NameConstraints(None, _dns("hospital.example"))},
            r"may not issue for depot\.hospital\.example",
        ),
        (
            {"constraints": x509.NameConstraints([_net("192.168.0.0/16")], None)},
            r"may not issue for 10\.0\.0\.5",
        ),
        (
            {"constraints": x509.NameConstraints(None, [_net("10.0.0.0/24")])},
            r"may not issue for 10\.0\.0\.5",
        ),
        (
            {"constraints": x509.NameConstraints([x509.DirectoryName(_name("x"))], None)},
            "nameConstraints of a kind",
        ),
    ],
)
def test_an_issuer_that_nodes_do_not_let_issue_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    paths = _write(tmp_path, KEY, GOOD.certificate(), replace(CA, **changed).certificate())
    with pytest.raises(DefinitionError, match=words):
        site_identity(*paths, NAMES, NOW)


def test_an_issuer_has_only_so_many_authorities_below_it(tmp_path: Path) -> None:
    middle = replace(CA, ca_key=SIGNER, issuer="Root").certificate()
    top = replace(CA, key=SIGNER, ca_key=SIGNER, subject="Root", issuer="Root", path_length=0)
    paths = _write(tmp_path, KEY, GOOD.certificate(), middle, top.certificate())
    with pytest.raises(DefinitionError, match="certificate 3 of the file allows 0 authorities"):
        site_identity(*paths, NAMES, NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"path_length": 0, "usage": (ExtendedKeyUsageOID.SERVER_AUTH,)},
        {
            "constraints": x509.NameConstraints(
                [*_dns(".hospital.example"), _net("10.0.0.0/8")], None
            )
        },
        {"constraints": x509.NameConstraints([x509.RFC822Name("example.org")], None)},
        {"constraints": x509.NameConstraints(None, [*_dns("other.example"), _net("::/0")])},
    ],
)
def test_an_issuer_within_its_limits_is_taken(tmp_path: Path, changed: dict[str, Any]) -> None:
    paths = _write(tmp_path, KEY, GOOD.certificate(), replace(CA, **changed).certificate())
    check_chain(paths[0].read_bytes(), paths[0], NAMES, NOW)


def test_an_issuer_may_have_a_key_that_the_server_could_not_use(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    issuer = replace(CA, key=key, ca_key=key).certificate()
    paths = _write(tmp_path, KEY, replace(GOOD, ca_key=key).certificate(), issuer)
    _, pair = site_identity(*paths, NAMES, NOW)
    pair.close()


@pytest.mark.parametrize(("salt", "taken"), [(32, True), (20, False)])
def test_a_pss_signature_has_the_form_that_go_reads(tmp_path: Path, salt: int, taken: bool) -> None:
    key = rsa.generate_private_key(65537, 2048)
    issuer = replace(CA, key=key, ca_key=key).certificate()
    form = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    paths = _write(tmp_path, KEY, replace(GOOD, ca_key=key, padding=form).certificate(), issuer)
    expected = nullcontext() if taken else pytest.raises(DefinitionError, match="form that Go")
    with expected:
        check_chain(paths[0].read_bytes(), paths[0], NAMES, NOW)


def test_a_key_for_pss_alone_is_refused(tmp_path: Path) -> None:
    requires_tool("openssl")
    paths = _write(tmp_path, KEY, GOOD.certificate())
    command = ["openssl", "req", "-x509", "-newkey", "rsa-pss", "-nodes", "-subj", "/CN=depot"]
    told = ["-addext", "subjectAltName=DNS:depot.hospital.example", "-days", "30", "-sha256"]
    files = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    subprocess.run([*command, *told, *files], check=True, capture_output=True)
    with pytest.raises(DefinitionError, match="for PSS alone"):
        site_identity(*paths, (), NOW)


def test_the_end_is_the_first_of_the_chain(tmp_path: Path) -> None:
    soon = replace(CA, end=NOW + DAY)
    paths = _write(tmp_path, KEY, GOOD.certificate(), soon.certificate())
    found, pair = site_identity(*paths, NAMES, NOW)
    pair.close()
    assert found.expires == soon.end


def test_it_must_match_its_key(tmp_path: Path) -> None:
    paths = _write(tmp_path, CA_KEY, GOOD.certificate())
    with pytest.raises(DefinitionError, match="expected a certificate and its"):
        site_identity(*paths, NAMES, NOW)


def test_its_files_must_be_readable_and_pem(tmp_path: Path) -> None:
    certificate, key = _write(tmp_path, KEY, GOOD.certificate())
    with pytest.raises(DefinitionError, match="No such file"):
        site_identity(tmp_path / "none.pem", key, NAMES, NOW)
    certificate.write_text("not PEM")
    with pytest.raises(DefinitionError, match="PEM"):
        site_identity(certificate, key, NAMES, NOW)


def test_an_encrypted_key_is_refused_and_not_asked_about(tmp_path: Path) -> None:
    certificate, secret = _write(tmp_path, KEY, GOOD.certificate())
    secret.write_bytes(
        KEY.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret of the test"),
        )
    )
    with pytest.raises(DefinitionError, match="unencrypted"):
        site_identity(certificate, secret, NAMES, NOW)


@pytest.mark.parametrize("kind", ["P-521", "version 1", "another key", "no key"])
def test_what_the_servers_library_refuses_is_found_by_trying(tmp_path: Path, kind: str) -> None:
    key = ec.generate_private_key(ec.SECP521R1()) if kind == "P-521" else KEY
    found = replace(GOOD, key=key).certificate()
    paths = _write(tmp_path, CA_KEY if kind == "another key" else key, found)
    if kind == "version 1":
        paths[0].write_bytes(version_one(found, CA_KEY))
    if kind == "no key":
        paths[1].write_bytes(b"nothing")
    pair = hold(*paths)
    with pytest.raises(DefinitionError, match=r"library takes, found one that it refuses \(.*\w"):
        try_pair(pair, paths[0], found.public_bytes(serialization.Encoding.DER))
    pair.close()


def test_an_ed25519_key_is_taken(tmp_path: Path) -> None:
    made = replace(GOOD, key=ed25519.Ed25519PrivateKey.generate())
    paths = _write(tmp_path, made.key, made.certificate())
    _, pair = site_identity(*paths, NAMES, NOW)
    pair.close()
