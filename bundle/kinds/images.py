"""Images: from a registry, or from an archive or a container engine of the vendor's machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec

from bundle.base.digest import short
from bundle.base.documents import Document, Text, each_once
from bundle.base.errors import DefinitionError
from bundle.base.paths import InnerPath
from bundle.base.platform import Platform
from bundle.base.reference import parse_reference
from bundle.kinds.artifacts import Artifact, LockedArtifact, artifact_entry, describe_unasked
from bundle.kinds.image_origin import ImageOrigin, check_image_origin
from bundle.kinds.policy import describe_verified
from bundle.kinds.protocol import DefinitionHead, Kind


class ImageSource(Document, frozen=True, kw_only=True):
    """One image, by tag, digest or both."""

    reference: Text
    platforms: tuple[Platform, ...] = ()
    """Overrides the definition's platforms."""
    archive: InnerPath | None = None
    """An archive beside the definition that the image is in, instead of the registry."""
    name: Text = ""
    """Of the image in an archive of several."""
    daemon: Text | None = None
    """The image's name in this machine's container engine, instead of the registry."""

    @property
    def origin(self) -> ImageOrigin | None:
        """Where the image is, if not in the registry of its reference."""
        if self.archive is None and self.daemon is None and not self.name:
            return None
        return ImageOrigin(archive=self.archive, name=self.name, daemon=self.daemon)


def _check_reference(image: ImageSource, where: str) -> None:
    parse_reference(image.reference, f"{where}.reference")


def _check_origin(image: ImageSource, where: str) -> None:
    if image.origin is not None:
        check_image_origin(image.origin, where)


def _check_definition(definition: DefinitionHead) -> None:
    each_once(_names(IMAGES.asked(definition)), "images")


def _names(images: tuple[ImageSource, ...]) -> Iterator[str]:
    for image in images:
        # One that is malformed is a problem of its own.
        with suppress(DefinitionError):
            yield str(parse_reference(image.reference))


def _hosts(image: ImageSource | LockedArtifact | Artifact) -> Iterator[str]:
    if image.origin is None:
        yield parse_reference(image.reference).registry


def _lines(image: Artifact) -> Iterator[str]:
    count = len(image.referrers)
    referrers = f"  (+{count} signature, SBOM or attestation)" if count else ""
    yield f"{short(image.digest)}  {image.reference}{referrers}"
    if image.origin is not None:
        yield f"from {image.origin.said}"
    if image.wanted_by:
        yield f"needed by {', '.join(image.wanted_by)}"
    # For each signer of the image, once: the rule that it satisfied.
    said = dict.fromkeys(describe_verified(entry) for entry in image.verified)
    yield from said or ("no signature rule",)
    if image.unasked:
        yield describe_unasked(image.unasked)


def _facts(image: Artifact) -> dict[str, Any]:
    return {
        "reference": image.reference,
        "origin": image.origin.said if image.origin else None,
        "digest": image.digest,
        "platforms": sorted({m.platform for m in image.manifests if m.platform}),
        "referrers": [
            {"digest": r.digest, "artifactType": r.artifact_type} for r in image.referrers
        ],
        "unasked": [msgspec.to_builtins(place) for place in image.unasked],
        "wantedBy": list(image.wanted_by),
        "verifiedBy": [msgspec.to_builtins(entry) for entry in image.verified],
    }


IMAGES: Final = Kind[ImageSource, LockedArtifact, Artifact](
    field="images",
    title="image",
    source=ImageSource,
    entry=artifact_entry,
    checks=(_check_reference, _check_origin),
    checks_together=(_check_definition,),
    locked_artifacts=lambda image: (image,),
    artifacts=lambda image: (image,),
    asked_hosts=_hosts,
    hosts=_hosts,
    named_hosts=_hosts,
    compared=lambda image: [(image.reference, image.digest)],
    lines=_lines,
    facts=_facts,
)
