"""Manifests on their way into a lock: each is fetched once, checked, parsed and kept."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

from bundle.base.errors import FormatError, SizeMismatchError
from bundle.base.limits import MAX_INDEX_DEPTH
from bundle.base.oci import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OciDescriptor,
    OciIndex,
    OciManifest,
    parse_oci,
)
from bundle.base.oci_json import UnreadableError, read_document
from bundle.base.reference import Reference
from bundle.kinds.artifacts import LockedIndex, LockedManifest
from bundler.registry.client import RegistryClient, by_digest, by_tag
from bundler.registry.expected import FetchedManifest
from bundler.sources.common.opener import BlobStream

_MAX_BELOW: Final = 256
"""Within one index; the largest real ones have a few dozen, with their attestations."""


class ContentStore(Protocol):
    """Keeps small content by digest, so that the build does not fetch it again."""

    def put_bytes(self, digest: str, data: bytes) -> None:
        """Store content of this digest."""

    def read_bytes(self, digest: str, size: int) -> bytes | None:
        """Return content that is here, checked, or None."""

    def find_bytes(self, digest: str, limit: int) -> bytes | None:
        """Return content of an unknown size that is here, checked, or None."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A manifest or an index that was fetched.

    Attributes:
        digest: Of its bytes.
        size: In bytes.
        media_type: That it was parsed as.
        body: What it says.
    """

    digest: str
    size: int
    media_type: str
    body: OciIndex | OciManifest

    def locked_index(self) -> LockedIndex:
        """Return it for the lock, as an index."""
        return LockedIndex(digest=self.digest, size=self.size, media_type=self.media_type)


class ManifestSource:
    """Fetches manifests for all references of a definition; safe to use from several threads.

    Attributes:
        client: Fetches.
        store: Keeps what was fetched.
        is_registry: Whether a server answers, as it pleases, and not an archive of this machine.
    """

    is_registry: ClassVar[bool] = True

    def __init__(self, client: RegistryClient, store: ContentStore) -> None:
        """Fetch with `client` and keep bytes in `store`."""
        self.client = client
        self.store = store
        self._lock = threading.Lock()
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def at(self, reference: Reference) -> Parsed:
        """Fetch what a reference of the definition names."""
        return self._parse(self.client.get_manifest(reference), str(reference))

    def at_both(self, reference: Reference) -> tuple[Parsed, str | None]:
        """Fetch what a reference with a tag and a digest names: the digest decides.

        Returns:
            That, and the digest that the tag names now; None when there is no such tag.
        """
        tagged = self.client.try_get_manifest(by_tag(reference, reference.tag))
        if tagged is None or tagged.digest != reference.digest:
            return self.at(reference), None if tagged is None else tagged.digest
        # The bytes are those of the digest, so they need not come a second time.
        return self._parse(tagged, str(reference)), tagged.digest

    def at_tag(self, reference: Reference) -> Parsed | None:
        """Fetch what a tag names; None when there is no such tag."""
        found = self.client.try_get_manifest(reference)
        if found is None:
            return None
        try:
            return self._parse(found, str(reference))
        except FormatError as error:
            answer = f"200 with {found.media_type or 'no content type'}"
            raise FormatError(error.message, error.hint, {"answer": answer}) from error

    def below(self, reference: Reference, descriptor: OciDescriptor) -> Parsed:
        """Fetch what a descriptor names.

        Args:
            reference: Names the registry and the repository.
            descriptor: Its digest, size and media type must be those of the manifest.
        Raises:
            SizeMismatchError: It has another size than the descriptor says.
            FormatError: It is not what the descriptor says.
        """
        where = str(by_digest(reference, descriptor.digest))
        if descriptor.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            raise FormatError(
                f"{where}: media type {descriptor.media_type!r} is not supported",
                "Ask its publisher for an OCI or Docker schema 2 manifest.",
                {"answer": f"{descriptor.media_type} cannot be carried"},
            )
        with self._lock:
            busy = self._busy[descriptor.digest]
        with busy:
            data = self._get(reference, descriptor)
        if len(data) != descriptor.size:
            raise SizeMismatchError(
                f"{where}: expected {descriptor.size} bytes, found {len(data)}",
                "The manifest that names it is wrong; ask the image's publisher.",
                {"expected": descriptor.size, "found": len(data)},
            )
        body = parse_oci(data, descriptor.media_type, where)
        return Parsed(descriptor.digest, descriptor.size, descriptor.media_type, body)

    def tree(self, reference: Reference, index: Parsed, depth: int = 1) -> Iterator[Parsed]:
        """Yield everything below an index.

        Raises:
            FormatError: Indexes are nested too deep.
        """
        if not isinstance(index.body, OciIndex):
            return
        check_nesting(reference, depth, len(index.body.manifests))
        for entry in index.body.manifests:
            child = self.below(reference, entry)
            yield child
            yield from self.tree(reference, child, depth + 1)

    def listed_referrers(
        self, reference: Reference, subject: str, pass_over: Callable[[str], None]
    ) -> list[OciDescriptor]:
        """Return what the place says refers to a manifest, unchecked.

        Args:
            reference: Names the registry and the repository.
            subject: Digest of the manifest.
            pass_over: Told why entries cannot be asked for.
        """
        return self.client.referrers(reference, subject, pass_over) or []

    def open_blob(self, reference: Reference, digest: str, *, mirrors: bool = True) -> BlobStream:
        """Open a blob for reading; the caller checks its digest."""
        return self.client.open_blob(reference, digest, mirrors=mirrors)

    def _get(self, reference: Reference, descriptor: OciDescriptor) -> bytes:
        kept = self.store.read_bytes(descriptor.digest, descriptor.size)
        if kept is not None:
            return kept
        fetched = self.client.get_manifest(by_digest(reference, descriptor.digest))
        self.store.put_bytes(fetched.digest, fetched.data)
        return fetched.data

    def _parse(self, fetched: FetchedManifest, where: str) -> Parsed:
        """Parse what was fetched by name.

        What it says of its type is under its digest; the server's word is not, and some servers
        send every manifest as plain JSON.
        """
        own = _own_media_type(fetched.data)
        media_type = own if own in INDEX_TYPES | MANIFEST_TYPES else fetched.media_type
        body = parse_oci(fetched.data, media_type, where)
        self.store.put_bytes(fetched.digest, fetched.data)
        return Parsed(fetched.digest, len(fetched.data), media_type, body)


def check_nesting(reference: Reference, depth: int, count: int) -> None:
    """Refuse indexes that are nested too deep, or hold more than is worth fetching."""
    if depth > MAX_INDEX_DEPTH or count > _MAX_BELOW:
        raise FormatError(
            f"{reference}: more than {MAX_INDEX_DEPTH} levels of indexes, or more than "
            f"{_MAX_BELOW} indexes or manifests within one",
            "Ask the image's publisher for a plain index.",
        )


def locked_manifest(parsed: Parsed, manifest: OciManifest, platform: str | None) -> LockedManifest:
    """Return a manifest for the lock, with what it names."""
    return LockedManifest(
        digest=parsed.digest,
        size=parsed.size,
        media_type=parsed.media_type,
        platform=platform,
        config=None if manifest.config is None else manifest.config.content,
        layers=tuple(layer.content for layer in manifest.layers),
    )


def _own_media_type(data: bytes) -> str:
    """Return what a manifest says of itself, or an empty text."""
    try:
        return str(read_document(data).get("mediaType", ""))
    except (UnreadableError, RecursionError):
        return ""
