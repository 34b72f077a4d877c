"""images.txt: one reference a line, as Rancher, RKE2, Hauler and kubespray-offline have it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from bundle.base.errors import DefinitionError
from bundle.kinds.artifacts import LockedArtifact
from bundler.formats.converted import Converted, image_named, unique_images

_COMMENT: Final = re.compile(r"(^|\s)#.*$")
_SHOWN: Final = 200


def read_image_list(data: bytes, where: str) -> Converted:
    """Read a list of images.

    Args:
        data: Untrusted.
        where: The file's name, for messages.
    Raises:
        DefinitionError: A line is not a reference with a tag or a digest.
    """
    images = [image_named(text, f"{where}: line {line}") for line, text in list_lines(data, where)]
    if not images:
        raise DefinitionError(f"{where}: it lists no images", "Write one reference per line.")
    return Converted(images=unique_images(images))


def list_lines(data: bytes, where: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is neither empty nor a comment.

    Raises:
        DefinitionError: Not text, or a template was not filled in.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DefinitionError(f"{where}: expected UTF-8 text", "Save it as UTF-8.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        entry = _COMMENT.sub("", line).strip()
        if "{{" in entry or "${" in entry:
            raise DefinitionError(
                f"{where}: line {number}: unfilled template in {entry[:_SHOWN]!r}",
                "Fill the template in first.",
            )
        if entry:
            yield number, entry


def write_image_list(images: Iterable[LockedArtifact]) -> str:
    """Return an images.txt of images in registries: references with tag and digest, sorted."""
    lines = {pinned(image.reference, image.digest) for image in images if image.origin is None}
    return "".join(f"{line}\n" for line in sorted(lines))


def left_out_images(images: Iterable[LockedArtifact]) -> tuple[str, ...]:
    """Say which images no other tool could fetch; for a person."""
    return tuple(
        f"{image.reference} is left out; it is not in a registry"
        for image in images
        if image.origin
    )


def pinned(reference: str, digest: str) -> str:
    """Return a reference that means these bytes only."""
    return reference if "@" in reference else f"{reference}@{digest}"
