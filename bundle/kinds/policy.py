"""Signature rules: who must have signed an upstream image, or why it need not be signed.

A definition (which names files), a lock, bundle.json and a site's own policy (with the files' text
inlined) all have this shape, so that what was verified online is verified again inside the gap.
"""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.digest import Digest
from bundle.base.documents import Document, Text, block, line
from bundle.base.errors import DefinitionError
from bundle.base.patterns import formed

Pattern = Annotated[
    str,
    formed(
        r"^[^\s]+$(?!\n)",
        "a pattern without spaces",
        "registry.example.org/app/**",
        min_length=1,
        max_length=512,
    ),
]
Material = Annotated[str, block(262_144, 1)]
"""A path in a document that a person writes; the text of that file everywhere else."""
Day = Annotated[
    str,
    formed(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)",
        "a day as year, month and day",
        "2027-01-31",
        max_length=10,
    ),
]
Method = Literal["cosign", "keyless", "notation", "unsigned"]
_METHODS: Final[tuple[Method, ...]] = ("cosign", "keyless", "notation", "unsigned")


class CosignRule(Document, frozen=True, kw_only=True):
    """Signed with cosign and this public key, in PEM."""

    key: Material


class KeylessRule(Document, frozen=True, kw_only=True):
    """Signed by an identity that an issuer vouched for, by Sigstore; verified offline."""

    identity: Text | None = None
    identity_regexp: Text | None = None
    issuer: Text
    trusted_root: Material
    """Sigstore's trusted root, JSON, which is carried."""


class NotationRule(Document, frozen=True, kw_only=True):
    """Signed with Notation by a certificate below this one, in PEM."""

    certificate: Material


class UnsignedRule(Document, frozen=True, kw_only=True):
    """A waiver: unsigned, why that is accepted, and until when."""

    reason: Annotated[str, line(4096, 1)]
    approved_by: Annotated[str, line(256, 1)]
    expires: Day
    ticket: Annotated[str, line(256, 1)]


class SignatureRule(Document, frozen=True, kw_only=True):
    """Exactly one method, for the images that match."""

    images: Annotated[tuple[Pattern, ...], msgspec.Meta(min_length=1)]
    cosign: CosignRule | None = None
    keyless: KeylessRule | None = None
    notation: NotationRule | None = None
    unsigned: UnsignedRule | None = None

    @property
    def method(self) -> Method:
        """The name of the rule's method."""
        return next(name for name in _METHODS if getattr(self, name) is not None)


class VerifiedBy(Document, frozen=True, kw_only=True):
    """How an image satisfied its rule; for a waiver, that one exists."""

    rule: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    """Index in the list of rules."""
    method: Method
    signer: Text
    """The key's fingerprint, the identity and its issuer, the certificate's subject; for a waiver
    who approved it."""
    digest: Digest | None = None
    """Of the manifest that carries the signature."""
    subject: Digest | None = None
    """What is signed: the image's index, or a platform's manifest."""
    predicate: Text = ""
    """The type of the attested statement; empty for a plain signature."""
    ticket: Text = ""
    expires: Text = ""


class SitePolicy(Document, frozen=True, kw_only=True):
    """What a site requires beyond the rules of a bundle.

    Source: docs/FORMAT.md, "Site policy".
    """

    api_version: Literal["isoward/v1"]
    kind: Literal["SitePolicy"]
    signatures: Annotated[tuple[SignatureRule, ...], msgspec.Meta(min_length=1)]


def describe_verified(entry: VerifiedBy) -> str:
    """Return one line about how an image satisfied its rule."""
    if entry.method == "unsigned":
        return f"not signed: waived until {entry.expires} by {entry.signer}, ticket {entry.ticket}"
    what = f"attested ({entry.predicate})" if entry.predicate else "signed"
    return f"{what} by {entry.method}: {entry.signer}"


def check_rules(rules: tuple[SignatureRule, ...], where: str = "signatures") -> None:
    """Check what the type alone cannot express.

    Raises:
        DefinitionError: A rule has no method or several, or an impossible one.
    """
    for i, rule in enumerate(rules):
        check_rule(rule, f"{where}[{i}]")


def check_rule(rule: SignatureRule, where: str) -> None:
    """Check what the structure of one rule alone cannot say.

    Raises:
        DefinitionError: It has no method or several, or an impossible one.
    """
    methods = [name for name in _METHODS if getattr(rule, name) is not None]
    if len(methods) != 1:
        raise DefinitionError(
            f"{where}: expected one of {', '.join(_METHODS)}, found "
            f"{' and '.join(methods) or 'none'}",
            "Give exactly one signing method for these images.",
        )
    if rule.keyless is not None:
        _check_keyless(rule.keyless, f"{where}.keyless")
    if rule.unsigned is not None:
        expiry_of(rule.unsigned, f"{where}.unsigned")


def expiry_of(rule: UnsignedRule, where: str) -> dt.date:
    """Return the last day on which a waiver holds.

    Raises:
        DefinitionError: No such day.
    """
    try:
        return dt.date.fromisoformat(rule.expires)
    except ValueError as error:
        raise DefinitionError(
            f"{where}.expires: {rule.expires!r} is not a date", "Write it as 2027-01-31."
        ) from error


def rule_for(
    rules: tuple[SignatureRule, ...], name: str
) -> tuple[int, SignatureRule] | tuple[None, None]:
    """Return the first rule whose pattern matches an image, and its index.

    Args:
        rules: In order.
        name: Registry and repository, without tag and digest.
    """
    for i, rule in enumerate(rules):
        if any(_compiled(pattern).fullmatch(name) for pattern in rule.images):
            return i, rule
    return None, None


def _check_keyless(rule: KeylessRule, where: str) -> None:
    if (rule.identity is None) == (rule.identity_regexp is None):
        raise DefinitionError(
            f"{where}: expected either identity or identityRegexp", "Give exactly one of the two."
        )
    try:
        re.compile(rule.identity_regexp or "")
    except re.error as error:
        raise DefinitionError(
            f"{where}.identityRegexp: {error}", "Correct the regular expression."
        ) from error


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a glob: `*` stays within a path segment, `**` does not."""
    parts = re.split(r"(\*\*|\*)", pattern)
    wild = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(wild.get(part) or re.escape(part) for part in parts))
