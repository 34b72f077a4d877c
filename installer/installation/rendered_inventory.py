"""What an inventory is made of: a bundle, and what the site's own people put over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bundle.base.canonical import decode_canonical
from bundle.base.digest import digest_of
from bundle.base.errors import UsageError
from bundle.base.limits import MAX_INVENTORY_BYTES, MAX_INVENTORY_FILES, MAX_MANIFEST_BYTES
from bundle.model.manifest import Manifest, check_manifest
from bundle.store.atomic import storage_errors
from bundle.store.layout import MANIFEST_NAME, BundleDirectory
from installer.depot.directory import open_depot
from installer.installation.context import newest_with_kubespray


@dataclass(frozen=True, slots=True)
class Carried:
    """The bundle that an inventory is for.

    Attributes:
        manifest: Its bundle.json.
        digest: Of that.
    """

    manifest: Manifest
    digest: str


def of_bundle(path: Path) -> Carried:
    """Read a bundle's own word, unverified: what is served was verified when it came in.

    Raises:
        IsowardError: It is no bundle, or malformed.
    """
    directory = BundleDirectory(path)
    directory.require()
    data = directory.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = decode_canonical(data, Manifest, MANIFEST_NAME)
    check_manifest(manifest)
    return Carried(manifest, digest_of(data))


def of_depot(path: Path) -> Carried:
    """Return the newest bundle of a depot that has Kubespray and was not taken back.

    Raises:
        DefinitionError: There is none.
        IsowardError: As `accepted_bundles`.
    """
    bundle = newest_with_kubespray(open_depot(path))
    return Carried(bundle.manifest, bundle.record.digest)


def read_overrides(folder: Path) -> dict[str, bytes]:
    """Read the files that the site's people put over the rendered ones, by path.

    Raises:
        UsageError: It is no folder, or has something other than files in it.
        StorageError: It cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"--overrides: expected a folder, found none at {folder}", "Name one.")
    found: dict[str, bytes] = {}
    size = 0
    with storage_errors(f"read {folder}"):
        for path in sorted(folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            if path.is_symlink() or not path.is_file():
                raise UsageError(
                    f"--overrides: expected files only, found {path}", "Replace it with a file."
                )
            size += path.stat().st_size
            if size > MAX_INVENTORY_BYTES or len(found) >= MAX_INVENTORY_FILES:
                raise UsageError(
                    f"--overrides: {folder} holds more than an inventory has",
                    "Is it the right folder?",
                )
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found
