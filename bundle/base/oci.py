"""OCI and Docker manifests, parsed once into types.

The bytes are already authenticated by their digest, yet their author may be hostile: sizes are
bounded, media types must agree, and content outside the registry (`urls`) is refused.

Source: OCI image-spec v1.1, manifest.md and image-index.md; Docker "Image Manifest V 2, Schema 2";
OCI image-spec v1.1.0-rc2, artifact.md, and ORAS "artifact-spec", which registries still hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from bundle.base.content import Content, MediaType
from bundle.base.digest import Digest, Size
from bundle.base.errors import FormatError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES
from bundle.base.oci_json import UnreadableError, digests_in, read_descriptor, read_document
from bundle.base.platform import DEFAULT_SYSTEM, platform_of

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
ARTIFACT_TYPES: Final = (
    "application/vnd.oci.artifact.manifest.v1+json",
    "application/vnd.cncf.oras.artifact.manifest.v1+json",
)
"""Manifests of signatures and SBOMs from before image manifests could carry them; no config."""

INDEX_TYPES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST, *ARTIFACT_TYPES})
ACCEPT: Final = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, *ARTIFACT_TYPES)
ATTESTATION_DIGEST: Final = "vnd.docker.reference.digest"
MAX_LAYERS: Final = 8192
"""Each signature that cosign adds to an image is another layer of the same manifest."""

MAX_INDEX_ENTRIES: Final = 10_000
_MAX_REASON: Final = 300


class OciPlatform(msgspec.Struct, frozen=True, kw_only=True):
    """The platform of an index entry; unused fields are ignored, as the spec demands."""

    os: str = ""
    architecture: str = ""
    variant: str | None = None

    def __str__(self) -> str:
        """Return os/architecture/variant; without an os it matches whoever asks."""
        return platform_of(self.os or DEFAULT_SYSTEM, self.architecture, self.variant)


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
    """An image manifest; also used for artifacts that are not images."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    config: OciDescriptor | None = None
    """Only the old artifact manifests have no config."""
    layers: Annotated[tuple[OciDescriptor, ...], msgspec.Meta(max_length=MAX_LAYERS)] = ()
    subject: OciDescriptor | None = None
    annotations: Mapping[str, str] | None = None

    @property
    def effective_artifact_type(self) -> str:
        """The artifactType, else the config's media type (distribution-spec, "Referrers")."""
        return self.artifact_type or (self.config.media_type if self.config else "")

    @property
    def parts(self) -> tuple[OciDescriptor, ...]:
        """The config, if there is one, and the layers."""
        return self.layers if self.config is None else (self.config, *self.layers)


class OciIndex(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An image index or a Docker manifest list."""

    schema_version: int
    media_type: str = ""
    artifact_type: str = ""
    manifests: Annotated[tuple[OciDescriptor, ...], msgspec.Meta(max_length=MAX_INDEX_ENTRIES)] = ()
    subject: OciDescriptor | None = None
    annotations: Mapping[str, str] | None = None
    unusable: tuple[str, ...] = ()
    """Why entries were skipped; other readers fail only when such an entry is requested."""
    passed_over: Mapping[str, str] = {}
    """The same, by the digest of the entry, where it has one."""


def parse_oci(data: bytes, media_type: str, where: str) -> OciIndex | OciManifest:
    """Parse a manifest or an index.

    Args:
        data: At most MAX_OCI_MANIFEST_BYTES.
        media_type: From the registry or the referring descriptor; the bytes must agree with it.
        where: Names the manifest in messages.
    Raises:
        FormatError: Malformed, ambiguous, of an unsupported kind, or disagreeing with
            `media_type`.
    """
    if len(data) > MAX_OCI_MANIFEST_BYTES:
        raise _refuse(where, f"expected at most {MAX_OCI_MANIFEST_BYTES} bytes, found {len(data)}")
    try:
        found = read_document(data)
        if media_type not in ARTIFACT_TYPES:
            _check_version(found.get("schemaVersion", 0))
        _check_kind(found, media_type)
        if media_type in INDEX_TYPES:
            return _index(found)
        return _manifest(found, media_type)
    except (UnreadableError, msgspec.ValidationError, RecursionError) as error:
        # What is nested almost too deeply to be parsed is too deep to be compared or shown.
        raise _refuse(where, str(error)) from error


def referrer_descriptor(
    parsed: OciManifest | OciIndex, digest: str, size: int, media_type: str
) -> dict[str, Any]:
    """Describe a manifest as lists of referrers do: with its kind and its annotations.

    Source: OCI distribution-spec, "Listing Referrers".
    """
    made: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
    if isinstance(parsed, OciManifest):
        made["artifactType"] = parsed.effective_artifact_type
    elif parsed.artifact_type:
        made["artifactType"] = parsed.artifact_type
    if parsed.annotations:
        made["annotations"] = dict(parsed.annotations)
    return made


def _check_version(version: Any) -> None:
    if version != 2 or isinstance(version, bool):  # noqa: PLR2004 - the spec's constant
        raise UnreadableError(f"expected schemaVersion 2, found {str(version)[:20]}")


def _check_kind(found: Mapping[str, Any], media_type: str) -> None:
    """Refuse a document that is an index to one reader and a manifest to another.

    Source: CVE-2021-41190.
    """
    own = found.get("mediaType", "")
    if own and own != media_type:
        raise UnreadableError(f"expected mediaType {media_type!r}, found {str(own)[:100]!r}")
    if media_type in INDEX_TYPES:
        if "layers" in found or "config" in found:
            raise UnreadableError("expected an index, found layers or a config as well")
    elif media_type not in MANIFEST_TYPES:
        raise UnreadableError(f"media type {media_type[:100]!r} is not an image, index or artifact")
    elif "manifests" in found:
        raise UnreadableError("expected a manifest, found a list of manifests as well")


def _index(found: dict[str, Any]) -> OciIndex:
    """Make an index from the usable entries; record why the others are not usable."""
    entries = found.pop("manifests", [])
    if not isinstance(entries, list) or len(entries) > MAX_INDEX_ENTRIES:
        raise UnreadableError(f"expected a list of at most {MAX_INDEX_ENTRIES} manifests")
    good: list[OciDescriptor] = []
    unusable: list[str] = []
    passed_over: dict[str, str] = {}
    for i, entry in enumerate(entries):
        try:
            good.append(_carried(_descriptor(entry)))
        except (UnreadableError, msgspec.ValidationError) as error:
            unusable.append(f"manifests[{i}]: {error}"[:_MAX_REASON])
            passed_over |= dict.fromkeys(digests_in(entry), unusable[-1])
    if unusable and not good:
        raise UnreadableError(unusable[0])
    common = _common(found)
    return msgspec.structs.replace(
        msgspec.convert(common, OciIndex),
        manifests=tuple(good),
        unusable=tuple(unusable),
        passed_over=passed_over,
    )


def _manifest(found: dict[str, Any], media_type: str) -> OciManifest:
    old = media_type in ARTIFACT_TYPES
    layers = found.pop("blobs" if old else "layers", [])
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        raise UnreadableError(f"expected a list of at most {MAX_LAYERS} layers")
    common = _common({"schemaVersion": 2, **found})
    config = found.get("config")
    if config is None and not old:
        raise UnreadableError("the config is missing")
    return msgspec.structs.replace(
        msgspec.convert(common, OciManifest),
        config=None if config is None or old else _named("config", config),
        layers=tuple(_named(f"layers[{i}]", layer) for i, layer in enumerate(layers)),
    )


def _common(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that indexes and manifests have in common."""
    made = {
        name: found[name]
        for name in ("schemaVersion", "mediaType", "artifactType", "annotations")
        if name in found
    }
    if "subject" in found:
        subject = read_descriptor(found["subject"])
        try:
            made["subject"] = msgspec.convert(subject, OciDescriptor)
        except msgspec.ValidationError:
            # It refers to nothing that can be carried here, so it refers to nothing.
            made["subject"] = None
    return made


def _named(name: str, value: Any) -> OciDescriptor:
    """Read a descriptor that the whole manifest depends on."""
    try:
        return _carried(_descriptor(value))
    except (UnreadableError, msgspec.ValidationError) as error:
        raise UnreadableError(f"{name}: {error}") from error


def _descriptor(value: Any) -> OciDescriptor:
    return msgspec.convert(read_descriptor(value), OciDescriptor)


def _carried(entry: OciDescriptor) -> OciDescriptor:
    if entry.urls:
        raise UnreadableError(
            f"{entry.digest} is stored outside the registry ({entry.urls[0][:100]!r})"
        )
    return entry


def _refuse(where: str, why: str) -> FormatError:
    return FormatError(
        f"{where}: unsupported OCI manifest: {why}",
        "Ask the image's publisher for an OCI or Docker schema 2 image.",
    )


# msgspec compiles a structure on first use, and two threads doing so at the same time crash the
# process; OCI documents are read by threads.
for _structure in (OciDescriptor, OciManifest, OciIndex):
    msgspec.json.Decoder(_structure)
