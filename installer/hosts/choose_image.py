"""Choosing the first image: in the newest bundle of the depot that has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bundle.base.errors import DefinitionError
from bundle.base.reference import Reference, parse_reference
from bundle.kinds.artifacts import Artifact
from bundle.model.manifest import Manifest
from bundle.trust.metadata.restrictions import check_not_revoked
from installer.depot.accepted import AcceptedContent, accepted_bundles
from installer.depot.directory import DepotDirectory

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ChosenImage:
    """What will be pulled, and from which bundle.

    Attributes:
        bundle: Where it was found.
        reference: The image by digest.
        platforms: For which platforms it is.
        registries: The source registries of all images of the bundle, sorted.
    """

    bundle: AcceptedContent
    reference: Reference
    platforms: tuple[str, ...]
    registries: tuple[str, ...]


def choose_image(depot: DepotDirectory, wanted: str) -> ChosenImage:
    """Find the image that a site file names.

    Args:
        depot: What was imported.
        wanted: A reference; with a digest, only that digest will do.
    Raises:
        DefinitionError: No bundle of the depot has it.
        RevokedReleaseError: The newest bundle that has it was taken back by its approvers.
        TrustError: The depot holds a bundle that this site never accepted.
        IntegrityError: A document of the depot is damaged.
    """
    chosen = _choose(list(reversed(accepted_bundles(depot))), wanted, f"the depot {depot.path}")
    if chosen.bundle.revoked is not None:
        check_not_revoked(chosen.bundle.record.digest, [chosen.bundle.revoked])
    return chosen


def image_of(bundle: AcceptedContent, wanted: str) -> ChosenImage:
    """Find the image that a site file names in one bundle.

    Raises:
        DefinitionError: The bundle does not have it.
    """
    metadata = bundle.manifest.metadata
    return _choose([bundle], wanted, f"the bundle {metadata.name} {metadata.version}")


def _choose(bundles: Sequence[AcceptedContent], wanted: str, where: str) -> ChosenImage:
    """Return the image of the first bundle that has it."""
    reference = parse_reference(wanted, "firstImage.reference")
    images = [(bundle, image) for bundle in bundles for image in bundle.manifest.images]
    for bundle, image in images:
        if _is(parse_reference(image.reference), image, reference):
            return _chosen(bundle, image)
    has = ", ".join(sorted({image.reference for _, image in images})[:_SHOWN]) or "no image at all"
    raise DefinitionError(
        f"firstImage.reference: expected an image of {where}, found {reference}",
        f"It has: {has}.",
    )


def source_registries(manifest: Manifest) -> tuple[str, ...]:
    """Return the registries that a bundle's images came from, sorted."""
    return tuple(sorted({parse_reference(image.reference).registry for image in manifest.images}))


def _is(known: Reference, image: Artifact, wanted: Reference) -> bool:
    if known.name != wanted.name or (wanted.tag and wanted.tag != known.tag):
        return False
    return not wanted.digest or wanted.digest == image.digest


def _chosen(bundle: AcceptedContent, image: Artifact) -> ChosenImage:
    known = parse_reference(image.reference)
    stated = sorted({entry.platform for entry in image.manifests if entry.platform})
    return ChosenImage(
        bundle,
        Reference(known.registry, known.repository, "", image.digest),
        tuple(stated) or bundle.manifest.platforms,
        source_registries(bundle.manifest),
    )
