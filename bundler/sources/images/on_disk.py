"""Images of this machine: from an archive beside the definition, or from a container engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from bundle.base.errors import DigestMismatchError, FormatError
from bundle.base.reference import Reference, parse_reference
from bundle.kinds.artifacts import LockedArtifact, artifact_contents
from bundle.kinds.image_origin import ImageOrigin
from bundle.kinds.images import ImageSource
from bundler.sources.common.context import SourceContext
from bundler.sources.images.archive import Archive, StreamArchive, open_archive
from bundler.sources.images.archived import (
    LAYOUT_FILE,
    ArchiveSource,
    Entry,
    Layout,
    choose,
    read_layout,
)
from bundler.sources.images.daemon import saved_image
from bundler.sources.images.docker_archive import (
    MANIFEST_FILE,
    config_entries,
    docker_images,
    make_image,
)
from bundler.sources.images.from_registry import resolve_image


def resolve_local_image(
    image: ImageSource, platforms: Sequence[str], context: SourceContext
) -> LockedArtifact:
    """Resolve an image of this machine; all of it goes into the store.

    Args:
        image: As the definition has it, with an origin.
        platforms: The definition's, where the image has none of its own.
        context: What sources work with.
    Raises:
        DefinitionError: There is no such archive, image or platform.
        FormatError: The archive is malformed, or holds what cannot be carried.
        IntegrityError: Something in it is not what its digest says.
        TransportError: The engine does not answer.
        StorageError: The disk refused.
    """
    origin = image.origin or ImageOrigin()
    with _opened(origin, parse_reference(image.reference), context) as (layout, root):
        source = ArchiveSource(layout, root, context)
        found = resolve_image(image, platforms, source, context.progress)
        for content in artifact_contents(found):
            layout.keep(content, context)
    return replace(found, origin=origin)


def fill_local_image(image: LockedArtifact, context: SourceContext) -> None:
    """Put a locked image of this machine into the store again.

    Raises:
        DigestMismatchError: The archive or the engine has another image under that name now.
        DefinitionError, FormatError, IntegrityError, TransportError, StorageError: As above.
    """
    origin = image.origin or ImageOrigin()
    with _opened(origin, parse_reference(image.reference), context) as (layout, root):
        if root.descriptor.digest != image.digest:
            raise DigestMismatchError(
                f"{image.reference}: expected {image.digest} from {origin.said}, "
                f"found {root.descriptor.digest}",
                "It is not the locked image: restore the locked one, build on the "
                "machine whose cache has it, or run `isoward lock` and review what changed.",
                {"expected": image.digest, "found": root.descriptor.digest},
            )
        for content in artifact_contents(image):
            layout.keep(content, context)


@contextmanager
def _opened(
    origin: ImageOrigin, reference: Reference, context: SourceContext
) -> Iterator[tuple[Layout, Entry]]:
    """Open where an image is, and choose it."""
    if origin.daemon is not None:
        with saved_image(origin.daemon) as stream:
            archive: Archive = StreamArchive(origin.said, stream, context.store)
            yield _chosen(archive, "", reference, context)
    else:
        with open_archive(origin.archive or "", context) as archive:
            yield _chosen(archive, origin.name, reference, context)


def _chosen(
    archive: Archive, name: str, reference: Reference, context: SourceContext
) -> tuple[Layout, Entry]:
    if archive.size(LAYOUT_FILE) is not None:
        # Docker writes both since version 25; the layout has the digests that registries know.
        layout = read_layout(archive)
        return layout, choose(layout, name, reference)
    if archive.size(MANIFEST_FILE) is None:
        raise FormatError(
            f"{archive.where}: expected {LAYOUT_FILE} or {MANIFEST_FILE} in it, found neither",
            "Create it with docker save, podman save or skopeo copy.",
        )
    entries = config_entries(archive, docker_images(archive))
    entry = choose(Layout(archive, [entry for entry, _ in entries], {}), name, reference)
    image = next(image for known, image in entries if known is entry)
    layout = make_image(archive, image, context)
    return layout, layout.entries[0]
