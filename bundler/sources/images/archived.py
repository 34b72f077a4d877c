"""Images of an archive as if it were a registry: names, manifests, referrers, blobs.

An OCI image layout has all of these. Of a docker-archive, docker_archive makes them.

Source: OCI image-spec, image-layout.md; cosign, "pkg/oci/layout" for its annotation `kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from bundle.base.content import Content
from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    MissingBlobError,
)
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES, MAX_REFERRERS
from bundle.base.oci import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OciDescriptor,
    OciIndex,
    parse_oci,
)
from bundle.base.reference import Reference, parse_reference
from bundle.model.plan import OCI_LAYOUT_VERSION, REF_NAME
from bundler.registry.expected import FetchedManifest
from bundler.sources.common.context import SourceContext
from bundler.sources.common.manifests import ManifestSource, Parsed
from bundler.sources.common.opener import BlobStream, WholeBytes
from bundler.sources.images.archive import Archive, known_bytes

LAYOUT_FILE: Final = "oci-layout"
_INDEX: Final = "index.json"
_CONTAINERD_NAME: Final = "io.containerd.image.name"
_KIND: Final = "kind"
_COSIGN_KINDS: Final = {
    "dev.cosignproject.cosign/sigs": ".sig",
    "dev.cosignproject.cosign/atts": ".att",
}
"""What `cosign save` says of its parts, and the tag that each has in a registry."""

_SHOWN: Final = 8
"""Names told to a person who asked for another one."""


class _Version(msgspec.Struct, rename="camel"):
    image_layout_version: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that an archive names.

    Attributes:
        descriptor: Of its manifest or index.
        names: Under which it can be asked for.
        subject: Digest of what it refers to; empty for an image.
        suffix: `.sig` or `.att`, where cosign says so of it.
    """

    descriptor: OciDescriptor
    names: tuple[str, ...]
    subject: str = ""
    suffix: str = ""

    @property
    def is_image(self) -> bool:
        """Whether it is no signature, SBOM or attestation."""
        tags = (name.rpartition(":")[2] for name in self.names)
        return not (self.subject or self.suffix or any(t.startswith("sha256-") for t in tags))


class Layout:
    """An OCI image layout, or what was made of a docker-archive."""

    def __init__(self, archive: Archive, entries: Iterable[Entry], made: dict[str, bytes]) -> None:
        """Take entries, and small content by digest that is not in the archive itself."""
        self.archive = archive
        self.entries = tuple(entries)
        self._made = made

    def manifest(self, descriptor: OciDescriptor) -> bytes:
        """Return a manifest or an index, checked.

        Raises:
            MissingBlobError: The archive has it not.
            IntegrityError: It is something else.
        """
        made = self._made.get(descriptor.digest)
        if made is not None:
            return made
        name = self._name(descriptor.content)
        return known_bytes(self.archive, name, descriptor.content, MAX_OCI_MANIFEST_BYTES)

    def keep(self, content: Content, context: SourceContext) -> None:
        """Put a blob into the store, unless it is there.

        Raises:
            MissingBlobError: The archive has it not.
            IntegrityError: It is something else.
        """
        if context.store.has(content.digest, content.size):
            return
        made = self._made.get(content.digest)
        if made is not None:
            context.store.put_bytes(content.digest, made)
            return
        self.archive.keep(self._name(content), context.store, content, lambda _: None)

    def _name(self, content: Content) -> str:
        name = f"blobs/sha256/{hex_of(content.digest)}"
        if self.archive.size(name) is None:
            raise MissingBlobError(
                f"{self.archive.where}: it refers to {content.digest}, but does not contain it",
                "Create the archive again, with all wanted platforms.",
            )
        return name


def read_layout(archive: Archive) -> Layout:
    """Read an OCI image layout.

    Raises:
        FormatError: It is malformed.
        IntegrityError: Something in it is not what its digest says.
    """
    where = archive.where
    try:
        data = archive.read(LAYOUT_FILE, MAX_OCI_MANIFEST_BYTES)
        version = msgspec.json.decode(data, type=_Version).image_layout_version
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise archive.refuse(f"{LAYOUT_FILE} is malformed") from error
    if version != OCI_LAYOUT_VERSION:
        raise archive.refuse(f"expected a layout of version {OCI_LAYOUT_VERSION}")
    index = parse_oci(archive.read(_INDEX, MAX_OCI_MANIFEST_BYTES), OCI_INDEX, f"{where}: {_INDEX}")
    if not isinstance(index, OciIndex) or len(index.manifests) > MAX_REFERRERS:
        raise archive.refuse(f"{_INDEX} names more than {MAX_REFERRERS} images")
    layout = Layout(archive, (), {})
    layout.entries = tuple(
        _entry(layout, descriptor)
        for descriptor in index.manifests
        if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES
    )
    return layout


def _entry(layout: Layout, descriptor: OciDescriptor) -> Entry:
    notes = descriptor.annotations
    names = tuple(
        dict.fromkeys(notes[key] for key in (_CONTAINERD_NAME, REF_NAME) if notes.get(key))
    )
    where = f"{layout.archive.where}: {descriptor.digest}"
    body = parse_oci(layout.manifest(descriptor), descriptor.media_type, where)
    subject = body.subject.digest if body.subject else ""
    return Entry(descriptor, names, subject, _COSIGN_KINDS.get(notes.get(_KIND, ""), ""))


def choose(layout: Layout, name: str, reference: Reference) -> Entry:
    """Return the image that is meant.

    Args:
        layout: With all images of the archive.
        name: As the definition says, or empty: the only image, else that of the reference.
        reference: Under which the image will be served.
    Raises:
        DefinitionError: There is no such image, or it is not clear which one is meant.
    """
    images = [entry for entry in layout.entries if entry.is_image]
    if not name and len({entry.descriptor.digest for entry in images}) == 1:
        return images[0]
    wanted = name or str(reference)
    found = {e.descriptor.digest: e for e in images if any(_same(wanted, n) for n in e.names)}
    if len(found) == 1:
        return next(iter(found.values()))
    known = sorted({n for entry in images for n in entry.names})
    shown = ", ".join(n[:200] for n in known[:_SHOWN]) or "no names"
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    raise DefinitionError(
        f"{layout.archive.where}: expected one image {wanted!r}, found {len(found)}; "
        f"its images are: {shown}{more}",
        "Write `name:` as the archive spells it.",
    )


def _same(wanted: str, name: str) -> bool:
    if wanted == name:
        return True
    try:
        return parse_reference(wanted) == parse_reference(name)
    except DefinitionError:
        return False


class ArchiveSource(ManifestSource):
    """One image of an archive, where a registry's manifests are asked for."""

    is_registry: ClassVar[bool] = False

    def __init__(self, layout: Layout, root: Entry, context: SourceContext) -> None:
        """Answer for `root` and what belongs to it."""
        super().__init__(context.client, context.store)
        self._layout = layout
        self._root = root

    def at(self, reference: Reference) -> Parsed:
        """Return the image.

        Raises:
            DigestMismatchError: The reference has the digest of another one.
        """
        found = self._root.descriptor
        if reference.digest and reference.digest != found.digest:
            raise DigestMismatchError(
                f"{self._layout.archive.where}: expected {reference.digest}, found {found.digest}",
                "Correct the digest, or provide the right archive.",
                {"expected": reference.digest, "found": found.digest},
            )
        return self._parse(self._fetched(found), f"{self._layout.archive.where}: {found.digest}")

    def at_tag(self, reference: Reference) -> Parsed | None:
        """Return what a tag names, as cosign names signatures."""
        subject, _, suffix = reference.tag.partition(".")
        of_root = subject == f"sha256-{hex_of(self._root.descriptor.digest)}" and suffix
        for entry in self._layout.entries:
            named = any(name.rpartition(":")[2] == reference.tag for name in entry.names)
            if named or (of_root and entry.suffix == f".{suffix}"):
                return self._parse(self._fetched(entry.descriptor), str(reference))
        return None

    def at_both(self, reference: Reference) -> tuple[Parsed, str | None]:
        """Return the image: an archive's tags are not the registry's, so only the digest counts."""
        return self.at(reference), self._root.descriptor.digest

    def listed_referrers(
        self,
        reference: Reference,  # noqa: ARG002 - the base's form
        subject: str,
        pass_over: Callable[[str], None],  # noqa: ARG002
    ) -> list[OciDescriptor]:
        """Return what the archive has that refers to a manifest."""
        return [entry.descriptor for entry in self._layout.entries if entry.subject == subject]

    def open_blob(
        self,
        reference: Reference,  # noqa: ARG002 - the base's form
        digest: str,
        *,
        mirrors: bool = True,  # noqa: ARG002
    ) -> BlobStream:
        """Open a small blob."""
        data = self._layout.archive.read(f"blobs/sha256/{hex_of(digest)}", MAX_OCI_MANIFEST_BYTES)
        return WholeBytes(data)

    def _get(self, reference: Reference, descriptor: OciDescriptor) -> bytes:  # noqa: ARG002 - the base's form
        data = self._layout.manifest(descriptor)
        self.store.put_bytes(descriptor.digest, data)
        return data

    def _fetched(self, descriptor: OciDescriptor) -> FetchedManifest:
        data = self._layout.manifest(descriptor)
        return FetchedManifest(data, descriptor.media_type, digest_of(data))
