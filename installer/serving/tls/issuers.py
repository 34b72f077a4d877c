"""Whether the issuers in a site's chain may have issued the server's certificate, by Go's rules.

A chain whose signatures are right is refused all the same where an issuer is no authority, is one
for other purposes or names, or has too many authorities below it.

Source: Go's crypto/x509 (Certificate.isValid, CheckSignatureFrom, checkChainForKeyUsage);
RFC 5280, sections 4.2.1.9, 4.2.1.10 and 4.2.1.12.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundle.base.plain import visible

_FOR_SERVERS: Final = frozenset(
    {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)
_CONSTRAINED: Final = (
    x509.DNSName,
    x509.IPAddress,
    x509.RFC822Name,
    x509.UniformResourceIdentifier,
)
"""The kinds of names that Go compares with constraints."""
_Names: TypeAlias = Iterable[x509.GeneralName] | None


def issuer_problems(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    """Say why an issuer in a chain does not count.

    Args:
        chain: The server's certificate, then each one's issuer, as far as they are given.
    """
    names = _names_of(chain[0])
    for below, issuer in enumerate(chain[1:]):
        which = f"certificate {below + 2} of the file"
        yield from (f"{which} {problem}" for problem in _authority_problems(issuer, below))
        yield from (f"{which} {problem}" for problem in _name_problems(issuer, names))


def is_for_servers(found: x509.Certificate) -> bool:
    """Say whether a certificate, or one that it issued, may be a server's."""
    try:
        usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return not _FOR_SERVERS.isdisjoint(usage)


def has_issued(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    """Say whether one certificate is signed by another, in a form that Go reads."""
    try:
        lower.verify_directly_issued_by(upper)
        key, algorithm = upper.public_key(), lower.signature_hash_algorithm
        pss = isinstance(lower.signature_algorithm_parameters, padding.PSS)
        if pss and isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            # Go takes a salt as long as the digest, and the same digest for the mask, only.
            form = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
            key.verify(lower.signature, lower.tbs_certificate_bytes, form, algorithm)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _authority_problems(issuer: x509.Certificate, below: int) -> Iterator[str]:
    extensions = issuer.extensions
    try:
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = None
    if issuer.version is x509.Version.v3 and (basic is None or not basic.ca):
        yield "is not an authority's (basicConstraints without CA), and so may issue none"
    elif basic is not None and basic.path_length is not None and below > basic.path_length:
        yield (
            f"allows {basic.path_length} authorities below it (pathLenConstraint), and the file has"
            f" {below}"
        )
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and not usage.key_cert_sign:
        yield "may not sign certificates (keyUsage without keyCertSign)"
    if not is_for_servers(issuer):
        yield "may not issue for servers (extendedKeyUsage without serverAuth)"


def _names_of(leaf: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _name_problems(issuer: x509.Certificate, names: Sequence[x509.GeneralName]) -> Iterator[str]:
    try:
        found = issuer.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return
    permitted, excluded = found.value.permitted_subtrees, found.value.excluded_subtrees
    known = all(isinstance(tree, _CONSTRAINED) for tree in [*(permitted or ()), *(excluded or ())])
    if found.critical and not known:
        yield "has critical nameConstraints of a kind that Go does not know"
    for name in names:
        if not _is_permitted(name, permitted) or _is_excluded(name, excluded):
            yield f"may not issue for {visible(str(name.value))} (nameConstraints)"


def _is_permitted(name: x509.GeneralName, trees: _Names) -> bool:
    """Say whether a name is below one of the trees of its kind; without one all are."""
    if isinstance(name, x509.DNSName):
        domains = [tree.value for tree in trees or () if isinstance(tree, x509.DNSName)]
        return not domains or any(_is_below(name.value, domain) for domain in domains)
    if isinstance(name, x509.IPAddress):
        networks = [tree for tree in trees or () if isinstance(tree, x509.IPAddress)]
        return not networks or any(_is_within(name, network) for network in networks)
    return True


def _is_excluded(name: x509.GeneralName, trees: _Names) -> bool:
    for tree in trees or ():
        if isinstance(name, x509.DNSName) and isinstance(tree, x509.DNSName):
            # What `*` may stand for is excluded as well.
            stands_for = name.value.startswith("*.") and (
                tree.value.lower().partition(".")[2] == name.value[2:].lower()
            )
            if stands_for or _is_below(name.value, tree.value):
                return True
        if isinstance(tree, x509.IPAddress) and _is_within(name, tree):
            return True
    return False


def _is_below(name: str, domain: str) -> bool:
    """Say whether a host name is a domain or below it; with a leading dot, only below."""
    host, above = name.lower(), domain.lower()
    return not above or (host == above) or host.endswith(f".{above.removeprefix('.')}")


def _is_within(name: x509.GeneralName, network: x509.IPAddress) -> bool:
    # Addresses of the other version are in no network.
    return isinstance(name, x509.IPAddress) and name.value in network.value  # type: ignore[operator]
