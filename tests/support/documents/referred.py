"""An image of two platforms, and what may refer to it."""

from __future__ import annotations

from bundle.base.progress import NO_PROGRESS
from bundle.kinds.artifacts import LockedArtifact
from bundle.kinds.images import ImageSource
from bundler.build.cache import BlobCache
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.images.from_registry import resolve_image
from tests.support.registries.connecting import client
from tests.support.registries.faulty_registry import FaultyRegistry
from tests.support.registries.oci import (
    CONFIG,
    INDEX,
    LAYER,
    Artifact,
    Blob,
    index,
    manifest,
    to_json,
)

SBOM = "application/vnd.cyclonedx+json"
AMD = manifest(
    Blob(CONFIG, to_json({"os": "linux", "architecture": "amd64"})),
    [Blob(LAYER, b"layer")],
    platform="linux/amd64",
)
ARM = manifest(
    Blob(CONFIG, to_json({"os": "linux", "architecture": "arm64"})),
    [Blob(LAYER, b"arm")],
    platform="linux/arm64",
)
MULTI = index([AMD, ARM])


def signature(text: str) -> Artifact:
    """Something as cosign pushes it: no subject, found by its tag alone."""
    return manifest(Blob(CONFIG, b"{}"), [Blob("application/x.signature", text.encode())])


def resolve(registry: FaultyRegistry, cache: BlobCache, tag: str = "1") -> LockedArtifact:
    """Lock `app/web` of a registry, for amd64."""
    source = ManifestSource(client(registry.host), cache)
    asked = ImageSource(reference=f"{registry.host}/app/web:{tag}")
    return resolve_image(asked, ("linux/amd64",), source, NO_PROGRESS)


def fallback(*referrers: Artifact, media_type: str = INDEX) -> Artifact:
    """Return the list under a fallback tag."""
    listed = index(list(referrers), [r.descriptor for r in referrers])
    return Artifact(media_type, listed.data, children=tuple(referrers))


def fallback_tag(digest: str) -> str:
    """Return the tag of that list."""
    return digest.replace(":", "-")


def unasked(locked: LockedArtifact) -> dict[str, str]:
    """Return what answered something else than referrers or none, by place."""
    return {place.place: place.answer for place in locked.unasked}
