"""Where a build's blobs lie: in the cache and, by hard link, in the bundle.

When the two are on different filesystems a blob is written into the bundle alone, since writing it
twice would cost as much as fetching it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from bundle.base.content import Content
from bundle.base.errors import IntegrityError
from bundle.store.atomic import fsync_directory, storage_errors
from bundle.store.hashing import Advance, copy_hashed
from bundle.store.layout import BundleDirectory
from bundler.build.cache import READ_ONLY
from bundler.sources.common.context import Store

PARTIAL_DIRECTORY: Final = ".partial"


class BlobPlace:
    """The blobs of one bundle that is being built."""

    def __init__(self, cache: Store, building: Path) -> None:
        """Find out whether the cache can be shared by hard links.

        Raises:
            StorageError: The bundle's folder cannot be written.
        """
        self._cache = cache
        self._bundle = BundleDirectory(building)
        self._own_partials = building / PARTIAL_DIRECTORY
        self._shared = _can_link(cache.path, building)
        if not self._shared:
            with storage_errors(f"create {self._own_partials}"):
                self._own_partials.mkdir(exist_ok=True)

    @property
    def directory(self) -> Path:
        """Where the next missing blob will be written; its filesystem needs the space."""
        return self._cache.path if self._shared else self._bundle.path

    def has(self, blob: Content) -> bool:
        """Return whether the bundle has the blob; only whole blobs ever get their name."""
        try:
            return self._bundle.blob_path(blob.digest).lstat().st_size == blob.size
        except FileNotFoundError:
            return False

    def in_cache(self, blob: Content) -> bool:
        """Return whether the cache has the blob."""
        return self._cache.has(blob.digest, blob.size)

    def partial(self, digest: str) -> Path:
        """Return where the blob lies while it comes in."""
        if self._shared:
            return self._cache.partial_path(digest)
        return self._own_partials / digest.removeprefix("sha256:")

    def final(self, digest: str) -> Path:
        """Return the name that the blob gets when it is whole."""
        if self._shared:
            return self._cache.blob_path(digest)
        return self._bundle.blob_path(digest)

    def take_fetched(self, blob: Content) -> None:
        """Put a blob that was just fetched into the bundle."""
        if self._shared:
            self._link(blob)

    def take_from_cache(self, blob: Content, advance: Advance) -> None:
        """Put a cached blob into the bundle: by hard link, or by a copy that is hashed.

        Raises:
            IntegrityError: The cached copy is damaged; it is removed, so that the next run fetches
                it again.
            StorageError: The disk refused.
        """
        if self._shared:
            self._link(blob)
            advance(blob.size)
            return
        source = self._cache.blob_path(blob.digest)
        partial = self.partial(blob.digest)
        try:
            copy_hashed(source, partial, blob, name=str(source), advance=advance)
        except IntegrityError as error:
            source.unlink(missing_ok=True)
            raise error.reworded(
                f"the cache is damaged: {error.message}",
                "The copy was removed; run the same command again to fetch it.",
            ) from error
        with storage_errors(f"write {partial}"):
            partial.chmod(READ_ONLY)
            partial.replace(self._bundle.blob_path(blob.digest))

    def close(self) -> None:
        """Sync the names of the blobs and leave nothing but them."""
        fsync_directory(self._bundle.blob_path("sha256:x").parent)
        shutil.rmtree(self._own_partials, ignore_errors=True)

    def _link(self, blob: Content) -> None:
        target = self._bundle.blob_path(blob.digest)
        with storage_errors(f"link {target}"):
            target.unlink(missing_ok=True)
            os.link(self._cache.blob_path(blob.digest), target)


def _can_link(cache: Path, building: Path) -> bool:
    """Try it: the same device number is not enough on every filesystem."""
    name = f".link-{secrets.token_hex(6)}"
    with storage_errors(f"write {cache}"):
        (cache / name).touch()
    try:
        os.link(cache / name, building / name)
    except OSError:
        return False
    else:
        (building / name).unlink()
        return True
    finally:
        (cache / name).unlink(missing_ok=True)
