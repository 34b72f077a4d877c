"""Certificates as they once were, which today's libraries read and do not make."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

_VERSION, _EXTENSIONS = 0xA0, 0xA3
_ECDSA_SHA1 = bytes.fromhex("06072a8648ce3d0401")


def version_one(found: x509.Certificate, issuer: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate without its version and extensions, signed anew; PEM."""
    fields = _elements(_content(found.tbs_certificate_bytes))
    kept = [field for field in fields if field[0] not in {_VERSION, _EXTENSIONS}]
    return _signed(kept, fields[2], issuer, hashes.SHA256())


def negative_serial(found: x509.Certificate, issuer: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate whose serial number is below zero, signed anew; PEM."""
    fields = _elements(_content(found.tbs_certificate_bytes))
    fields[1] = _element(0x02, b"\x83\xe8")
    return _signed(fields, fields[2], issuer, hashes.SHA256())


def over_sha1(found: x509.Certificate, issuer: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate that is signed over SHA-1; PEM."""
    fields = _elements(_content(found.tbs_certificate_bytes))
    fields[2] = _element(0x30, _ECDSA_SHA1)
    return _signed(fields, fields[2], issuer, hashes.SHA1())


def _signed(
    fields: list[bytes],
    algorithm: bytes,
    issuer: ec.EllipticCurvePrivateKey,
    over: hashes.HashAlgorithm,
) -> bytes:
    body = _element(0x30, b"".join(fields))
    signature = _element(0x03, b"\0" + issuer.sign(body, ec.ECDSA(over)))
    made = _element(0x30, body + algorithm + signature)
    text = base64.encodebytes(made).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n".encode()


def _span(data: bytes) -> tuple[int, int]:
    """Return where an element's content begins and ends."""
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return start, start + length


def _content(data: bytes) -> bytes:
    start, end = _span(data)
    return data[start:end]


def _elements(data: bytes) -> list[bytes]:
    found = []
    while data:
        _, end = _span(data)
        found.append(data[:end])
        data = data[end:]
    return found


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
