"""The output of `isoward inspect`: every kind of content, and its origin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bundle.base.progress import counted
from bundle.cli.progress_bar import readable_size
from bundle.kinds.registry import KINDS
from bundle.model.manifest import Manifest
from bundle.store.leftovers import shown_leftovers

NOT_VERIFIED: Final = "NOT VERIFIED: these are the medium's own claims; run `isoward verify`"


def page(manifest: Manifest, digest: str, leftovers: Sequence[str] = ()) -> list[str]:
    """Return what a bundle claims to hold, one kind after the other.

    Args:
        manifest: Its bundle.json, checked for form only.
        digest: Of bundle.json.
        leftovers: What other systems left beside it.
    """
    size = readable_size(manifest.content_bytes)
    lines = [
        NOT_VERIFIED,
        f"claims to be {manifest.metadata.name} {manifest.metadata.version}",
        f"  bundle.json  {digest}",
        f"  platforms    {', '.join(manifest.platforms)}",
        f"  content      {counted(len(manifest.blobs), 'blob')}, {size}",
        f"  from         {', '.join(manifest.sources) or 'nowhere'}",
    ]
    for kind in KINDS:
        lines += kind.shown(manifest)
    if leftovers:
        lines.append(f"skipped, left by another system: {shown_leftovers(leftovers)}")
    first, *said = lines
    # Untrusted text goes below a heading, and never starts a line.
    return [first, *(f"  {line}" for line in said), NOT_VERIFIED]
