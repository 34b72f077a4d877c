"""The definition that asks for everything of a seeded upstream."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.debian_images import AMD64, ARM64
from tests.support.upstream import SeededImage, Upstream

BOTH_PLATFORMS = "tzdata"
"""The one index of which both platforms are carried; of the others only linux/amd64 is."""


def definition_yaml(
    upstream: Upstream,
    *,
    name: str = "debian-platform",
    version: str = "1.0.0",
    images: Sequence[SeededImage] | None = None,
) -> str:
    """Return a definition of all images (or of these), charts and files, as a person types it."""
    lines = [
        "apiVersion: isoward/v1",
        "kind: BundleDefinition",
        f"metadata: {{name: {name}, version: {version}}}",
        f"platforms: [{AMD64}]",
        "images:",
    ]
    for image in upstream.seeded.images if images is None else images:
        lines.append(f"  - reference: {image.reference}")
        if image.recipe.name == BOTH_PLATFORMS:
            lines.append(f"    platforms: [{AMD64}, {ARM64}]")
    lines.append("charts:")
    lines += [
        f'  - {{name: {chart.name}, repository: "{chart.repository}", version: {chart.version}}}'
        for chart in upstream.seeded.charts
    ]
    lines.append("files:")
    for file in upstream.seeded.files:
        lines += [f"  - url: {file.url}", f"    digest: {file.digest}"]
    return "\n".join(lines) + "\n"
