"""The closure: every image that a bundle's content needs is in the bundle.

Pure, and checked wherever bundle.json or a lock is: both record what is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from bundle.base.digest import Digest
from bundle.base.documents import Document, Text
from bundle.base.errors import ClosureError
from bundle.base.reference import Reference, parse_reference
from bundle.kinds.rendering import How, Rendering


@dataclass(frozen=True, slots=True)
class Named:
    """An image that some content names, or seems to name.

    Attributes:
        image: As written there.
        how: `found` is something that only looks like an image.
        where: The object, and the path in it.
    """

    image: str
    how: How
    where: str


class MissingImage(Document, frozen=True, kw_only=True):
    """An image that something needs and the bundle would not have."""

    image: Text
    """As written there."""
    wanted_by: tuple[Text, ...]
    where: tuple[Text, ...] = ()
    """The object that names it, for content that has objects."""
    why: Text
    add: Text
    """What to write into the definition."""


class MissingImages(Document, frozen=True, kw_only=True):
    """Written in place of an incomplete lock.

    Source: docs/FORMAT.md, "Missing images".
    """

    api_version: Literal["isoward/v1"]
    kind: Literal["MissingImages"]
    missing: tuple[MissingImage, ...]


class _Manifest(Protocol):
    """Something with a digest."""

    @property
    def digest(self) -> Digest:
        """Of the index or manifest."""


class Carried(Protocol):
    """An image of a lock or of bundle.json."""

    @property
    def reference(self) -> str:
        """Full, as it is served."""

    @property
    def digest(self) -> Digest:
        """Of the index or manifest."""

    @property
    def manifests(self) -> Iterable[_Manifest]:
        """Those of its platforms, and what else can be asked for by digest."""


class Rendered(Protocol):
    """A chart of a lock or of bundle.json."""

    @property
    def name(self) -> str:
        """The chart's name."""

    @property
    def version(self) -> str:
        """The chart's version."""

    @property
    def rendering(self) -> Rendering | None:
        """What rendering it showed."""


class _Download(Protocol):
    """An image that Kubespray's nodes pull."""

    @property
    def name(self) -> str:
        """What Kubespray calls it."""

    @property
    def reference(self) -> str:
        """Full."""


class Downloads(Protocol):
    """Kubespray in a lock or in bundle.json."""

    @property
    def images(self) -> Iterable[_Download]:
        """What its nodes pull."""


class Carries:
    """Answers whether a reference is available, as a container runtime would request it.

    A reference with a digest is looked up by digest alone; one without, by its tag.
    """

    def __init__(self, images: Iterable[Carried]) -> None:
        """Index the images of a bundle."""
        self._targets: set[tuple[str, str]] = set()
        for image in images:
            reference = parse_reference(image.reference)
            digests = {image.digest, *(manifest.digest for manifest in image.manifests)}
            self._targets |= {(reference.name, digest) for digest in digests}
            self._targets.add((reference.name, reference.tag))

    def has(self, wanted: Reference) -> bool:
        """Return whether `wanted` is available."""
        return (wanted.name, wanted.target) in self._targets


def chart_name(name: str, version: str) -> str:
    """Return the name of a chart that needs an image."""
    return f"chart {name} {version}"


def chart_wants(chart: Rendered) -> Iterator[tuple[str, str]]:
    """Yield who wants which image, as a chart records it."""
    for wanted in chart.rendering.images if chart.rendering is not None else ():
        yield chart_name(chart.name, chart.version), wanted.image


def kubespray_wants(kubespray: Downloads) -> Iterator[tuple[str, str]]:
    """Yield (who, image) for every image that Kubespray's nodes pull, as recorded."""
    for wanted in kubespray.images:
        yield f"kubespray {wanted.name}", wanted.reference


def check_closure(wants: Iterable[tuple[str, str]], images: Iterable[Carried], where: str) -> None:
    """Check that every required image is present.

    Args:
        wants: Who needs which full reference.
        images: The images that are present.
        where: The document, for messages.
    Raises:
        ClosureError: An image is missing.
        DefinitionError: A required image is not a reference.
    """
    carries = Carries(images)
    for who, image in wants:
        if not carries.has(parse_reference(image, who)):
            raise ClosureError(
                f"{where}: {who} needs {image}, which is not among the images",
                "Run `isoward lock` again, then build the new lock.",
                {"image": image, "wantedBy": who},
            )
