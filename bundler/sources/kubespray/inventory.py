"""A Kubespray inventory: its file, and group_vars and host_vars beside it.

It is read once. What is evaluated is a copy, and the lock has the digest of just that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bundle.base.canonical import canonical_digest
from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError
from bundle.base.limits import MAX_INVENTORY_BYTES, MAX_INVENTORY_FILES
from bundle.store.atomic import storage_errors

VARIABLES: Final = ("group_vars", "host_vars")
"""What Ansible reads beside an inventory file."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """An inventory in memory.

    Attributes:
        name: Of its file.
        files: All contents by path, relative to the folder of the inventory's file.
    """

    name: str
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """Digest of the names and digests of its files."""
        return canonical_digest({path: digest_of(data) for path, data in self.files.items()})


def read_inventory(folder: Path, path: str) -> Inventory:
    """Read an inventory.

    Args:
        folder: The definition's.
        path: Of the inventory's file, relative to it.
    Raises:
        DefinitionError: There is none, it has a link or is too large.
        StorageError: The disk refused.
    """
    file = folder / path
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        raise DefinitionError(
            f"kubespray.inventory: expected a file {path!r} in the definition's folder, found none",
            "Name the inventory's file, not its folder.",
        )
    files: dict[str, bytes] = {}
    size = 0
    with storage_errors(f"read the inventory {path}"):
        for found in (file, *_variables(file.parent)):
            inside = found.relative_to(file.parent).as_posix()
            if found.is_symlink() or not found.is_file():
                raise DefinitionError(
                    f"kubespray.inventory: {inside} is not a plain file",
                    "Replace a link with a copy.",
                )
            size += found.stat().st_size
            if size > MAX_INVENTORY_BYTES or len(files) == MAX_INVENTORY_FILES:
                raise DefinitionError(
                    f"kubespray.inventory: {path} and its variables have more than "
                    f"{MAX_INVENTORY_BYTES} bytes or {MAX_INVENTORY_FILES} files",
                    "Keep only variables in group_vars and host_vars.",
                )
            files[inside] = found.read_bytes()
    return Inventory(PurePosixPath(path).name, dict(sorted(files.items())))


def _variables(folder: Path) -> Iterator[Path]:
    for name in VARIABLES:
        if (folder / name).is_symlink():
            yield folder / name
            continue
        yield from (found for found in sorted((folder / name).rglob("*")) if not _is_folder(found))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
