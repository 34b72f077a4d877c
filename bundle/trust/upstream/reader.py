"""Where the bytes of signatures come from: a registry's cache, or a bundle on its medium."""

from __future__ import annotations

from typing import Protocol

from bundle.base.digest import digest_of
from bundle.base.errors import MissingBlobError
from bundle.model.manifest import Manifest
from bundle.store.hashing import check_content
from bundle.store.layout import BundleDirectory


class BlobReader(Protocol):
    """Reads small blobs whole; what it returns has the digest that was asked for."""

    def size(self, digest: str) -> int | None:
        """Return the size of a blob in bytes; None for one that is not carried."""

    def read(self, digest: str) -> bytes:
        """Return a blob that is carried.

        Raises:
            IntegrityError: It has another size or digest, or is missing.
            StorageError, TransportError: It cannot be read or fetched; that says nothing about
                whether the image is signed.
        """


class BundleReader:
    """Reads from a bundle, checking each digest as it reads."""

    def __init__(self, bundle: BundleDirectory, manifest: Manifest) -> None:
        """Read what `manifest` lists of `bundle`."""
        self._bundle = bundle
        self._sizes = {blob.digest: blob.size for blob in manifest.blobs}

    def size(self, digest: str) -> int | None:
        """Return the size of a blob; see BlobReader."""
        return self._sizes.get(digest)

    def read(self, digest: str) -> bytes:
        """Return a blob; see BlobReader."""
        size = self._sizes.get(digest)
        name = self._bundle.blob_name(digest)
        if size is None:
            raise MissingBlobError(
                f"{name}: a signature needs it, and bundle.json does not list it",
                "Build the bundle again.",
            )
        data = self._bundle.read_small(name, size)
        check_content(name, size, digest, found_size=len(data), found=digest_of(data))
        return data
