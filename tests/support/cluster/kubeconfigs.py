"""The certificates of a cluster on loopback, and kubeconfigs as kubeadm writes them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

ADMIN_GROUP = "system:masters"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


def write_pki(folder: Path, port: int) -> Pair:
    """Write a CA, the server's certificate, the administrator's, and their kubeconfig."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("kubernetes", ca_key, None, None)
    (folder / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    issuer = (ca, ca_key)
    _issue(folder / "server", "kube-apiserver", issuer)
    admin = _issue(folder / "admin", "kubernetes-admin", issuer, ADMIN_GROUP)
    account = rsa.generate_private_key(65537, 2048)
    (folder / "account.pem").write_bytes(_pem(account))
    config = kubeconfig_data(
        f"https://127.0.0.1:{port}",
        (folder / "ca.crt").read_bytes(),
        admin.certificate.read_bytes(),
        admin.key.read_bytes(),
    )
    path = folder / "admin.conf"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return admin


def kubeconfig_data(server: str, ca: bytes, certificate: bytes, key: bytes) -> dict[str, Any]:
    """Return a kubeconfig as kubeadm writes it."""
    ca_text, certificate_text, key_text = (
        base64.b64encode(data).decode() for data in (ca, certificate, key)
    )
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": "kubernetes-admin-cluster.local@cluster.local",
        "clusters": [
            {
                "name": "cluster.local",
                "cluster": {"certificate-authority-data": ca_text, "server": server},
            }
        ],
        "contexts": [
            {
                "name": "kubernetes-admin-cluster.local@cluster.local",
                "context": {"cluster": "cluster.local", "user": "kubernetes-admin"},
            }
        ],
        "users": [
            {
                "name": "kubernetes-admin",
                "user": {
                    "client-certificate-data": certificate_text,
                    "client-key-data": key_text,
                },
            }
        ],
    }


_Issuer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _issue(path: Path, name: str, issuer: _Issuer, group: str | None = None) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    pair = Pair(path.with_suffix(".crt"), path.with_suffix(".key"))
    certificate = _certificate(name, key, issuer, group)
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.touch(mode=0o600)
    pair.key.write_bytes(_pem(key))
    return pair


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: _Issuer | None, group: str | None
) -> x509.Certificate:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    if group is not None:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    subject, now = x509.Name(parts), datetime.now(UTC)
    by, signing = (issuer[0].subject, issuer[1]) if issuer else (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()),
            critical=False,
        )
    )
    return builder.sign(signing, hashes.SHA256())


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
