"""The first step: the bundle, from its medium into the depot, and every byte of it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.checks.blobs import check_blobs
from bundle.store.layout import BundleDirectory
from installer.core.step import Change, Context
from installer.depot.importer import import_bundle


@dataclass(frozen=True, slots=True)
class VerifyStep:
    """Imports the medium, if there is one, and reads what lies in the depot.

    Attributes:
        medium: A bundle to import; without one the depot has it already.
        waiver: The site's signed waiver, for a bundle whose metadata has expired.
    """

    medium: Path | None = None
    waiver: Path | None = None
    name: str = "verify"
    title: str = "Verify every byte of the bundle"

    def changes(self, context: Context) -> Sequence[Change]:
        """Say what comes into the depot."""
        name = context.bundle.manifest.metadata
        if context.depot.bundle_path(context.bundle.record.digest).is_dir():
            return ()
        return (
            Change("this machine", f"imports {name.name} {name.version} into {context.depot.path}"),
        )

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Depend on the bundle alone: its digest says every byte."""
        return {"bundle": context.bundle.record.digest}

    def run(self, context: Context) -> Mapping[str, Any]:
        """Import, then read the depot's own copy of what was there before.

        Raises:
            IsowardError: As `import_bundle` and `check_blobs`.
        """
        manifest = context.bundle.manifest
        new = False
        if self.medium is not None:
            outcome = import_bundle(
                self.medium, context.depot.path, context.now, context.progress, waiver=self.waiver
            )
            new = not outcome.already
        if not new:
            # What an import has just written it has just read; what lay there may have rotted.
            check_blobs(BundleDirectory(context.depot.path), manifest, context.progress)
        return {
            "bundle": context.bundle.record.digest,
            "imported": new,
            "blobs": len(manifest.blobs),
            "bytes": manifest.content_bytes,
        }
