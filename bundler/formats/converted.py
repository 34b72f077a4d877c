"""What an importer found in another tool's document."""

from __future__ import annotations

from dataclasses import dataclass

from bundle.base.errors import DefinitionError
from bundle.base.reference import parse_reference
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.files import FileSource
from bundle.kinds.images import ImageSource
from bundle.kinds.policy import SignatureRule


@dataclass(frozen=True, slots=True)
class UnpinnedFile:
    """A file by URL of which nothing says the SHA-256 digest; it is fetched once to learn it.

    Attributes:
        url: Checked by nobody yet.
        where: The file and line that name it.
        sha512: What it must be, in hexadecimal; empty when nothing says.
    """

    url: str
    where: str
    sha512: str = ""


@dataclass(frozen=True, slots=True)
class Converted:
    """Content and rules for a definition.

    Attributes:
        images: Each with its full reference, once.
        charts: With versions.
        files: With digests.
        unpinned: Files that are still to be fetched for their digests.
        rules: In order; the first that matches counts.
        platforms: All that the document names; empty when it names none.
        notes: What was left out of the definition, and why; for a person.
    """

    images: tuple[ImageSource, ...] = ()
    charts: tuple[ChartSource, ...] = ()
    files: tuple[FileSource, ...] = ()
    unpinned: tuple[UnpinnedFile, ...] = ()
    rules: tuple[SignatureRule, ...] = ()
    platforms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def image_named(text: str, where: str) -> ImageSource:
    """Return an image by its full reference.

    Args:
        text: As the document has it.
        where: The file and line that name it.
    Raises:
        DefinitionError: Not a reference, or without a tag and a digest.
    """
    return ImageSource(reference=str(parse_reference(text, where)))


def unique_images(images: list[ImageSource]) -> tuple[ImageSource, ...]:
    """Return the images sorted, each once.

    Raises:
        DefinitionError: One is asked for twice, for different platforms.
    """
    found: dict[str, ImageSource] = {}
    for image in images:
        other = found.setdefault(image.reference, image)
        if other != image:
            raise DefinitionError(
                f"{image.reference} is listed twice, for {_platforms(other)} and "
                f"{_platforms(image)}",
                "List it once, for all wanted platforms.",
            )
    return tuple(found[name] for name in sorted(found))


def _platforms(image: ImageSource) -> str:
    return ", ".join(image.platforms) or "all platforms"
