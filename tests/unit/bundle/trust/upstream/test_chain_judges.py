"""Two judges of a Notation chain: ours, and cryptography's verifier as far as it goes (ADR 40)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from bundle.trust.upstream.chain import check_chain
from bundle.trust.upstream.verdict import NotGoodError
from tests.support.registries.signing import NOW
from tests.support.trust.notation_world import DAY, Holder, authority, certificate

Chain = Sequence[x509.Certificate]
Case = tuple[Chain, x509.Certificate]
_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")


def _below(top: Holder, **fields: Any) -> Case:
    return certificate("publisher", top, **fields).chain, top.certificate


def _between(top: Holder | None = None, **fields: Any) -> Case:
    top = top or authority()
    middle = certificate("middle", top, **{"ca": True, **fields})
    return certificate("publisher", middle).chain, top.certificate


def _alone(**fields: Any) -> Case:
    holder = certificate("publisher", **fields)
    return holder.chain, holder.certificate


def _named(**fields: Any) -> Case:
    holder = certificate("publisher", authority(), **fields)
    return holder.chain, holder.certificate


def _anchor_between() -> Case:
    chain, _ = _between()
    return chain, chain[1]


def _out_of_order() -> Case:
    (leaf, middle, top), anchor = _between()
    return (leaf, top, middle), anchor


def _without_anchor() -> Case:
    chain, anchor = _between()
    return chain[:-1], anchor


def _with_a_stranger() -> Case:
    (leaf, top), anchor = _below(authority())
    return (leaf, authority("stranger").certificate, top), anchor


def _forged() -> Case:
    (leaf, _), _ = _below(authority())
    top = authority()
    return (leaf, top.certificate), top.certificate


def _with_a_short_salt() -> Case:
    top = authority(algorithm="PS256")
    leaf = certificate("publisher", top).certificate
    builder = x509.CertificateBuilder(
        leaf.issuer, leaf.subject, leaf.public_key(), leaf.serial_number,
        leaf.not_valid_before_utc, leaf.not_valid_after_utc, list(leaf.extensions),
    )  # fmt: skip
    short = padding.PSS(padding.MGF1(hashes.SHA256()), 20)
    assert isinstance(top.key, rsa.RSAPrivateKey)
    again = builder.sign(top.key, hashes.SHA256(), rsa_padding=short)
    return (again, top.certificate), top.certificate


BOTH_ACCEPT: dict[str, Callable[[], Case]] = {
    "below": lambda: _below(authority()),
    "between": _between,
    "anchor-between": _anchor_between,
    "alone": _alone,
    "named": _named,
    **{
        algorithm: lambda algorithm=algorithm: _below(  # type: ignore[misc]
            authority(algorithm=algorithm), algorithm=algorithm
        )
        for algorithm in ("ES384", "ES512", "PS256")
    },
}
BOTH_REFUSE: dict[str, Callable[[], Case]] = {
    "expired": lambda: _below(authority(), last=NOW - DAY),
    "expired-alone": lambda: _alone(last=NOW - DAY),
    "expired-between": lambda: _between(last=NOW - DAY),
    "expired-anchor": lambda: _below(authority(last=NOW - DAY)),
    "not-yet": lambda: _below(authority(first=NOW + DAY)),
    "path-length": lambda: _between(authority(path_length=0)),
    "unknown": lambda: _below(authority(), extra=_UNKNOWN),
    "unknown-named": lambda: _named(extra=_UNKNOWN),
    "unknown-between": lambda: _between(extra=_UNKNOWN),
    "no-authority": lambda: _between(ca=False),
    "weak-anchor": lambda: _below(authority(algorithm="weak")),
    "forged": _forged,
    "another-purpose": lambda: _below(authority(), purposes=[ExtendedKeyUsageOID.SERVER_AUTH]),
}
ONLY_OURS_REFUSES: dict[str, Callable[[], Case]] = {
    "weak": lambda: _below(authority(), algorithm="weak"),
    "out-of-order": _out_of_order,
    "without-anchor": _without_anchor,
    "with-a-stranger": _with_a_stranger,
    "name-constraints": lambda: _between(
        extra=x509.NameConstraints(None, [x509.DNSName("example.org")])
    ),
}


def _ours(chain: Chain, anchor: x509.Certificate) -> bool:
    try:
        check_chain(chain, anchor, NOW)
    except NotGoodError:
        return False
    return True


def _purposes(_: Policy, __: x509.Certificate, found: x509.ExtendedKeyUsage | None) -> None:
    if found is not None and list(found) != [ExtendedKeyUsageOID.CODE_SIGNING]:
        raise ValueError("another purpose")


def _theirs(chain: Chain, anchor: x509.Certificate) -> bool:
    """As near to Notation's demands as the library's own checks go."""
    authorities = ExtensionPolicy.permit_all().require_present(
        x509.BasicConstraints, Criticality.CRITICAL, None
    )
    signers = ExtensionPolicy.permit_all().may_be_present(
        x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _purposes
    )
    policy = PolicyBuilder().store(Store([anchor])).time(NOW).max_chain_depth(8)
    policy = policy.extension_policies(ca_policy=authorities, ee_policy=signers)
    try:
        policy.build_client_verifier().verify(chain[0], list(chain[1:]))
    except VerificationError:
        return False
    return True


@pytest.mark.parametrize("name", BOTH_ACCEPT)
def test_both_accept_a_good_chain(name: str) -> None:
    case = BOTH_ACCEPT[name]()
    assert (_ours(*case), _theirs(*case)) == (True, True)


@pytest.mark.parametrize("name", BOTH_REFUSE)
def test_both_refuse_a_bad_chain(name: str) -> None:
    case = BOTH_REFUSE[name]()
    assert (_ours(*case), _theirs(*case)) == (False, False)


@pytest.mark.parametrize("name", ONLY_OURS_REFUSES)
def test_what_the_library_lets_through_is_why_ours_stays(name: str) -> None:
    case = ONLY_OURS_REFUSES[name]()
    assert (_ours(*case), _theirs(*case)) == (False, True)


def test_the_one_chain_that_only_ours_accepts() -> None:
    """The web's profile knows one length of salt for each digest; the signature is good."""
    case = _with_a_short_salt()
    assert (_ours(*case), _theirs(*case)) == (True, False)
