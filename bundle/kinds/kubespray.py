"""Kubespray: its tree at one commit, and what it downloads for one inventory.

The required content is not written by hand: Kubespray's own variables name it, and Kubespray's own
checksums verify each file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final
from urllib.parse import urlsplit

from bundle.base.content import Content
from bundle.base.digest import Digest, Size, digest_of, short
from bundle.base.documents import Document, Text, Url, Version, line
from bundle.base.errors import DefinitionError
from bundle.base.names import kubespray_path
from bundle.base.paths import InnerPath, check_inner_path, is_inner_path
from bundle.base.patterns import formed
from bundle.base.platform import Platform
from bundle.base.reference import check_url, parse_reference
from bundle.kinds.closure import kubespray_wants
from bundle.kinds.files import FILES
from bundle.kinds.git import GitSource, check_git_source, git_host
from bundle.kinds.os_packages import OS_PACKAGES
from bundle.kinds.protocol import BundleHead, DefinitionHead, Kind, LockHead, nothing
from bundle.kinds.systems import SYSTEMS, makes_nodes

ItemName = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$(?!\n)",
        "the name of a download: letters and digits, with '.', '_' and '-' allowed in between",
        "kubelet",
    ),
]
"""The name of a download, as Kubespray's `downloads` has it, or one of ours for what that lacks."""

Checksum = Annotated[
    str,
    formed(
        r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$(?!\n)",
        "sha256: and 64, or sha512: and 128, lowercase hexadecimal characters",
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
]
"""As Kubespray writes it."""

PackageName = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}$(?!\n)",
        "the name of a package: a letter or digit, then letters, digits, '.', '+', '_' and '-'",
        "libseccomp2",
    ),
]

MACHINES: Final = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
"""The platforms that Kubespray has checksums for, with Ansible's names for their machines."""

HOSTS: Final = (
    "dl.k8s.io",
    "docker.io",
    "gcr.io",
    "get.helm.sh",
    "ghcr.io",
    "github.com",
    "quay.io",
    "raw.githubusercontent.com",
    "registry.k8s.io",
    "storage.googleapis.com",
)
"""Where Kubespray's downloads are, unless an inventory says otherwise."""

REQUIREMENTS: Final = "requirements.txt"
"""Where a tree says which Python packages it needs."""


class LeftOut(Document, frozen=True, kw_only=True):
    """Something that Kubespray would fetch and the bundle does not carry."""

    item: ItemName
    reason: Annotated[str, line(4096, 1)]


class KubesprayArchive(Document, frozen=True, kw_only=True):
    """An archive of a release: a tar, compressed by gzip or xz."""

    url: Url
    digest: Digest


class KubespraySource(Document, frozen=True, kw_only=True):
    """Kubespray, from exactly one of `git`, `archive` and `path`, for one inventory."""

    version: Version
    git: GitSource | None = None
    archive: KubesprayArchive | None = None
    path: InnerPath | None = None
    """A folder beside the definition, such as an unpacked release."""
    inventory: InnerPath
    """An inventory file; group_vars and host_vars beside it belong to it."""
    leave_out: tuple[LeftOut, ...] = ()


class KubesprayFile(Document, frozen=True, kw_only=True):
    """A file that nodes fetch."""

    name: ItemName
    path: InnerPath
    """Where a node puts it, below Kubespray's `local_release_dir`."""
    url: Url
    digest: Digest
    checksum: Checksum
    """The checksum from Kubespray; the file's SHA-256 is the digest."""
    platforms: tuple[Platform, ...]


class KubesprayImage(Document, frozen=True, kw_only=True):
    """An image that nodes pull."""

    name: ItemName
    reference: Text


class KubesprayChart(Document, frozen=True, kw_only=True):
    """A chart that Kubespray installs, and that the definition has under charts:."""

    name: Text
    version: Text


class KubesprayPackages(Document, frozen=True, kw_only=True):
    """The OS packages that Kubespray installs on nodes of one release."""

    release: Text
    packages: tuple[PackageName, ...]


class KubesprayContent(Document, frozen=True, kw_only=True):
    """What is known of Kubespray on both sides: in the lock and in bundle.json."""

    version: Version
    git: GitSource | None = None
    archive: KubesprayArchive | None = None
    path: InnerPath | None = None
    tree: Digest
    """Of the tar made from its tree, which is reproducible."""
    inventory: Digest
    """Of the names and digests of the inventory's files; they themselves are not carried."""
    requirements: tuple[Text, ...] = ()
    """The Python packages that it needs on the machine where it runs."""
    files: tuple[KubesprayFile, ...] = ()
    images: tuple[KubesprayImage, ...] = ()
    charts: tuple[KubesprayChart, ...] = ()
    packages: tuple[KubesprayPackages, ...] = ()
    leave_out: tuple[LeftOut, ...] = ()


class LockedKubespray(KubesprayContent, frozen=True, kw_only=True):
    """Kubespray in a lock."""

    tree_size: Size


class KubesprayEntry(KubesprayContent, frozen=True, kw_only=True):
    """Kubespray in bundle.json; `tree` is the blob of its tar, `files` are among the files."""


def check_kubespray(source: KubespraySource) -> None:
    """Check what the type alone cannot express.

    Raises:
        DefinitionError: It comes from nowhere or from two places, or something is malformed.
    """
    _check_origin(source)
    check_inner_path(source.inventory, "kubespray.inventory")
    items = [left.item for left in source.leave_out]
    for item in items:
        if items.count(item) > 1:
            raise DefinitionError(
                f"kubespray.leaveOut: duplicate {item!r}", "Remove one of the two entries."
            )


def check_kubespray_platforms(platforms: Iterable[str]) -> None:
    """Refuse platforms for which Kubespray has nothing.

    Raises:
        DefinitionError: There is one.
    """
    for platform in platforms:
        if platform not in MACHINES:
            raise DefinitionError(
                f"platforms: Kubespray's nodes are {' or '.join(MACHINES)}, found {platform!r}",
                "Give images for other platforms their own platforms: list.",
            )


def check_kubespray_content(content: KubesprayContent, files: dict[str, str]) -> None:
    """Check what a lock or bundle.json has of it.

    Args:
        content: Untrusted.
        files: The digest of every file of the bundle, by URL.
    Raises:
        DefinitionError: It is malformed, or names a file that the bundle has not.
    """
    _check_origin(content)
    for file in content.files:
        if files.get(file.url) != file.digest:
            raise DefinitionError(
                f"kubespray: {file.name} is {file.url} with {file.digest}, which is not "
                "a file of the bundle",
                "",
            )
        algorithm, _, value = file.checksum.partition(":")
        if algorithm == "sha256" and file.digest != f"sha256:{value}":
            raise DefinitionError(
                f"kubespray: {file.name} must have {file.checksum}, found {file.digest}", ""
            )
        if not is_inner_path(file.path):
            raise DefinitionError(f"kubespray: {file.path!r} is not a path below a folder", "")
    for image in content.images:
        parse_reference(image.reference, f"kubespray {image.name}")


def _check_origin(source: KubespraySource | KubesprayContent) -> None:
    given = [name for name in ("git", "archive", "path") if getattr(source, name) is not None]
    if len(given) != 1:
        raise DefinitionError(
            f"kubespray: expected one of git, archive and path, found "
            f"{' and '.join(given) or 'none'}",
            "Name exactly one source for its tree.",
        )
    if source.git is not None:
        check_git_source(source.git, "kubespray.git")
    if source.archive is not None:
        check_url(source.archive.url, "kubespray.archive.url")
    if source.path is not None:
        check_inner_path(source.path, "kubespray.path")


def kubespray_entry(locked: LockedKubespray) -> KubesprayEntry:
    """Return Kubespray as it stands in bundle.json."""
    fields = {name: getattr(locked, name) for name in KubesprayContent.__struct_fields__}
    return KubesprayEntry(**fields)


def kubespray_hosts(content: KubespraySource | KubesprayContent) -> Iterator[str]:
    """Yield the host that the tree comes from, if it comes from one."""
    host = git_host(content.git.repository) if content.git is not None else None
    if host is not None:
        yield host
    if content.archive is not None:
        yield urlsplit(content.archive.url).netloc


def kubespray_digests(content: KubesprayContent) -> dict[str, str]:
    """Return what a comparison shows of it besides files and images: digests by a name."""
    left = {f"leaves out {lo.item}": digest_of(lo.reason.encode()) for lo in content.leave_out}
    return {
        content.version: content.tree,
        "inventory": content.inventory,
        **left,
    }


def plain_version(version: str) -> str:
    """Return a version without the `v` that tags begin with."""
    return re.sub(r"^v(?=\d)", "", version)


def _check_definition(definition: DefinitionHead) -> None:
    for source in KUBESPRAY.asked(definition):
        check_kubespray(source)


def _check_systems(definition: DefinitionHead) -> None:
    """Check that Kubespray can be asked what it installs on each system that wants that.

    Raises:
        DefinitionError: There is none, or it makes no nodes of one.
    """
    asked = KUBESPRAY.asked(definition)
    for i, source in enumerate(OS_PACKAGES.asked(definition)):
        if source.kubespray and not asked:
            raise DefinitionError(
                f"osPackages[{i}].kubespray: the definition has no Kubespray to ask",
                "Add kubespray:, or name the packages.",
            )
        if source.kubespray and not makes_nodes(asked[0].version, source.release):
            first = ".".join(map(str, SYSTEMS[source.release].kubespray))
            raise DefinitionError(
                f"osPackages[{i}].release: expected one that Kubespray {asked[0].version} makes "
                f"nodes of, found {source.release}, which Kubespray does from {first}",
                "Take a newer Kubespray or another release.",
            )


def _check_content(content: LockHead | BundleHead) -> None:
    files = {file.url: file.digest for file in FILES.carried(content) if file.url}
    for kubespray in KUBESPRAY.carried(content):
        check_kubespray_content(kubespray, files)


def _page(bundle: BundleHead) -> Iterator[str]:
    for content in KUBESPRAY.entries(bundle):
        yield f"Kubespray {content.version}"
        yield f"  {short(content.tree)}  its tree, for the inventory {short(content.inventory)}"
        yield from (f"  leaves out {left.item}: {left.reason}" for left in content.leave_out)


KUBESPRAY: Final = Kind[KubespraySource, LockedKubespray, KubesprayEntry](
    field="kubespray",
    title="kubespray",
    source=KubespraySource,
    entry=kubespray_entry,
    single=True,
    checks_together=(_check_definition, _check_systems),
    check_lock=_check_content,
    check_bundle=_check_content,
    contents=lambda locked: [Content(digest=locked.tree, size=locked.tree_size)],
    hosts=kubespray_hosts,
    named_hosts=kubespray_hosts,
    asked_hosts=lambda source: (*kubespray_hosts(source), *HOSTS),
    named=lambda entry: [("kubespray", entry.tree)],
    served=lambda entry: [("files", kubespray_path(entry.version), entry.tree)],
    wants=kubespray_wants,
    compared=lambda entry: kubespray_digests(entry).items(),
    dependencies=nothing,
    told=lambda found: f"Kubespray {found.version}",
    page=_page,
)
