"""Documents that the operator of a site writes, read from disk."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from bundle.model.errors import DefinitionError
from bundle.model.limits import MAX_DEFINITION_BYTES
from bundle.model.site import Site, check_site
from bundle.model.yaml_strict import load_yaml
from bundle.store.atomic import storage_errors
from installer.preflight.host_key import parse_host_key

_ADVICE = 'See docs/FORMAT.md, "Site", and inventory/samples/site.yaml.'


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site and what its file stands for on this machine.

    Attributes:
        path: The file it was read from.
        site: What it says.
        ssh_key: The private key, resolved from the file's own folder. It is only ever named to
            programs, never copied.
    """

    path: Path
    site: Site
    ssh_key: Path


def load_site(path: Path) -> SiteFile:
    """Read and check a site file.

    Raises:
        DefinitionError: It is not there or wrong, or its SSH key is not there or open to others.
        StorageError: It cannot be read.
    """
    site = parse_site(_read(path), str(path))
    key = path.parent / Path(site.ssh.key).expanduser()
    _check_key(key, path)
    return SiteFile(path, site, key.resolve())


def parse_site(data: bytes, where: str) -> Site:
    """Parse and check a site document, without looking at the disk.

    Raises:
        DefinitionError: It is wrong; the message names the field.
    """
    site = load_yaml(data, Site, where=where, limit=MAX_DEFINITION_BYTES, error=DefinitionError)
    try:
        check_site(site)
        for i, node in enumerate(site.nodes):
            parse_host_key(node.host_key, f"nodes[{i}].hostKey")
    except DefinitionError as error:
        raise DefinitionError(f"{where}: {error.message}", error.hint or _ADVICE) from error
    return site


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise DefinitionError(f"{path}: expected a site file, found no such file", _ADVICE)
    with storage_errors(f"read {path}"), path.open("rb") as file:
        return file.read(MAX_DEFINITION_BYTES + 1)


def _check_key(key: Path, site: Path) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise DefinitionError(
            f"{site}: ssh.key: expected a private key at {key}, found none ({error.strerror})",
            "Write the path relative to the site file.",
        ) from error
    if not stat.S_ISREG(mode):
        raise DefinitionError(
            f"{site}: ssh.key: expected a file at {key}, found something else",
            "Name the private key itself, not its folder.",
        )
    if mode & 0o077:
        raise DefinitionError(
            f"{site}: ssh.key: expected {key} to be its owner's alone, found mode {mode & 0o777:o}",
            f"Run `chmod 600 {key}`; ssh refuses a key that others can read.",
        )
