"""What `isoward inspect` says to a person: every kind of content, and where it is from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bundle.base.progress import counted
from bundle.cli.progress_bar import readable_size
from bundle.kinds.registry import KINDS
from bundle.model.manifest import Manifest
from bundle.store.leftovers import shown_leftovers

NOT_VERIFIED: Final = "NOT VERIFIED, this is what the medium says of itself: run `isoward verify`"


def page(manifest: Manifest, digest: str, leftovers: Sequence[str] = ()) -> list[str]:
    """Return what a bundle says it holds, a kind after the other.

    Args:
        manifest: Its bundle.json, checked for form alone.
        digest: Of that.
        leftovers: What other systems left beside it.
    """
    size = readable_size(manifest.content_bytes)
    lines = [
        NOT_VERIFIED,
        f"it says it is {manifest.metadata.name} {manifest.metadata.version}",
        f"  bundle.json  {digest}",
        f"  platforms    {', '.join(manifest.platforms)}",
        f"  content      {counted(len(manifest.blobs), 'blob')}, {size}",
        f"  from         {', '.join(manifest.sources) or 'nowhere'}",
    ]
    for kind in KINDS:
        lines += kind.shown(manifest)
    if leftovers:
        lines.append(f"passed over, left by another system: {shown_leftovers(leftovers)}")
    first, *said = lines
    # What anybody may have written stands below a heading, and never where a line of ours begins.
    return [first, *(f"  {line}" for line in said), NOT_VERIFIED]
