"""A docker-archive, as `docker save` and `podman save` write it, made an OCI image.

It has a config and layers, and no OCI manifest. We make one by a fixed rule: over the config and
the layers byte for byte as they are, so that nothing is compressed again and the digest follows
from the archive alone. Each layer must have the diffID that the config says.

Source: Docker, "Image Specification v1.2", "Combined Image JSON + Filesystem Changeset Format";
OCI image-spec, config.md, "Layer DiffID".
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec

from bundle.base.canonical import canonical_json
from bundle.base.content import Content
from bundle.base.digest import PREFIX, Digest, digest_of
from bundle.base.errors import DigestMismatchError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES, MAX_UNPACKED_BYTES, MIB
from bundle.base.oci import OCI_MANIFEST, OciDescriptor
from bundler.sources.common.context import SourceContext
from bundler.sources.images.archive import GZIP, Archive
from bundler.sources.images.archived import Entry, Layout

MANIFEST_FILE: Final = "manifest.json"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_TAR: Final = "application/vnd.oci.image.layer.v1.tar"
_MAX_IMAGES: Final = 1000
_MAX_LAYERS: Final = 512
"""Four times what overlay file systems can mount."""

_MAGIC_PLACE: Final = 257
_MAGIC: Final = b"ustar"
_BEGIN: Final = 512


class DockerImage(msgspec.Struct, frozen=True):
    """An image in manifest.json; fields that we do not use are ignored, as Docker does."""

    config: str = msgspec.field(name="Config")
    layers: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=_MAX_LAYERS)] = (
        msgspec.field(name="Layers")
    )
    tags: tuple[str, ...] | None = msgspec.field(name="RepoTags", default=None)


class _RootFs(msgspec.Struct, frozen=True):
    diff_ids: tuple[Digest, ...]


class _Config(msgspec.Struct, frozen=True):
    rootfs: _RootFs


def docker_images(archive: Archive) -> tuple[DockerImage, ...]:
    """Return the images that a docker-archive names.

    Raises:
        FormatError: It is malformed.
    """
    data = archive.read(MANIFEST_FILE, MAX_OCI_MANIFEST_BYTES)
    try:
        found = msgspec.json.decode(data, type=tuple[DockerImage, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise archive.refuse(f"{MANIFEST_FILE} is malformed ({error})") from error
    if len(found) > _MAX_IMAGES:
        raise archive.refuse(f"more than {_MAX_IMAGES} images")
    return found


def config_entries(
    archive: Archive, images: Iterable[DockerImage]
) -> list[tuple[Entry, DockerImage]]:
    """Return the images with entries to choose from, of which the digest is the config's."""
    entries: list[tuple[Entry, DockerImage]] = []
    for image in images:
        data = archive.read(image.config, MAX_OCI_MANIFEST_BYTES)
        descriptor = OciDescriptor(media_type=_CONFIG, digest=digest_of(data), size=len(data))
        entries.append((Entry(descriptor, image.tags or ()), image))
    return entries


def make_image(archive: Archive, image: DockerImage, context: SourceContext) -> Layout:
    """Make the OCI manifest of an image; its config and layers go into the store.

    Raises:
        FormatError: The archive is malformed, or a layer is of an unknown form.
        DigestMismatchError: A layer is not the one that the config names.
        StorageError: The disk refused.
    """
    config = archive.read(image.config, MAX_OCI_MANIFEST_BYTES)
    try:
        diff_ids = msgspec.json.decode(config, type=_Config).rootfs.diff_ids
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise archive.refuse(f"{image.config} is malformed ({error})") from error
    if len(diff_ids) != len(image.layers):
        raise archive.refuse(
            f"{image.config} has {len(diff_ids)} diffIDs, expected {len(image.layers)}"
        )
    done: dict[tuple[str, str], dict[str, Any]] = {}
    layers = []
    for pair in zip(image.layers, diff_ids, strict=True):
        if pair not in done:
            done[pair] = _layer(archive, *pair, context)
        layers.append(done[pair])
    context.store.put_bytes(digest_of(config), config)
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor(_CONFIG, Content(digest=digest_of(config), size=len(config))),
            "layers": layers,
        }
    )
    descriptor = OciDescriptor(
        media_type=OCI_MANIFEST, digest=digest_of(manifest), size=len(manifest)
    )
    made = {digest_of(manifest): manifest, digest_of(config): config}
    return Layout(archive, [Entry(descriptor, image.tags or ())], made)


def _descriptor(media_type: str, content: Content) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": content.digest, "size": content.size}


def _layer(archive: Archive, name: str, diff_id: str, context: SourceContext) -> dict[str, Any]:
    """Put a layer into the store and return its descriptor."""
    size = archive.size(name)
    if size is None:
        raise archive.refuse(f"the layer {name[:200]!r} is not in it")
    begin = bytes(next(archive.chunks(name), memoryview(b""))[:_BEGIN])
    if begin.startswith(GZIP):
        return _descriptor(f"{_TAR}+gzip", _keep_gzip(archive, name, diff_id, context))
    if not _is_tar(begin):
        raise archive.refuse(f"the layer {name[:200]!r} is neither a tar nor a gzip of one")
    # Of a layer that is a tar already the diffID is the digest.
    content = Content(digest=diff_id, size=size)
    if not context.store.has(diff_id, size):
        archive.keep(name, context.store, content, lambda _: None)
    return _descriptor(_TAR, content)


def _keep_gzip(archive: Archive, name: str, diff_id: str, context: SourceContext) -> Content:
    """Put a compressed layer into the store, and unpack it on the way to see what is in it."""
    unpacker = _Gunzip(archive, name)
    content = archive.keep(name, context.store, None, unpacker.take)
    found = unpacker.diff_id()
    if found != diff_id:
        raise DigestMismatchError(
            f"{archive.where}: layer {name[:200]}: expected the diffID {diff_id}, found {found}",
            "The archive is damaged or was changed; create it again.",
            {"expected": diff_id, "found": found},
        )
    return content


def _is_tar(begin: bytes) -> bool:
    """Return whether a layer begins as a tar does; one without files is all zeros."""
    magic = begin[_MAGIC_PLACE : _MAGIC_PLACE + len(_MAGIC)]
    return len(begin) == _BEGIN and (magic == _MAGIC or not any(begin))


class _Gunzip:
    """A layer that is a gzip, of one member or several."""

    def __init__(self, archive: Archive, name: str) -> None:
        self._archive = archive
        self._name = name
        self._state: Any = hashlib.sha256()
        self._size = 0
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def take(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        data = bytes(chunk)
        while data:
            if self._gzip.eof:
                self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                unpacked = self._gzip.decompress(data, MIB)
            except zlib.error as error:
                raise self._archive.refuse(f"the layer {self._name}: {error}") from error
            self._state.update(unpacked)
            self._size += len(unpacked)
            if self._size > MAX_UNPACKED_BYTES:
                raise self._archive.refuse(
                    f"the layer {self._name} unpacks to more than {MAX_UNPACKED_BYTES} bytes"
                )
            data = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail

    def diff_id(self) -> str:
        """Return the digest of all of the tar."""
        while not self._gzip.eof and (rest := self._gzip.decompress(b"", MIB)):
            self._state.update(rest)
        if not self._gzip.eof:
            raise self._archive.refuse(f"the layer {self._name} is truncated")
        return PREFIX + str(self._state.hexdigest())
