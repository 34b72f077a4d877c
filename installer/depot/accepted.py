"""Bundles of the depot, verified again as they are read: what is served was accepted here once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundle.base.digest import PREFIX
from bundle.base.errors import DigestMismatchError
from bundle.model.manifest import Manifest, check_manifest
from bundle.store.layout import MANIFEST_NAME, BundleDirectory
from bundle.trust.metadata.restrictions import RevokedRelease, find_revoked
from bundle.trust.site.state import TrustState, find_state, load_states
from bundle.trust.verify.verification import verify_accepted
from installer.depot.directory import DepotDirectory, ImportRecord


@dataclass(frozen=True, slots=True)
class AcceptedContent:
    """A bundle of the depot.

    Attributes:
        record: Of its import.
        manifest: Its bundle.json, which its trust metadata vouches for.
        sizes: Size in bytes of each of its blobs by digest.
        revoked: Set if its approvers have taken the release back since.
    """

    record: ImportRecord
    manifest: Manifest
    sizes: dict[str, int]
    revoked: RevokedRelease | None = None


def load_accepted(
    depot: DepotDirectory, name: str, states: Sequence[TrustState]
) -> AcceptedContent:
    """Load one bundle of the depot, and verify that this site accepted it.

    A directory that somebody put there without an import is refused, as is one that was changed.

    Args:
        depot: Open.
        name: Of the bundle's directory.
        states: What this site has seen.
    Raises:
        TrustError: Its trust metadata does not vouch for it, or this site never accepted it.
        IntegrityError: A file is missing or damaged.
        FormatError: A document is malformed.
        StorageError: A file cannot be read.
    """
    directory = BundleDirectory(depot.bundles / name)
    state = find_state(directory, states)
    verified = verify_accepted(directory, state)
    if verified.manifest_digest != PREFIX + name:
        raise DigestMismatchError(
            f"{directory.path / MANIFEST_NAME}: expected {PREFIX}{name},"
            f" found {verified.manifest_digest}",
            "Remove this directory and import the bundle again.",
        )
    sizes = check_manifest(verified.manifest)
    revoked = find_revoked(verified.manifest_digest, state.revoked)
    return AcceptedContent(depot.load_record(name), verified.manifest, sizes, revoked)


def accepted_bundles(depot: DepotDirectory) -> list[AcceptedContent]:
    """Load every bundle of the depot, in the order of import.

    Raises:
        IsowardError: As `load_accepted`, for the first that is not good.
    """
    states = load_states(depot.trust)
    loaded = [load_accepted(depot, name, states) for name in sorted(depot.bundle_names())]
    return sorted(loaded, key=lambda found: found.record.order)
