"""Statements that a site signs with its own keys: waivers and recoveries.

One person makes the file, each signer reads it in plain words and adds a signature, on any machine,
with or without the depot, and finally it is verified against the authority's threshold. From its
first signature on the file is a DSSE envelope over an in-toto statement.

Source: docs/FORMAT.md, "Statements of the site"; DSSE v1.0.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Generic, TypeVar

import msgspec

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.digest import Hex64
from bundle.base.documents import Document, Name, line
from bundle.base.errors import AttestationError, IsowardError, TrustError, UnknownKeyError
from bundle.base.limits import MIB
from bundle.model.attestation import (
    PAYLOAD_TYPE,
    Envelope,
    EnvelopeSignature,
    Statement,
    parse_statement,
    pre_authentication_encoding,
)
from bundle.store.layout import BundleDirectory
from bundle.trust.attestations.envelope import About, add_signatures, open_envelope, predicate_of
from bundle.trust.keys.stored import SigningKey, holder
from bundle.trust.keys.terms import CLOCK_TOLERANCE
from bundle.trust.site.authority import Authority, authority_keys

MAX_STATEMENT_BYTES: Final = 16 * MIB
MAX_LIFETIME_DAYS: Final = 30
"""How long a site's statement may be valid: an exception must not become the rule."""

Line = Annotated[str, line(1024, 1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class NamedKey(Document, frozen=True, kw_only=True):
    """Someone who may sign."""

    key_id: Hex64
    name: Line


class SitePredicate(Document, frozen=True, kw_only=True):
    """What every statement of a site says."""

    site: Name
    reason: Line
    created: Moment
    expires: Moment
    threshold: Annotated[int, msgspec.Meta(ge=1)]
    """How many must sign; shown to the signers, while the authority's own threshold decides."""
    signers: tuple[NamedKey, ...]


P = TypeVar("P", bound=SitePredicate)


class _Draft(Document, frozen=True, kw_only=True):
    """An envelope that may have no signature yet."""

    payload_type: str
    payload: str
    signatures: Annotated[tuple[EnvelopeSignature, ...], msgspec.Meta(max_length=64)]


@dataclass(frozen=True, slots=True)
class Kind(Generic[P]):
    """A kind of statement.

    Attributes:
        subject: Name of its subject.
        predicate_type: A URI.
        predicate: Its structure.
        error: Raised if it is not valid.
        word: What people call it.
        command: The command that makes, signs and uses it.
    """

    subject: str
    predicate_type: str
    predicate: type[P]
    error: type[TrustError]
    word: str
    command: str


@dataclass(frozen=True, slots=True)
class SignedBySite(Generic[P]):
    """A statement that enough of the site's keys signed, and that is valid now."""

    predicate: P
    digest: str
    """Of what it is about."""
    signers: tuple[str, ...]


def names_of_signers(authority: Authority) -> tuple[NamedKey, ...]:
    """Return who may sign, to be included in a statement."""
    return tuple(NamedKey(key_id=key.key_id, name=key.name) for key in authority.keys)


def draft(payload: bytes) -> bytes:
    """Return a file without signatures."""
    text = base64.b64encode(payload).decode("ascii")
    return canonical_json(_Draft(payload_type=PAYLOAD_TYPE, payload=text, signatures=()))


def read_statement(path: Path) -> bytes:
    """Read a statement's file.

    Raises:
        IntegrityError: It is missing, a link or too large.
    """
    absolute = path.absolute()
    return BundleDirectory(absolute.parent).read_small(absolute.name, MAX_STATEMENT_BYTES)


def look_at(data: bytes, kind: Kind[P], where: str) -> tuple[P, str, tuple[str, ...]]:
    """Read what a file says, without verifying signatures.

    Returns:
        The predicate, the digest of its subject, and the key ids that claim to have signed.
    Raises:
        TrustError: `kind.error`: it is not such a statement.
    """
    found, payload = _decode(data, kind, where)
    statement = _statement(payload, kind, where)
    digest = f"sha256:{statement.subject[0].digest.get('sha256', '')}"
    encoded = canonical_json(statement.predicate)
    try:
        predicate = decode_canonical(encoded, kind.predicate, where)
    except IsowardError as error:
        raise _not_one(kind, where, error.message) from error
    return predicate, digest, tuple(signature.keyid for signature in found.signatures)


def sign(data: bytes, kind: Kind[P], signer: SigningKey, where: str) -> tuple[bytes, str, bool]:
    """Add a signature.

    Returns:
        The file's new content, the signer's name, and whether the signature is new.
    Raises:
        UnknownKeyError: The key does not belong to the site.
        TrustError: `kind.error`: it is not such a statement.
    """
    predicate, _, signed = look_at(data, kind, where)
    key_id = signer.public_key.keyid
    names = {key.key_id: key.name for key in predicate.signers}
    if key_id not in names:
        raise UnknownKeyError(
            f"key {key_id[:16]} is not the site's: {', '.join(names.values())} may sign",
            "Sign with the private key of one of them.",
        )
    if key_id in signed:
        return data, names[key_id], False
    found, payload = _decode(data, kind, where)
    envelope = Envelope(
        payload_type=PAYLOAD_TYPE, payload=found.payload, signatures=found.signatures
    )
    message = pre_authentication_encoding(PAYLOAD_TYPE, payload)
    return add_signatures(envelope, message, (signer,)), names[key_id], True


def open_signed(
    data: bytes, kind: Kind[P], authority: Authority | None, now: datetime, where: str
) -> SignedBySite[P]:
    """Verify a statement: signatures, threshold, site and time.

    Raises:
        TrustError: `kind.error`: one of these checks failed.
    """
    if authority is None:
        raise kind.error(
            f"{where}: this site has named no keys of its own, so a {kind.word} cannot be signed",
            "They are named at `isoward enroll --site-key`, before the first import.",
        )
    predicate, digest, signed = look_at(data, kind, where)
    if len(signed) < authority.threshold:
        raise kind.error(
            f"{where}: signed by {len(signed)} of {authority.threshold} required people",
            f"Ask more of {authority.names} to run `isoward {kind.command} sign`.",
            {"expected": authority.threshold, "found": len(signed)},
        )
    try:
        opened = open_envelope(data, authority_keys(authority), where)
        predicate = predicate_of(
            opened,
            About(kind.subject, digest),
            kind.predicate_type,
            type_=kind.predicate,
            where=where,
        )
    except AttestationError as error:
        raise kind.error(error.message, f"Make a new {kind.word} and have it signed.") from error
    # Every counted signature is valid, each by a different key: open_envelope refuses others.
    _check_terms(predicate, kind, authority, now=now, where=where)
    return SignedBySite(predicate, digest, tuple(sorted(holder(key) for key in opened.signers)))


def _check_terms(
    predicate: SitePredicate, kind: Kind[P], authority: Authority, now: datetime, where: str
) -> None:
    if predicate.site != authority.site:
        raise kind.error(
            f"{where}: the {kind.word} is for the site {predicate.site!r}, but this site is "
            f"{authority.site!r}",
            f"Each site must sign its own {kind.word}.",
        )
    longest = timedelta(days=MAX_LIFETIME_DAYS)
    if not timedelta(0) < predicate.expires - predicate.created <= longest:
        raise kind.error(
            f"{where}: expected at most {MAX_LIFETIME_DAYS} days between creation and expiry",
            f"Make a new {kind.word}.",
        )
    if now >= predicate.expires:
        raise kind.error(
            f"{where}: the {kind.word} expired on {predicate.expires:%Y-%m-%d %H:%M} UTC",
            f"Make a new {kind.word} and have it signed, or ask the vendor for a fresh release.",
        )
    if now < predicate.created - CLOCK_TOLERANCE:
        raise kind.error(
            f"{where}: the {kind.word} was made on {predicate.created:%Y-%m-%d %H:%M} UTC, which "
            f"is later than this machine's clock, {now:%Y-%m-%d %H:%M} UTC",
            "Correct the clock, then run the command again.",
        )


def _decode(data: bytes, kind: Kind[P], where: str) -> tuple[_Draft, bytes]:
    try:
        found = msgspec.json.decode(data, type=_Draft)
        payload = base64.b64decode(found.payload, validate=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _not_one(kind, where, str(error)) from error
    if found.payload_type != PAYLOAD_TYPE or canonical_json(found) != data:
        raise _not_one(kind, where, "another type of payload, or another encoding")
    return found, payload


def _statement(payload: bytes, kind: Kind[P], where: str) -> Statement:
    try:
        statement = parse_statement(payload, where)
    except AttestationError as error:
        raise _not_one(kind, where, error.message) from error
    if statement.predicate_type != kind.predicate_type:
        raise _not_one(kind, where, f"it is a {statement.predicate_type[:100]!r}")
    return statement


def _not_one(kind: Kind[P], where: str, why: str) -> TrustError:
    return kind.error(
        f"{where}: expected a {kind.word}, found something else: {why}",
        f"Give the file that `isoward {kind.command}` made.",
    )
