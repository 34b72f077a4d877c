"""One signed bundle, and a depot of a site that would take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bundle.base.digest import hex_of
from bundle.model.lock import Lock
from installer.depot.directory import DepotDirectory
from tests.support.trust.release_kit import ReleaseKit


@dataclass
class Case:
    """What a test has; it may spoil the bundle and the depot.

    Attributes:
        kit: The vendor, with the approvers.
        lock: Of the bundle.
        blobs: Its content, by digest.
        bundle: Its folder.
        depot: Of the site.
    """

    kit: ReleaseKit
    lock: Lock
    blobs: dict[str, bytes]
    bundle: Path
    depot: Path

    def blob(self, number: int = 0) -> Path:
        """Return a blob of the bundle."""
        return self.bundle / "blobs" / "sha256" / hex_of(sorted(self.blobs)[number])

    def depot_files(self) -> dict[str, bytes]:
        """Return all files of the depot by path."""
        return {
            str(path.relative_to(self.depot)): path.read_bytes()
            for path in sorted(self.depot.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }


def flip(path: Path, bit: int = 9) -> None:
    """Flip one bit of a file."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def staged(case: Case) -> list[Path]:
    """What lies in staging; a manifest that is not as it must be is met before there is one."""
    staging = DepotDirectory(case.depot).staging
    return list(staging.iterdir()) if staging.exists() else []
