"""What an installation fetches from a depot, as requests that can be asked beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from bundle.base.names import file_path
from bundle.base.reference import parse_reference
from installer.depot.accepted import AcceptedContent

ENVIRONMENT: Final = "kubespray"
"""The environment of Python packages that Kubespray runs in."""

_INDEXES: Final = ("/InRelease", "/repodata/repomd.xml")
"""What apt and dnf ask for first, and what names all else."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request that a depot must answer well.

    Attributes:
        what: For a person.
        path: With its query.
        digest: Of the content; empty where any content will do.
        size: In bytes; None where any size will do.
    """

    what: str
    path: str
    digest: str = ""
    size: int | None = None


def wanted_of(bundle: AcceptedContent) -> tuple[Wanted, ...]:
    """Return all that nodes and Kubespray will ask a depot for."""
    return (*_files(bundle), *_images(bundle), *_systems(bundle), *_indexes(bundle))


def _files(bundle: AcceptedContent) -> Iterator[Wanted]:
    entry = bundle.manifest.kubespray
    for file in entry.files if entry is not None else ():
        path = f"/files/{quote(file_path(file.url))}"
        yield Wanted(f"the file {file.name}", path, file.digest, bundle.sizes[file.digest])


def _images(bundle: AcceptedContent) -> Iterator[Wanted]:
    """Ask for images as containerd does: by tag, with the registry that it means."""
    for image in bundle.manifest.images:
        reference = parse_reference(image.reference)
        path = f"/v2/{quote(reference.repository)}/manifests/{reference.tag or image.digest}"
        path += f"?ns={quote(reference.registry, safe='')}"
        yield Wanted(f"the image {image.reference}", path, image.digest, bundle.sizes[image.digest])


def _systems(bundle: AcceptedContent) -> Iterator[Wanted]:
    for entry in bundle.manifest.os_packages:
        for file in (entry.keyring, *entry.files):
            if file is entry.keyring or f"/{file.path}".endswith(_INDEXES):
                yield Wanted(
                    f"{file.path} of the packages {entry.name}",
                    f"/os/{entry.name}/{quote(file.path)}",
                    file.digest,
                    bundle.sizes[file.digest],
                )


def _indexes(bundle: AcceptedContent) -> Iterator[Wanted]:
    for found in bundle.manifest.python_packages:
        if any(environment.name == ENVIRONMENT for environment in found.environments):
            yield Wanted(f"the index {found.name}", f"/pypi/{quote(found.name)}/simple/")
