"""Changing trust metadata as somebody with a medium, or with somebody's key, could."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from bundle.store.layout import BundleDirectory
from bundle.trust.keys.stored import SigningKey
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from tests.support.trust.release_kit import ReleaseKit

FILES = ("1.root.json", "targets.json", "snapshot.json", "timestamp.json")


def verify(bundle: Path, state: TrustState) -> TrustState:
    """Verify a bundle's trust and return what the site has seen then."""
    return verify_trust(BundleDirectory(bundle), state)[1]


def edit(bundle: Path, name: str, change: Callable[[Any], None], *signers: SigningKey) -> None:
    """Change a metadata file by way of python-tuf; sign it anew if signers are given."""
    path = bundle / "trust" / name
    metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
    change(metadata)
    if signers:
        metadata.signatures.clear()
    for signer in signers:
        metadata.sign(signer, append=True)
    path.write_bytes(metadata.to_bytes())


def reissue(bundle: Path, kit: ReleaseKit, change: Callable[[Snapshot], None]) -> None:
    """Let the build system, which is an attacker now, sign another snapshot and timestamp."""
    builder = kit.builder.signer
    edit(bundle, "snapshot.json", lambda m: change(m.signed), builder)
    data = (bundle / "trust/snapshot.json").read_bytes()
    snapshot: Metadata[Snapshot] = Metadata.from_bytes(data)

    def name_it(metadata: Metadata[Timestamp]) -> None:
        metadata.signed.version += 1
        metadata.signed.snapshot_meta = MetaFile.from_data(
            snapshot.signed.version, data, ["sha256"]
        )

    edit(bundle, "timestamp.json", name_it, builder)
