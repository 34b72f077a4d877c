"""A vendor whose root changes: keys by name, drafts, signatures and sites that follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from bundle.trust.keys.stored import SigningKey
from bundler.root.changes import Change, expire
from bundler.root.draft import Pending, amend, require_pending, sign_pending, with_signature
from bundler.root.request import read_request, write_request
from tests.support.trust.release_kit import KeyFile, ReleaseKit, now


def draft(release: Path, *changes: Change) -> Pending:
    """Make or change the draft of the next root."""
    return amend(release, changes or [later()], now())[0]


def later(days: int = 900) -> Change:
    """Give the root a later expiry: the change that needs nothing else."""
    return expire(now() + timedelta(days=days))


def sign_all(release: Path, keys: Sequence[KeyFile]) -> Pending:
    """Sign what waits by each of `keys`."""
    pending = None
    for key in keys:
        pending = sign_pending(release, key.signer)[0]
    assert pending is not None
    return pending


def advance(kit: ReleaseKit, *changes: Change) -> None:
    """Make the next root by the vendor's own root keys."""
    draft(kit.release, *changes)
    assert sign_all(kit.release, kit.roots).complete


def export(release: Path, to: Path) -> Path:
    """Write the request for what waits, as `isoward root request` does."""
    to.write_bytes(write_request(require_pending(release)))
    return to


def signed_request(request: Path, signer: SigningKey, to: Path) -> Path:
    """Sign a request as `isoward sign` does on a holder's machine, and return the response."""
    to.write_bytes(write_request(with_signature(read_request(request), signer)))
    return to


def roots_of(release: Path) -> list[str]:
    """Return the names of all roots and drafts in a release folder."""
    return sorted(
        str(path.relative_to(release)) for path in release.rglob("*") if "root.json" in path.name
    )
