"""What a site answers to the metadata of a simulated vendor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

from bundle.base.errors import IsowardError
from tests.support.trust.tuf_simulator import BELOW, Site, Vendor, stock_client_accepts

ALL_BELOW = (Targets.type, Snapshot.type, Timestamp.type)


def refused(site: Site, kind: type[IsowardError], says: str = "", **more: Any) -> None:
    """Check that what is published is refused, by the right error."""
    error = site.refusal(**more)
    assert error is not None, "it was accepted"
    assert type(error) is kind, error.message
    assert says in error.message


def stricter(vendor: Vendor, site: Site, kind: type[IsowardError], says: str, base: Path) -> None:
    """Check that TUF allows what is published, and that we do not."""
    assert stock_client_accepts(vendor, base / "stock")
    refused(site, kind, says)


def resign(vendor: Vendor, role: str) -> None:
    """Publish what a role says now, without letting it name what is there."""
    signed: Any = getattr(vendor, role)
    metadata: Metadata[Any] = Metadata(signed)
    for signer in vendor.signers[role]:
        metadata.sign(signer, append=True)
    vendor.files[BELOW[role]] = metadata.to_bytes()
