"""A bundle on its medium, seen as the depot would have it: for a plan that changes nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from bundle.model.manifest import check_manifest
from bundle.store.layout import BundleDirectory
from bundle.trust.metadata.restrictions import check_not_revoked, find_revoked
from bundle.trust.site.state import STATES, find_state, load_states
from bundle.trust.verify.verification import verify_trust
from installer.depot.accepted import AcceptedContent, load_accepted
from installer.depot.directory import DepotDirectory
from installer.depot.exceptions import find_waiver
from installer.depot.record import import_record


def preview_bundle(
    source: Path, depot: Path, now: dt.datetime, *, waiver: Path | None = None
) -> AcceptedContent:
    """Verify the trust of a bundle and return what an import would make of it; write nothing.

    Args:
        source: The bundle's directory, untrusted.
        depot: In which the site enrolled a root.
        now: UTC.
        waiver: The site's signed waiver, for a bundle whose metadata has expired.
    Raises:
        TrustError: The bundle is not to be trusted here, or was taken back.
        IntegrityError: A document of it is damaged.
        StorageError: The medium cannot be read.
    """
    bundle = BundleDirectory(source)
    bundle.require()
    states = load_states(depot / STATES)
    granted = find_waiver(bundle, depot, waiver, now)
    verified, state = verify_trust(bundle, find_state(bundle, states), now, waiver=granted)
    revoked = find_revoked(verified.manifest_digest, state.revoked)
    if revoked is not None:
        check_not_revoked(verified.manifest_digest, [revoked])
    opened = DepotDirectory(depot)
    if opened.bundle_path(verified.manifest_digest).is_dir():
        name = opened.bundle_path(verified.manifest_digest).name
        return load_accepted(opened, name, states)
    sizes = check_manifest(verified.manifest)
    missing = [b for b in verified.manifest.blobs if not opened.blob_path(b.digest).exists()]
    return AcceptedContent(import_record(opened, verified, missing, now), verified.manifest, sizes)
