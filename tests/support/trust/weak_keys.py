"""Public keys under which anybody can sign, in every spelling that some reader takes."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import serialization

_P: Final = 2**255 - 19
_SIGN: Final = 1 << 255
_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_DER_ED25519: Final = bytes.fromhex("302a300506032b6570032100")
_DER_RSA: Final = bytes.fromhex("300d06092a864886f70d0101010500")


def small_order_points() -> dict[str, bytes]:
    """Return every encoding of the eight points of small order: with either sign, and beyond p."""
    named = {
        "zero": 1,
        "order-2": _P - 1,
        "order-4": 0,
        "order-8": _ORDER_8,
        "order-8-other": _P - _ORDER_8,
        "zero-beyond-p": _P + 1,
        "order-4-beyond-p": _P,
    }
    return {
        f"{name}-{word}": (value | sign).to_bytes(32, "little")
        for name, value in named.items()
        for word, sign in (("even", 0), ("odd", _SIGN))
    }


def pem_of_ed25519(point: bytes) -> str:
    """Return 32 bytes as a public key in PEM; OpenSSL takes any."""
    key = serialization.load_der_public_key(_DER_ED25519 + point)
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def der_of_rsa(modulus: int, exponent: int) -> bytes:
    """Return any two numbers as an RSA public key in DER."""
    numbers = _tagged(0x30, _number(modulus) + _number(exponent))
    return _tagged(0x30, _DER_RSA + _tagged(0x03, b"\0" + numbers))


def _number(value: int) -> bytes:
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _tagged(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    return bytes([tag, 0x82]) + size.to_bytes(2, "big") + body
