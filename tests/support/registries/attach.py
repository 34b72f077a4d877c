"""Gives seeded images their signatures and SBOMs, in every form in which registries have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tests.support.packages.debian_images import Recipe
from tests.support.registries.oci import Artifact, index
from tests.support.registries.referrers import (
    CYCLONEDX,
    SPDX,
    ImageSigner,
    cosign_attestation,
    cosign_sbom,
    cosign_signature,
    cosign_tag,
    cyclonedx,
    referrer,
    sigstore_bundle,
    spdx,
)


class Sink(Protocol):
    """Where artefacts are put: a registry over HTTP, or the content of one in this process."""

    def put(self, repository: str, artifact: Artifact, tag: str = "") -> str: ...


@dataclass(frozen=True)
class SeededReferrer:
    """A referrer that is upstream.

    Attributes:
        digest: Of its manifest.
        subject: Digest of what it is about.
        artifact_type: For those of OCI 1.1, else empty.
        tag: The cosign tag that names it, else empty.
        platform: Of the image that it is about; empty for an index and for an SBOM.
    """

    digest: str
    subject: str
    artifact_type: str = ""
    tag: str = ""
    platform: str = ""


class Attacher:
    """Attaches referrers to the images of one repository.

    Args:
        sink: Where to.
        signer: Signs them.
        host: The registry, as it stands in references.
        fallback_tags: Whether to push the `sha256-<hex>` indexes, for a registry without the
            referrers API.
    """

    def __init__(self, sink: Sink, signer: ImageSigner, host: str, *, fallback_tags: bool) -> None:
        self._sink = sink
        self._signer = signer
        self._host = host
        self._fallback_tags = fallback_tags

    def attach(
        self, recipe: Recipe, image: Artifact, packages: Sequence[str]
    ) -> tuple[SeededReferrer, ...]:
        """Attach what the recipe asks for and return all of it."""
        name = f"{self._host}/{recipe.repository}"
        if recipe.referrers == "signed":
            sbom = referrer(SPDX, spdx(image.digest, packages), image)
            return (
                self._cosign(recipe, "sig", cosign_signature(self._signer, name, image), image),
                *self._refer(recipe, image, [sbom]),
            )
        if recipe.referrers == "all":
            return tuple(self._everything(recipe, image, packages))
        if recipe.referrers == "buildkit":
            entry, about = image.children[-1], image.children[0]
            return (SeededReferrer(entry.digest, about.digest, platform=about.platform),)
        return ()

    def _everything(
        self, recipe: Recipe, image: Artifact, packages: Sequence[str]
    ) -> list[SeededReferrer]:
        name = f"{self._host}/{recipe.repository}"
        signer, sink = self._signer, recipe
        sbom = referrer(CYCLONEDX, cyclonedx(image.digest, packages), image)
        found = [
            self._cosign(sink, "sig", cosign_signature(signer, name, image), image),
            self._cosign(sink, "att", cosign_attestation(signer, name, image, packages), image),
            self._cosign(sink, "sbom", cosign_sbom(image, packages), image),
            *self._refer(recipe, image, [sigstore_bundle(signer, name, image, packages), sbom]),
            *self._refer(recipe, sbom, [sigstore_bundle(signer, name, sbom, [])]),
        ]
        for child in image.children:
            about = referrer(SPDX, spdx(child.digest, packages), child)
            found += self._refer(recipe, child, [about])
            signature = cosign_signature(signer, name, child)
            found.append(self._cosign(recipe, "sig", signature, child))
        return found

    def _cosign(
        self, recipe: Recipe, suffix: str, made: Artifact, subject: Artifact
    ) -> SeededReferrer:
        tag = cosign_tag(subject.digest, suffix)
        self._sink.put(recipe.repository, made, tag)
        return SeededReferrer(made.digest, subject.digest, tag=tag, platform=subject.platform)

    def _refer(
        self, recipe: Recipe, subject: Artifact, made: Sequence[Artifact]
    ) -> list[SeededReferrer]:
        for artifact in made:
            self._sink.put(recipe.repository, artifact)
        if self._fallback_tags:
            entries = [{**a.descriptor, "artifactType": a.artifact_type} for a in made]
            listing = replace(index(made, entries), children=())
            self._sink.put(recipe.repository, listing, subject.digest.replace(":", "-"))
        return [
            SeededReferrer(a.digest, subject.digest, a.artifact_type, platform=subject.platform)
            for a in made
        ]
