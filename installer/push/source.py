"""What is pushed: the accepted bundles of a depot, or a medium that is verified first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle.base.digest import digest_of
from bundle.base.errors import NotFoundError
from bundle.base.limits import MAX_MANIFEST_BYTES
from bundle.base.progress import Progress
from bundle.checks.good_bundle import Subject, check_bundle
from bundle.model.manifest import check_manifest
from bundle.store.hashing import check_content
from bundle.store.layout import MANIFEST_NAME, BundleDirectory
from bundle.trust.site.state import STATES, find_state, load_states
from bundle.trust.site.waiver import kept_waiver
from bundle.trust.upstream.site_policy import load_site_policy
from bundle.trust.verify.verification import verify_trust
from installer.depot.accepted import accepted_bundles
from installer.depot.catalogue import Catalogue, Repository
from installer.depot.directory import open_depot


@dataclass(frozen=True, slots=True)
class PushSource:
    """Where verified content is.

    Attributes:
        blobs: A depot's lie as a bundle's do; each is hashed as it is read.
        catalogue: What it is, as the depot would serve it.
    """

    blobs: BundleDirectory
    catalogue: Catalogue

    @property
    def repositories(self) -> list[Repository]:
        """Those with something to push, by name."""
        found = self.catalogue.repositories
        return [found[key] for key in sorted(found)]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Of every blob by its digest, in bytes."""
        return self.catalogue.sizes

    def read(self, digest: str, size: int) -> bytes:
        """Read a small blob, and check it.

        Raises:
            IntegrityError: It is missing or damaged.
        """
        name = self.blobs.blob_name(digest)
        data = self.blobs.read_small(name, size)
        check_content(name, size, digest, found_size=len(data), found=digest_of(data))
        return data


def depot_source(path: Path) -> PushSource:
    """Take what a depot serves; each bundle is verified again as it is read.

    Raises:
        IsowardError: A bundle is damaged, or this site never accepted it.
        NotFoundError: The depot has no image and no chart.
    """
    depot = open_depot(path)
    bundles = accepted_bundles(depot)
    catalogue = Catalogue.build((found.manifest, found.sizes) for found in bundles)
    return _with_content(PushSource(BundleDirectory(depot.path), catalogue))


def medium_source(path: Path, depot: Path, now: dt.datetime, progress: Progress) -> PushSource:
    """Take what a medium has, after all the checks of an import.

    Args:
        path: Of the bundle, untrusted.
        depot: In which the site enrolled a root, which decides.
        now: UTC.
        progress: Told of bytes as they are verified.
    Raises:
        TrustError: It is not to be trusted.
        IntegrityError: A file of it is missing, damaged or one too many.
    """
    bundle = BundleDirectory(path)
    bundle.require()
    state = find_state(bundle, load_states(depot / STATES))
    digest = digest_of(bundle.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES))
    verified, _ = verify_trust(bundle, state, now, waiver=kept_waiver(depot, digest, now))
    manifest = verified.manifest
    check_bundle(Subject(bundle, manifest, now, load_site_policy(depot), progress))
    catalogue = Catalogue.build([(manifest, check_manifest(manifest))])
    return _with_content(PushSource(bundle, catalogue))


def _with_content(source: PushSource) -> PushSource:
    if not source.repositories:
        raise NotFoundError(
            f"{source.blobs.path}: it has no image and no chart to push",
            "Import a bundle with images first, or give another depot or bundle.",
        )
    return source
