"""What a release may state beyond TUF: which sites it is for, and which releases are revoked.

These are fields of the signed parts, which TUF carries and signs without knowing them: the
approvers vouch for those in targets.json, the root key holders for that in root.json.

Source: docs/FORMAT.md, "trust/"; TUF specification 1.0, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
from tuf.api.metadata import Root, Targets

from bundle.base.digest import Digest
from bundle.base.documents import Document, Name, line
from bundle.base.errors import (
    RevokedReleaseError,
    SignatureError,
    WrongProductError,
    WrongSiteError,
)
from bundle.base.patterns import in_words
from bundle.base.plain import flaws_of_tree

SITES_FIELD: Final = "x-isoward-sites"
REVOKED_FIELD: Final = "x-isoward-revoked"
PRODUCT_FIELD: Final = "x-isoward-product"

_MAX_ENTRIES: Final = 1000
_Reason = Annotated[str, line(1024, 1)]

T = TypeVar("T")


class RevokedRelease(Document, frozen=True, kw_only=True):
    """A release that its approvers revoked."""

    release: Annotated[int, msgspec.Meta(ge=1)]
    digest: Digest
    """Of its bundle.json."""
    reason: _Reason


_Sites = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=_MAX_ENTRIES)]
_Revoked = Annotated[tuple[RevokedRelease, ...], msgspec.Meta(max_length=_MAX_ENTRIES)]


def sites_of(targets: Targets) -> tuple[str, ...]:
    """Return the sites that a release is restricted to; none means all sites.

    Raises:
        SignatureError: The field is malformed.
    """
    return _read(targets.unrecognized_fields, SITES_FIELD, _Sites, ())


def revoked_of(targets: Targets) -> tuple[RevokedRelease, ...]:
    """Return the releases that the approvers of this one revoked.

    Raises:
        SignatureError: The field is malformed.
    """
    return _read(targets.unrecognized_fields, REVOKED_FIELD, _Revoked, ())


def product_of(root: Root) -> str:
    """Return the name that every bundle below a root must have; empty if any name is allowed.

    Raises:
        SignatureError: The field is malformed.
    """
    return _read(root.unrecognized_fields, PRODUCT_FIELD, Name, "")


def targets_fields(sites: Sequence[str], revoked: Sequence[RevokedRelease]) -> dict[str, Any]:
    """Return the fields that targets.json gets for these restrictions."""
    fields: dict[str, Any] = {}
    if sites:
        fields[SITES_FIELD] = sorted(set(sites))
    if revoked:
        fields[REVOKED_FIELD] = msgspec.to_builtins(sorted(revoked, key=lambda r: r.release))
    return fields


def merge_revoked(*known: Iterable[RevokedRelease]) -> tuple[RevokedRelease, ...]:
    """Merge lists; once revoked stays revoked, with the first reason."""
    found: dict[str, RevokedRelease] = {}
    for entry in (entry for entries in known for entry in entries):
        found.setdefault(entry.digest, entry)
    return tuple(sorted(found.values(), key=lambda entry: (entry.release, entry.digest)))


def find_revoked(digest: str, revoked: Iterable[RevokedRelease]) -> RevokedRelease | None:
    """Return the entry for a bundle.json, if there is one."""
    return next((entry for entry in revoked if entry.digest == digest), None)


def check_product(root: Root, name: str) -> None:
    """Check that a bundle belongs to the product that a root is for.

    Raises:
        WrongProductError: It belongs to another product.
    """
    product = product_of(root)
    if product and name != product:
        raise WrongProductError(
            f"the root is for the product {product!r}, but the bundle belongs to {name!r}",
            "Use the release folder, or the bundle, of that product.",
            {"expected": product, "found": name},
        )


def check_site_name(targets: Targets, site: str) -> None:
    """Check that a release is for this site.

    Raises:
        WrongSiteError: It is for others.
    """
    sites = sites_of(targets)
    if sites and site not in sites:
        here = f"this site is {site!r}" if site else "this site has no name"
        raise WrongSiteError(
            f"the release is for {', '.join(sites)} only, but {here}",
            "Ask the vendor for a release for this site. A site without a name gets it, once, by "
            "`isoward enroll --site NAME`; use the vendor's name for it.",
            {"site": site, "sites": ", ".join(sites)},
        )


def check_not_revoked(digest: str, revoked: Iterable[RevokedRelease]) -> None:
    """Check that a release was not revoked.

    Raises:
        RevokedReleaseError: It was revoked.
    """
    entry = find_revoked(digest, revoked)
    if entry is not None:
        raise RevokedReleaseError(
            f"release {entry.release} ({digest}) was revoked by its approvers: {entry.reason}",
            "Do not use it; ask the vendor for a newer release.",
            {"release": entry.release, "digest": digest},
        )


def _read(fields: Mapping[str, Any], name: str, type_: Any, absent: T) -> T:
    if name not in fields:
        return absent
    try:
        value: T = msgspec.convert(fields[name], type_, strict=True)
    except msgspec.ValidationError as error:
        raise _malformed(name, in_words(str(error))) from error
    for place, flaw in flaws_of_tree(fields[name]):
        raise _malformed(name, f"{place} contains {flaw}")
    return value


def _malformed(name: str, why: str) -> SignatureError:
    return SignatureError(
        f"the field {name} of the trust metadata is malformed: {why}",
        "Do not use this bundle; ask the vendor.",
    )
