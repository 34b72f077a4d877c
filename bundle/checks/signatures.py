"""The upstream signatures of a complete bundle, from its own blobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from bundle.base.errors import PolicyError
from bundle.kinds.artifacts import Artifact
from bundle.kinds.policy import SignatureRule, VerifiedBy
from bundle.model.manifest import Manifest
from bundle.store.layout import BundleDirectory
from bundle.trust.upstream.judgement import verify_image
from bundle.trust.upstream.reader import BundleReader

Found = Mapping[str, tuple[VerifiedBy, ...]]


@dataclass(frozen=True, slots=True)
class UpstreamCheck:
    """How each image of a bundle was verified, by its reference.

    Attributes:
        bundle: By the rules in the bundle.
        site: By the site's own rules; empty if it has none.
    """

    bundle: Found
    site: Found


def check_upstream(
    bundle: BundleDirectory,
    manifest: Manifest,
    now: dt.datetime,
    site: tuple[SignatureRule, ...] = (),
) -> UpstreamCheck:
    """Verify the signatures of every image of a bundle.

    Args:
        bundle: With the blobs; each is checked while it is read.
        manifest: Authenticated, or just made.
        now: UTC.
        site: The site's own rules; an image must pass them too.
    Raises:
        UnsignedError: An image is not signed as its rule requires, or no rule matches it.
        PolicyError: A waiver has expired, or bundle.json claims more than the signatures show.
        IntegrityError: A blob is missing or damaged.
        StorageError: A blob cannot be read.
    """
    reader = BundleReader(bundle, manifest)
    by_bundle: dict[str, tuple[VerifiedBy, ...]] = {}
    by_site: dict[str, tuple[VerifiedBy, ...]] = {}
    for image in manifest.images:
        found = verify_image(image, manifest.signatures, reader, now=now, whose="the bundle")
        _compare(image, found)
        by_bundle[image.reference] = found
        if site:
            found = verify_image(image, site, reader, now=now, whose="the site's policy")
            by_site[image.reference] = found
    return UpstreamCheck(by_bundle, by_site)


def _compare(image: Artifact, found: tuple[VerifiedBy, ...]) -> None:
    """Refuse a bundle whose bundle.json lists signatures that are not valid.

    Extra valid signatures are fine: a later version may read more formats.
    """
    claimed = set(image.verified)
    if claimed and claimed <= set(found):
        return
    false = sorted(entry.signer for entry in claimed - set(found))
    raise PolicyError(
        f"{image.reference}: bundle.json says it was verified by {', '.join(false) or 'none'},"
        f" found {', '.join(sorted({entry.signer for entry in found}))}",
        "The lock was edited or written by another version; run `isoward lock` and build again.",
    )
