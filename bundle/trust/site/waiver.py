"""A waiver: the site itself accepts one release although its metadata has expired.

For an emergency in which the vendor cannot be reached. It waives the expiry of exactly one
bundle.json and nothing else, is valid for at most 30 days, and every later report shows it.

Source: docs/FORMAT.md, "Statements of the site"; docs/runbooks/waiver.md.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.canonical import canonical_json
from bundle.base.digest import Digest, hex_of
from bundle.base.documents import Document, Name, Version
from bundle.base.errors import IsowardError, UsageError, WaiverError
from bundle.model.attestation import WAIVER, make_statement
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.terms import TARGET_NAME
from bundle.trust.site.authority import Authority, load_authority
from bundle.trust.site.ledger import BUNDLES
from bundle.trust.site.statement import (
    MAX_LIFETIME_DAYS,
    MAX_STATEMENT_BYTES,
    Kind,
    Line,
    Moment,
    SitePredicate,
    draft,
    names_of_signers,
    open_signed,
)

_MAKER: Final = object()
"""Private to this module: without it no GrantedWaiver can be made."""

WAIVER_NAME: Final = "waiver.dsse.json"
"""Its file name next to an imported bundle."""


class ExpiredFile(Document, frozen=True, kw_only=True):
    """A metadata file that has expired, for the signers to see."""

    file: Line
    expired: Moment


class WaiverPredicate(SitePredicate, frozen=True, kw_only=True):
    """The predicate urn:isoward:waiver:v1."""

    waives: Literal["expired"]
    ticket: Line
    name: Name
    version: Version
    release: Annotated[int, msgspec.Meta(ge=1)]
    root: Digest
    """Fingerprint of the enrolled root."""
    files: tuple[ExpiredFile, ...]


KIND: Final = Kind(
    TARGET_NAME, WAIVER, WaiverPredicate, error=WaiverError, word="waiver", command="waiver"
)


@dataclass(frozen=True, slots=True)
class ExpiredRelease:
    """A release that would be accepted except for its expiry.

    Attributes:
        name: Of the bundle.
        version: Of the bundle.
        release: The release number.
        digest: Of bundle.json.
        root: Fingerprint of the enrolled root.
        files: What has expired, and when.
    """

    name: str
    version: str
    release: int
    digest: str
    root: str
    files: tuple[tuple[str, datetime], ...]


@dataclass(frozen=True, slots=True)
class WaiverRequest:
    """What the site's people are asked for.

    Attributes:
        reason: Why the release is needed now.
        ticket: Where the decision is written down.
        days: How long the waiver holds.
    """

    reason: str
    ticket: str
    days: int


@dataclass(frozen=True)
class GrantedWaiver:
    """A verified waiver; only this module makes one.

    Attributes:
        predicate: What it says.
        digest: Of the one bundle.json that it is for.
        signers: The names of those who signed.
        data: The file.
    """

    predicate: WaiverPredicate
    digest: str
    signers: tuple[str, ...]
    data: bytes = field(repr=False)
    maker: InitVar[object]

    def __post_init__(self, maker: object) -> None:
        if maker is not _MAKER:
            raise TypeError("a GrantedWaiver comes from bundle.trust.site.waiver only")


def draft_waiver(
    expired: ExpiredRelease, authority: Authority | None, request: WaiverRequest, now: datetime
) -> bytes:
    """Make a waiver without signatures.

    Args:
        expired: What it is for.
        authority: The site's own keys.
        request: Why, and for how long.
        now: The clock, in UTC.
    Raises:
        WaiverError: The site has named no keys.
        UsageError: The reason, the ticket or the number of days is not valid.
    """
    if authority is None:
        raise WaiverError(
            "this site has named no keys of its own, so nobody can sign a waiver",
            "They are named at `isoward enroll --site-key`, before the first import.",
        )
    if not 1 <= request.days <= MAX_LIFETIME_DAYS:
        raise UsageError(
            f"--days: expected 1 to {MAX_LIFETIME_DAYS}, found {request.days}",
            "A waiver is meant to be a short exception.",
        )
    created = now.replace(microsecond=0)
    predicate = WaiverPredicate(
        site=authority.site,
        reason=require_line(request.reason, "--reason"),
        ticket=require_line(request.ticket, "--ticket"),
        created=created,
        expires=created + timedelta(days=request.days),
        threshold=authority.threshold,
        signers=names_of_signers(authority),
        waives="expired",
        name=expired.name,
        version=expired.version,
        release=expired.release,
        root=expired.root,
        files=tuple(ExpiredFile(file=name, expired=at) for name, at in expired.files),
    )
    payload = make_statement(
        TARGET_NAME, expired.digest, WAIVER, msgspec.json.decode(canonical_json(predicate))
    )
    return draft(payload)


def require_line(text: str, option: str) -> str:
    """Return typed text if it is one printable line.

    Raises:
        UsageError: It is empty, too long or has control characters.
    """
    plain = text.strip()
    if not plain or len(plain) > 1024 or not plain.isprintable():  # noqa: PLR2004 - Line's limit
        raise UsageError(
            f"{option}: expected one line of 1 to 1024 printable characters, found {text[:60]!r}",
            "State in one sentence what an auditor will want to know.",
        )
    return plain


def grant_waiver(
    data: bytes, authority: Authority | None, digest: str, now: datetime, where: str
) -> GrantedWaiver:
    """Verify a waiver for one bundle.

    Args:
        data: The file, untrusted.
        authority: The site's own keys.
        digest: Of the bundle.json that is at hand.
        now: The clock, in UTC.
        where: The file's name, for messages.
    Raises:
        WaiverError: It is for another bundle or site, has too few signatures, or has expired.
    """
    opened = open_signed(data, KIND, authority, now=now, where=where)
    if opened.digest != digest:
        raise WaiverError(
            f"{where}: the waiver is for {opened.predicate.name} {opened.predicate.version} "
            f"({opened.digest}), found {digest}",
            "A waiver is valid for one bundle.json only; make one for this bundle.",
        )
    return GrantedWaiver(opened.predicate, digest, opened.signers, data, _MAKER)


def check_holds(waiver: GrantedWaiver, digest: str, now: datetime) -> None:
    """Check again, at the point of use, that a waiver is for this bundle and this day.

    Raises:
        WaiverError: It is not.
    """
    if waiver.digest != digest or now >= waiver.predicate.expires:
        raise WaiverError(
            f"the waiver for {waiver.digest} is not valid for {digest} on {now:%Y-%m-%d %H:%M}",
            "Make a waiver for this bundle and have it signed.",
        )


def kept_waiver(depot: Path, digest: str, now: datetime) -> GrantedWaiver | None:
    """Return the waiver under which a depot holds a bundle, if it is still valid.

    Raises:
        DamagedAuthorityError: The record of the site's keys is damaged.
    """
    try:
        data = BundleDirectory(depot / BUNDLES / hex_of(digest)).read_small(
            WAIVER_NAME, MAX_STATEMENT_BYTES
        )
    except IsowardError:
        return None
    try:
        return grant_waiver(
            data, load_authority(depot / "trust"), digest, now=now, where=WAIVER_NAME
        )
    except WaiverError:
        return None
