"""Weak public keys: well-formed, but anyone can sign under them.

Under an Ed25519 key of small order one signature is valid for every message, and no library checks
for that: OpenSSL accepts any 32 bytes. A key must be the canonical encoding of a point in the group
that the base point generates, as every properly generated key is. Only public values are computed
with, so timing reveals nothing.

Source: RFC 8032, sections 5.1.3 and 5.1.7; FIPS 186-5, appendix A.1.1; FIPS 204, section 5.3.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, isqrt, prod
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
"""A larger one only makes each check slow."""

_P: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1: Final = pow(2, (_P - 1) // 4, _P)
_ED25519_BYTES: Final = 32
_MLDSA_SEED_BYTES: Final = 32

_SMALL_PRIMES: Final = prod(range(3, 2000, 2))
"""Has every odd prime factor below 2,000."""
_FERMAT_STEPS: Final = 100

_Point: TypeAlias = tuple[int, int, int, int]
"""Extended coordinates: X, Y, Z and T, with x = X/Z, y = Y/Z and xy = T/Z."""


def weakness(key: object) -> str:
    """Describe what is wrong with a public key; empty for a good one.

    Args:
        key: Any public key of the cryptography library, which has checked that an ECDSA key is a
            point of its curve.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        good = is_sound_ed25519(key.public_bytes_raw())
        return "" if good else "anyone can sign under it (a point of small order, or not a point)"
    if isinstance(key, rsa.RSAPublicKey):
        return _rsa_weakness(key)
    if isinstance(key, MLDSA65PublicKey):
        # A key that was made has hardly a zero there; with zeros alone any signature is easy.
        rest = key.public_bytes_raw()[_MLDSA_SEED_BYTES:]
        return "anyone can sign under it (zeros)" if rest.count(0) > len(rest) // 2 else ""
    return "" if isinstance(key, ec.EllipticCurvePublicKey) else "its type is not supported"


def _rsa_weakness(key: rsa.RSAPublicKey) -> str:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return f"expected {MIN_RSA_BITS} to {MAX_RSA_BITS} bits of RSA, found {key.key_size}"
    # Of the exponent the library has checked that it is odd, and more than 1.
    wrong = _modulus_weakness(key.public_numbers().n)
    return f"anyone can sign under it ({wrong} for RSA)" if wrong else ""


@lru_cache(maxsize=256)
def _modulus_weakness(modulus: int) -> str:
    """Describe why a modulus is easy to factor: it must be the product of two large primes."""
    if modulus % 2 == 0:
        return "an even number"
    if gcd(modulus, _SMALL_PRIMES) > 1:
        return "a number with a small factor"
    # Of a prime everybody knows the private exponent.
    if pow(2, modulus - 1, modulus) == 1:
        return "a prime number"
    root = isqrt(modulus)
    for half in range(root, root + _FERMAT_STEPS):
        rest = half * half - modulus
        if rest >= 0 and isqrt(rest) ** 2 == rest:
            return "a square, or two adjacent primes,"
    return ""


@lru_cache(maxsize=1024)
def is_sound_ed25519(data: bytes) -> bool:
    """Return whether bytes canonically encode a point of the prime-order group other than zero."""
    point = _decode(data)
    if point is None:
        return False
    x, y, z, _ = _times(_ORDER, point)
    return x == 0 and y == z


def _decode(data: bytes) -> _Point | None:
    if len(data) != _ED25519_BYTES:
        return None
    value = int.from_bytes(data, "little")
    y, odd = value % 2**255, value >> 255
    if y >= _P:
        return None
    x = _root((y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P)
    # x = 0 is zero itself, or of order 2.
    if not x:
        return None
    x = x if x % 2 == odd else _P - x
    return x, y, 1, x * y % _P


def _root(square: int) -> int | None:
    """Return a square root modulo p, which is 5 modulo 8; None if there is none."""
    found = pow(square, (_P + 3) // 8, _P)
    for root in (found, found * _ROOT_OF_MINUS_1 % _P):
        if root * root % _P == square:
            return root
    return None


def _times(factor: int, point: _Point) -> _Point:
    made: _Point = (0, 1, 1, 0)
    for bit in f"{factor:b}":
        made = _add(made, made)
        if bit == "1":
            made = _add(made, point)
    return made


def _add(first: _Point, second: _Point) -> _Point:
    """Add two points; the formula is complete, so that it holds for equal ones and for zero too."""
    x1, y1, z1, t1 = first
    x2, y2, z2, t2 = second
    a, b = (y1 - x1) * (y2 - x2) % _P, (y1 + x1) * (y2 + x2) % _P
    c, d = 2 * t1 * t2 * _D % _P, 2 * z1 * z2 % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P
