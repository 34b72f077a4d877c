"""OCI and Docker manifests, parsed once into types.

The bytes are already authenticated by their digest, yet their author may be hostile: sizes are
bounded, media types must agree, and content outside the registry (`urls`) is refused.

Source: OCI image-spec v1.1, manifest.md and image-index.md; Docker "Image Manifest V 2, Schema 2".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec

from bundle.model.digest import Digest, Size
from bundle.model.errors import FormatError
from bundle.model.limits import MAX_OCI_MANIFEST_BYTES
from bundle.model.lock import Content, MediaType
from bundle.model.platform import platform_of

T = TypeVar("T")
OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
ACCEPT: Final = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)
ATTESTATION_DIGEST: Final = "vnd.docker.reference.digest"
MAX_LAYERS: Final = 512
MAX_INDEX_ENTRIES: Final = 10_000


_FIELDS: Final = {
    name.casefold(): name
    for name in (
        "annotations",
        "architecture",
        "artifactType",
        "config",
        "digest",
        "layers",
        "manifests",
        "mediaType",
        "os",
        "platform",
        "schemaVersion",
        "size",
        "subject",
        "urls",
        "variant",
    )
}


class OciPlatform(msgspec.Struct, frozen=True, kw_only=True):
    """The platform of an index entry; fields that we do not use are ignored, as the spec wants."""

    os: str = ""
    architecture: str = ""
    variant: str | None = None

    def __str__(self) -> str:
        """Return os/architecture/variant."""
        return platform_of(self.os, self.architecture, self.variant)


class OciDescriptor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A descriptor within a manifest or an index."""

    media_type: MediaType
    digest: Digest
    size: Size
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = {}
    platform: OciPlatform | None = None
    artifact_type: str = ""

    @property
    def content(self) -> Content:
        """Digest and size alone."""
        return Content(digest=self.digest, size=self.size)


class OciManifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An image manifest, also of an artefact that is no image."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: OciDescriptor
    layers: Annotated[tuple[OciDescriptor, ...], msgspec.Meta(max_length=MAX_LAYERS)] = ()
    subject: OciDescriptor | None = None
    annotations: Mapping[str, str] | None = None

    @property
    def effective_artifact_type(self) -> str:
        """The artifactType, else the config's media type (distribution-spec, "Referrers")."""
        return self.artifact_type or self.config.media_type


class OciIndex(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An image index or a Docker manifest list."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    manifests: Annotated[tuple[OciDescriptor, ...], msgspec.Meta(max_length=MAX_INDEX_ENTRIES)] = ()
    subject: OciDescriptor | None = None
    annotations: Mapping[str, str] | None = None


_ABSENT: Final = msgspec.Raw(b"")


class _Probe(msgspec.Struct, kw_only=True, rename="camel"):
    """Just enough to tell an index, a manifest and the old schema 1 apart."""

    schema_version: int = 0
    media_type: str = ""
    manifests: msgspec.Raw = _ABSENT
    layers: msgspec.Raw = _ABSENT
    config: msgspec.Raw = _ABSENT


def parse_oci(data: bytes, media_type: str, where: str) -> OciIndex | OciManifest:
    """Parse a manifest or an index.

    Args:
        data: At most MAX_OCI_MANIFEST_BYTES.
        media_type: As the registry or the referring descriptor said; it must agree with the bytes.
        where: What it is, for messages.
    Raises:
        FormatError: Malformed, ambiguous, of a kind that is not carried, or disagreeing with
            `media_type`.
    """
    if len(data) > MAX_OCI_MANIFEST_BYTES:
        raise _refuse(where, f"expected at most {MAX_OCI_MANIFEST_BYTES} bytes, found {len(data)}")
    _check_keys(data, where)
    probe = _decode(data, _Probe, where)
    if probe.schema_version != 2:  # noqa: PLR2004 - the spec's constant
        raise _refuse(where, f"expected schemaVersion 2, found {probe.schema_version}")
    if probe.media_type and probe.media_type != media_type:
        raise _refuse(where, f"it says mediaType {probe.media_type!r}, expected {media_type!r}")
    if media_type in INDEX_TYPES:
        # A document that is an index to one reader and a manifest to another is an attack
        # (CVE-2021-41190).
        if bytes(probe.layers) or bytes(probe.config):
            raise _refuse(where, "an index that also has layers or a config")
        index = _decode(data, OciIndex, where)
        for entry in index.manifests:
            _check_urls(entry, where)
        return index
    if media_type in MANIFEST_TYPES:
        if bytes(probe.manifests):
            raise _refuse(where, "a manifest that also has manifests")
        manifest = _decode(data, OciManifest, where)
        for entry in (manifest.config, *manifest.layers):
            _check_urls(entry, where)
        return manifest
    raise _refuse(where, f"media type {media_type[:100]!r} is not an image, index or artefact")


def _check_keys(data: bytes, where: str) -> None:
    """Check that every reader finds the same fields.

    Of a key that stands twice some readers take the first and some the last, and Go's take a key in
    any case for the one that they know.
    """

    def once(pairs: list[tuple[str, Any]]) -> None:
        folded = [key.casefold() for key, _ in pairs]
        if len(set(folded)) != len(folded):
            raise _refuse(where, "a key stands twice")
        for (key, _), plain in zip(pairs, folded, strict=True):
            if _FIELDS.get(plain, key) != key:
                raise _refuse(where, f"expected the key {_FIELDS[plain]!r}, found {key[:100]!r}")

    try:
        json.loads(data.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise _refuse(where, "it is not JSON") from error


def _check_urls(entry: OciDescriptor, where: str) -> None:
    if entry.urls:
        raise _refuse(where, f"{entry.digest} lives outside the registry ({entry.urls[0][:100]!r})")


def _decode(data: bytes, type_: type[T], where: str) -> T:
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refuse(where, str(error)) from error


def _refuse(where: str, why: str) -> FormatError:
    return FormatError(
        f"{where}: not an OCI manifest that can be carried: {why}",
        "Ask the image's publisher for an OCI or Docker schema 2 image.",
    )
