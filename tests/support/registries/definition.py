"""The definition that asks for everything of a seeded upstream."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.packages.debian_images import AMD64, ARM64
from tests.support.registries.seeded import SeededImage, Upstream
from tests.support.trust.signature_rules import WAIVE_ALL_YAML

BOTH_PLATFORMS = "tzdata"
"""The one index of which both platforms are carried; of the others only linux/amd64 is."""


def definition_yaml(
    upstream: Upstream,
    *,
    name: str = "debian-platform",
    version: str = "1.0.0",
    images: Sequence[SeededImage] | None = None,
    not_rendered: str = "",
) -> str:
    """Return a definition of all images (or of these), charts and files, as a person types it.

    The images that have a signature must be signed; the others are waived. Helm renders the charts,
    unless it is said why not.
    """
    lines = [
        "apiVersion: isoward/v1",
        "kind: BundleDefinition",
        f"metadata: {{name: {name}, version: {version}}}",
        f"platforms: [{AMD64}]",
        "images:",
    ]
    chosen = upstream.seeded.images if images is None else images
    for image in chosen:
        lines.append(f"  - reference: {image.reference}")
        if image.recipe.name == BOTH_PLATFORMS:
            lines.append(f"    platforms: [{AMD64}, {ARM64}]")
    lines.append("charts:")
    more = f", notRendered: {not_rendered}" if not_rendered else ""
    for chart in upstream.seeded.charts:
        where = f'repository: "{chart.repository}", version: {chart.version}'
        lines.append(f"  - {{name: {chart.name}, {where}{more}}}")
    lines.append("files:" if upstream.seeded.files else "files: []")
    for file in upstream.seeded.files:
        lines += [f"  - url: {file.url}", f"    digest: {file.digest}"]
    return "\n".join(lines) + "\n" + signature_rules_yaml(upstream, chosen)


def signature_rules_yaml(upstream: Upstream, images: Sequence[SeededImage]) -> str:
    """Return the rules for these images: by the upstream's key, else waived."""
    signed = [i for i in images if i.recipe.referrers in {"signed", "all"}]
    if not signed:
        return WAIVE_ALL_YAML
    head, _, waiver = WAIVE_ALL_YAML.partition("\n")
    lines = [head, "  - images:"]
    lines += [f"      - {image.reference.rpartition(':')[0]}" for image in signed]
    lines += ["    cosign:", "      key: |"]
    lines += [f"        {line}" for line in upstream.seeded.public_key.decode().splitlines()]
    return "\n".join(lines) + "\n" + waiver
