"""What a lock says of a chart beyond its archive: its folder, what that depends on, who signed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from bundle.base.digest import Digest, Size
from bundle.base.documents import Document, QueriedUrl, Text
from bundle.base.errors import DefinitionError
from bundle.base.paths import InnerPath, check_inner_path
from bundle.base.patterns import formed
from bundle.base.reference import check_url, parse_reference
from bundle.kinds.chart_source import (
    LOCAL_CHARTS,
    ChartName,
    ChartRepository,
    ChartVersion,
    repository_host,
)
from bundle.kinds.git import GitSource, check_git_source, git_host
from bundle.kinds.policy import Material


class LockedDependency(Document, frozen=True, kw_only=True):
    """A chart that was fetched into charts/ of a chart's folder, so that it is packed again."""

    name: ChartName
    version: ChartVersion
    repository: ChartRepository
    digest: Digest
    size: Size
    url: QueriedUrl | None = None
    """Of the archive, for a chart of an HTTP repository."""
    reference: Text = ""
    """Of the artefact, for one of an HTTP repository whose index says that it is in a registry."""


Fingerprint = Annotated[
    str,
    formed(
        r"^[0-9A-F]{40}([0-9A-F]{24})?$(?!\n)",
        "the whole fingerprint of an OpenPGP key, 40 or 64 digits and capital letters A to F",
        "0123456789ABCDEF0123456789ABCDEF01234567",
        max_length=64,
    ),
]
"""Of an OpenPGP key, its primary one."""


class LockedProvenance(Document, frozen=True, kw_only=True):
    """A chart's provenance file.

    Without a keyring nobody asked who signed it: it is carried for those who will.
    """

    digest: Digest
    size: Size
    signer: Fingerprint | None = None
    keyring: Material | None = None
    """OpenPGP public keys, armoured."""


class LockedFolder(Document, frozen=True, kw_only=True):
    """The folder that a chart's archive is packed from."""

    path: InnerPath | None = None
    git: GitSource | None = None
    dependencies: tuple[LockedDependency, ...] = ()
    """Sorted by repository, name and version."""


def folder_hosts(folder: LockedFolder) -> Iterator[str]:
    """Yield the hosts that a chart's folder and its dependencies come from, with repeats."""
    host = git_host(folder.git.repository) if folder.git is not None else None
    if host is not None:
        yield host
    for dependency in folder.dependencies:
        yield repository_host(dependency.repository)
        if dependency.url is not None:
            yield repository_host(dependency.url)
        if dependency.reference:
            yield parse_reference(dependency.reference).registry


def check_folder(folder: LockedFolder | None, repository: str, url: str | None, where: str) -> None:
    """Check what the structure alone cannot say.

    Args:
        folder: Of the chart, if it is of a folder.
        repository: Of the chart.
        url: Of its archive.
        where: The chart, for messages.
    Raises:
        DefinitionError: It is said to be of a folder and of a repository, a path leads out, or an
            address is malformed.
    """
    if (folder is not None) != (repository == LOCAL_CHARTS) or (folder and url):
        raise DefinitionError(
            f"{where}: its repository {repository!r} and its folder contradict each other", ""
        )
    if folder is None:
        return
    if folder.path is not None:
        check_inner_path(folder.path, f"{where}.path")
    if folder.git is not None:
        check_git_source(folder.git, f"{where}.git")
    for dependency in folder.dependencies:
        check_url(dependency.repository, f"{where}.dependencies")
        if dependency.url is not None:
            check_url(dependency.url, f"{where}.dependencies")
        if dependency.reference:
            parse_reference(dependency.reference, f"{where}.dependencies")
