from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bundle.base.errors import ClockError, DefinitionError, UsageError
from installer.serving.tls.certificate import alternative_names, made_identity

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
NAMES = ["depot.hospital.example", "10.0.0.5", "fd00::5"]


def _load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _sans(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_ca_and_a_certificate_for_the_names_are_made(tmp_path: Path) -> None:
    made = made_identity(tmp_path / "tls", NAMES, lambda: NOW)
    assert made.ca is not None
    ca, leaf = _load(made.ca), _load(made.certificate)
    leaf.verify_directly_issued_by(ca)
    names = _sans(leaf)
    assert names.get_values_for_type(x509.DNSName) == ["depot.hospital.example"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("10.0.0.5"),
        ipaddress.ip_address("fd00::5"),
    ]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= dt.timedelta(days=825)
    assert ca.not_valid_after_utc > NOW + dt.timedelta(days=3650)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    made = made_identity(tmp_path / "tls", NAMES, lambda: NOW)
    for path in (made.key, tmp_path / "tls" / "ca.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    first = made_identity(tmp_path, NAMES, lambda: NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    again = made_identity(tmp_path, list(reversed(NAMES)), lambda: NOW + dt.timedelta(days=700))
    assert again == first
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_certificate_close_to_its_end_is_made_anew_by_the_same_ca(tmp_path: Path) -> None:
    first = made_identity(tmp_path, NAMES, lambda: NOW)
    old = _load(first.certificate)
    again = made_identity(tmp_path, NAMES, lambda: NOW + dt.timedelta(days=800))
    assert _load(again.certificate).not_valid_after_utc > old.not_valid_after_utc
    assert again.fingerprint == first.fingerprint


def test_other_names_make_another_certificate(tmp_path: Path) -> None:
    first = made_identity(tmp_path, NAMES, lambda: NOW)
    serial = _load(first.certificate).serial_number
    again = made_identity(tmp_path, [*NAMES, "second.example"], lambda: NOW)
    assert _load(again.certificate).serial_number != serial
    assert "second.example" in _sans(_load(again.certificate)).get_values_for_type(x509.DNSName)


def test_a_lost_or_foreign_server_key_is_made_anew(tmp_path: Path) -> None:
    made = made_identity(tmp_path, NAMES, lambda: NOW)
    made.key.write_bytes(made_identity(tmp_path / "other", NAMES, lambda: NOW).key.read_bytes())
    again = made_identity(tmp_path, NAMES, lambda: NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(again.certificate, again.key)


def test_a_damaged_ca_is_not_replaced_in_silence(tmp_path: Path) -> None:
    made = made_identity(tmp_path, NAMES, lambda: NOW)
    assert made.ca is not None
    made.ca.write_bytes(b"nonsense")
    with pytest.raises(DefinitionError, match=r"ca\.pem"):
        made_identity(tmp_path, NAMES, lambda: NOW)
    assert made.ca.read_bytes() == b"nonsense"


def test_a_ca_at_its_end_says_so(tmp_path: Path) -> None:
    made_identity(tmp_path, NAMES, lambda: NOW)
    with pytest.raises(DefinitionError, match="ends on"):
        made_identity(tmp_path, NAMES, lambda: NOW + dt.timedelta(days=3650))


@pytest.mark.parametrize("name", ["", "a b", "host:5443", "https://x", "-x", "x" * 64])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        alternative_names([name])


def test_a_clock_that_is_known_to_be_wrong_makes_no_certificate(tmp_path: Path) -> None:
    years_ago = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(ClockError, match="2015-01-01") as caught:
        made_identity(tmp_path / "tls", NAMES, lambda: years_ago, NOW)
    # What is known may be of a clock that was ahead: then this one is right.
    assert "isoward recover --lower-clock" in caught.value.hint
    assert not list(tmp_path.glob("tls/*.pem"))


def test_a_certificate_that_is_there_is_served_whatever_the_clock_says(tmp_path: Path) -> None:
    made = made_identity(tmp_path, NAMES, lambda: NOW, NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    years_ago = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
    assert made_identity(tmp_path, NAMES, lambda: years_ago, NOW) == made
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ClockError):
        made_identity(tmp_path, ["other.example"], lambda: years_ago, NOW)


def test_a_ca_that_begins_in_the_future_is_refused(tmp_path: Path) -> None:
    ahead = NOW + dt.timedelta(days=40)
    made_identity(tmp_path, NAMES, lambda: ahead)
    with pytest.raises(DefinitionError, match="CA begins on 2026-04-09"):
        made_identity(tmp_path, NAMES, lambda: NOW)
