"""The folder of an inventory: rendered, then what the site's own people put over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import UsageError
from bundle.store.atomic import (
    make_directory,
    require_new,
    storage_errors,
    write_atomic,
    write_new,
)

RECORD_NAME: Final = "made-from.json"
"""What the inventory was made from, beside it: digests of the bundle, the site and each file."""

CREDENTIALS: Final = "credentials"
"""Where Kubespray keeps the secrets that it makes."""

KEPT: Final = (CREDENTIALS, "artifacts")
"""What Kubespray writes there itself, and wants to find again."""


def write_inventory(
    folder: Path,
    rendered: Mapping[str, str],
    overrides: Mapping[str, bytes],
    made_from: Mapping[str, str],
) -> list[str]:
    """Write an inventory into a new folder; return the paths that came from the overrides.

    Args:
        folder: That does not exist yet.
        rendered: Text by path.
        overrides: Content by path, which takes the place of what was rendered.
        made_from: Digests, for the record.
    Raises:
        UsageError: The overrides would change the pinned host keys or the record.
        StorageError: It exists already, or the disk refuses.
    """
    files = inventory_files(rendered, overrides)
    require_new(folder)
    # The record comes last, so that a folder without one was never finished.
    for path, data in [*sorted(files.items()), (RECORD_NAME, _record(files, overrides, made_from))]:
        target = folder / path
        make_directory(target.parent)
        write_new(target, data, 0o600)
    return sorted(overrides)


def renew_inventory(
    folder: Path,
    rendered: Mapping[str, str],
    overrides: Mapping[str, bytes],
    made_from: Mapping[str, str],
) -> dict[str, str]:
    """Bring a site's inventory up to date, file by file; return the digest of each.

    What Kubespray itself keeps there stays; any other file that is no longer rendered goes.

    Args:
        folder: Of this site alone; made when it is not there.
        rendered: Text by path.
        overrides: Content by path, which takes the place of what was rendered.
        made_from: Digests, for the record.
    Raises:
        UsageError: The overrides would change what is not theirs.
        StorageError: The disk refuses.
    """
    files = inventory_files(rendered, overrides)
    make_directory(folder)
    with storage_errors(f"renew {folder}"):
        for path in sorted(folder.rglob("*")):
            inner = path.relative_to(folder)
            if inner.parts[0] in KEPT or (path.is_dir() and not path.is_symlink()):
                continue
            if inner.as_posix() not in files:
                path.unlink()
    record = _record(files, overrides, made_from)
    for name, data in [*sorted(files.items()), (RECORD_NAME, record)]:
        target = folder / name
        make_directory(target.parent)
        write_atomic(target, data, 0o600)
    for name in KEPT:
        make_directory(folder / name, 0o700)
        (folder / name).chmod(0o700)
    return digests_of(files)


def inventory_files(
    rendered: Mapping[str, str], overrides: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return the files of an inventory by their paths, without writing any.

    Raises:
        UsageError: The overrides would change what is not theirs.
    """
    for path in overrides:
        if path in {RECORD_NAME, "known_hosts"}:
            raise UsageError(
                f"--overrides: {path} cannot be overridden",
                "Host keys are pinned only in the site file.",
            )
        if PurePosixPath(path).parts[0] in KEPT:
            raise UsageError(
                f"--overrides: {path} is written by Kubespray itself",
                "Remove it; what Kubespray makes there is kept between runs.",
            )
    return {**{path: text.encode() for path, text in rendered.items()}, **overrides}


def digests_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the digest of each file by its path."""
    return {path: digest_of(data) for path, data in sorted(files.items())}


def _record(
    files: Mapping[str, bytes], overrides: Mapping[str, bytes], made_from: Mapping[str, str]
) -> bytes:
    return canonical_json({**made_from, "files": digests_of(files), "overrides": sorted(overrides)})
