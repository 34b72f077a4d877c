"""Operating system packages: what a definition requests, and how a bundle carries it.

A repository travels as its distribution made it: the signed index (apt: InRelease, rpm:
repomd.xml), the indexes that it names and the packages that the closure needs, each at its own
path. It is served below /os/<name>/<repository>/, so apt and dnf check the distribution's own
signatures with the distribution's keyring, and no key of ours comes between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec

from bundle.base.content import Content
from bundle.base.digest import Digest, Size, short
from bundle.base.documents import Document, Name, Url, each_once
from bundle.base.errors import DefinitionError
from bundle.base.paths import InnerPath, check_inner_path
from bundle.base.platform import Platform
from bundle.base.reference import check_url
from bundle.kinds.os_names import (
    KEYRING_NAMES,
    OsPath,
    PackageArchitecture,
    PackageName,
    PackageVersion,
    SuiteName,
    SuitePath,
)
from bundle.kinds.protocol import BundleHead, DefinitionHead, Kind, LockHead
from bundle.kinds.systems import Release, Tool, supported

OsKind = Tool


class OsRepositorySource(Document, frozen=True, kw_only=True):
    """A repository of packages, as a person names it."""

    url: Url
    name: Name | None = None
    """The folder that it is served under; left out, the last part of the URL's path."""
    suite: SuiteName | None = None
    components: tuple[SuitePath, ...] = ()
    metadata_signed: bool = True
    """rpm only; false says that the distribution signs its packages, but not repomd.xml."""

    @property
    def folder(self) -> str:
        """The folder that it is served under; empty when nothing says one."""
        return self.name or self.url.split("://", 1)[1].rstrip("/").partition("/")[2].split("/")[-1]


class OsSource(Document, frozen=True, kw_only=True):
    """Packages of one release, with all that they depend on."""

    name: Name
    release: Release
    repositories: Annotated[tuple[OsRepositorySource, ...], msgspec.Meta(min_length=1)]
    keyring: InnerPath
    """File with the distribution's public keys, below the definition's folder."""
    packages: tuple[PackageName, ...] = ()
    kubespray: bool = False
    """Whether the packages that Kubespray installs on nodes of this release are included."""
    recommends: bool = False
    """Whether recommended packages are carried too; the site's machines need the same setting."""
    platforms: tuple[Platform, ...] = ()
    """Overrides the definition's platforms: some repositories have one architecture only."""

    @property
    def kind(self) -> OsKind:
        """What kind of repositories the release has."""
        return os_kind(self.release)


class OsPlace(Document, frozen=True, kw_only=True):
    """Where a repository is served, and what of it there is."""

    folder: Name
    suite: SuiteName | None = None
    components: tuple[SuitePath, ...] = ()


class OsPackage(Document, frozen=True, kw_only=True):
    """A package of the closure."""

    name: PackageName
    version: PackageVersion
    architecture: PackageArchitecture
    digest: Digest

    @property
    def full_name(self) -> str:
        """The package by name, version and architecture."""
        return f"{self.name} {self.version} {self.architecture}"


class OsFile(Document, frozen=True, kw_only=True):
    """A file, by its path below /os/<name>/."""

    path: OsPath
    digest: Digest


class SizedOsFile(OsFile, frozen=True, kw_only=True):
    """A file and its size."""

    size: Size


class LockedOsFile(SizedOsFile, frozen=True, kw_only=True):
    """A file of a repository, and where a build fetches it."""

    url: Url


class LockedKeyring(SizedOsFile, frozen=True, kw_only=True):
    """The distribution's public keys; `source` is below the lock's folder."""

    source: InnerPath


class LockedOs(Document, frozen=True, kw_only=True):
    """Packages of one release, resolved."""

    name: Name
    release: Release
    repositories: tuple[OsPlace, ...]
    recommends: bool = False
    keyring: LockedKeyring
    files: tuple[LockedOsFile, ...]
    packages: tuple[OsPackage, ...]


class OsEntry(Document, frozen=True, kw_only=True):
    """Packages of one release in bundle.json."""

    name: Name
    release: Release
    repositories: tuple[OsPlace, ...]
    recommends: bool = False
    keyring: OsFile
    files: tuple[OsFile, ...]
    packages: tuple[OsPackage, ...]

    @property
    def kind(self) -> OsKind:
        """What kind of repositories it has."""
        return os_kind(self.release)

    def served(self) -> Iterator[tuple[str, str]]:
        """Yield the path below /os/ and the digest of every file."""
        for file in (self.keyring, *self.files):
            yield f"{self.name}/{file.path}", file.digest


def is_flat(suite: str) -> bool:
    """Return whether an apt repository has its lists beside its packages, and no components."""
    return suite.endswith("/")


def lists_folder(suite: str) -> str:
    """Return the folder of an apt repository that has the signed list, with a final slash or empty.

    Source: sources.list(5): a suite that ends in a slash is an exact path.
    """
    if is_flat(suite):
        return suite.removeprefix("./").lstrip("/")
    return f"dists/{suite}/"


def os_kind(release: str) -> OsKind:
    """Return the kind of repositories that a release has."""
    system = supported(release)
    return "apt" if system is None else system.tool


def os_entry(locked: LockedOs) -> OsEntry:
    """Return packages of a lock as they stand in bundle.json."""
    return OsEntry(
        name=locked.name,
        release=locked.release,
        repositories=locked.repositories,
        recommends=locked.recommends,
        keyring=OsFile(path=locked.keyring.path, digest=locked.keyring.digest),
        files=tuple(OsFile(path=file.path, digest=file.digest) for file in locked.files),
        packages=locked.packages,
    )


def os_packages_by_name(entries: Iterable[OsEntry | LockedOs]) -> dict[str, str]:
    """Return the digest of every package by a name that says which one it is."""
    return {f"{e.name} {p.full_name}": p.digest for e in entries for p in e.packages}


def check_os_source(source: OsSource, where: str) -> None:
    """Check what the type alone cannot express.

    Raises:
        DefinitionError: A repository is not of the release's kind, its folder is none or means two
            repositories, the keyring lies elsewhere, or a package is a duplicate.
    """
    folders: dict[str, str] = {}
    for i, repository in enumerate(source.repositories):
        at = f"{where}.repositories[{i}]"
        check_url(repository.url, f"{at}.url")
        try:
            place = place_of(repository)
        except msgspec.ValidationError:
            raise DefinitionError(
                f"{at}: {repository.folder[:100]!r} cannot be the name of its folder",
                "Give it a `name` of lowercase letters, digits and dashes.",
            ) from None
        _check_place(place, source.kind, at)
        if source.kind == "apt" and not repository.metadata_signed:
            raise DefinitionError(
                f"{at}: the index of an apt repository is always signed",
                "Remove metadataSigned, which applies to rpm only.",
            )
        url = repository.url.rstrip("/")
        if folders.setdefault(place.folder, url) != url:
            raise DefinitionError(
                f"{at}: {place.folder!r} would be the folder of two repositories",
                "Give each its own `name`.",
            )
    each_once((_key(place_of(r)) for r in source.repositories), f"{where}.repositories")
    each_once(source.packages, f"{where}.packages")
    if not source.packages and not source.kubespray:
        raise DefinitionError(
            f"{where}: expected packages: or kubespray: true, found neither",
            "Name the packages that the site's machines need.",
        )
    check_inner_path(source.keyring, f"{where}.keyring")


def place_of(repository: OsRepositorySource) -> OsPlace:
    """Return where a repository is served.

    Raises:
        msgspec.ValidationError: Its folder is not a name.
    """
    return OsPlace(
        folder=msgspec.convert(repository.folder, Name),
        suite=_plain_suite(repository.suite),
        components=repository.components,
    )


def check_os_lock(locked: LockedOs) -> None:
    """Check locked packages, and the addresses that a build asks.

    Raises:
        DefinitionError: They contradict themselves.
    """
    check_os_entry(os_entry(locked))
    check_inner_path(locked.keyring.source, f"osPackages {locked.name}: keyring")
    for file in locked.files:
        check_url(file.url, f"osPackages {locked.name}: {file.path}")


def check_os_entry(entry: OsEntry) -> None:
    """Check that files lie in the repositories' folders, and packages are among them.

    Raises:
        DefinitionError: They are not, or a path or package is a duplicate.
    """
    where = f"osPackages {entry.name}"
    for place in entry.repositories:
        _check_place(place, entry.kind, where)
    each_once(map(_key, entry.repositories), f"{where}: repositories")
    folders = {place.folder for place in entry.repositories}
    for file in entry.files:
        folder, _, rest = file.path.partition("/")
        if folder not in folders or not rest:
            raise DefinitionError(f"{where}: {file.path!r} is not in any of its repositories", "")
    each_once((file.path for file in entry.files), f"{where}: files")
    each_once((package.full_name for package in entry.packages), f"{where}: packages")
    digests = {file.digest for file in entry.files}
    for package in entry.packages:
        if package.digest not in digests:
            raise DefinitionError(f"{where}: no file for the package {package.name}", "")
    if entry.keyring.path not in KEYRING_NAMES:
        raise DefinitionError(f"{where}: {entry.keyring.path!r} is not a keyring's name", "")


def sized_files(all_packages: Iterable[LockedOs]) -> Iterator[SizedOsFile]:
    """Yield every file that a build puts into a bundle, with repeats."""
    for packages in all_packages:
        yield packages.keyring
        yield from packages.files


def _check_place(place: OsPlace, kind: OsKind, where: str) -> None:
    if kind == "apt" and not place.suite:
        raise DefinitionError(
            f"{where}: an apt repository needs a suite",
            "Write it as {url: ..., suite: bookworm, components: [main]}, or use suite: ./ for a "
            "flat one.",
        )
    if kind == "apt" and place.suite and is_flat(place.suite) == bool(place.components):
        raise DefinitionError(
            f"{where}: expected components for a suite, and none for a flat repository, whose "
            f"suite ends in '/'; found the suite {place.suite} and "
            f"{', '.join(place.components) or 'no components'}",
            "Write it as its publisher does in sources.list: `suite component...`, or `/` alone.",
        )
    if kind == "rpm" and (place.suite or place.components):
        raise DefinitionError(
            f"{where}: an rpm repository has neither suite nor components",
            "Write it as {name: baseos, url: ...}.",
        )
    if place.folder.startswith("keyring."):
        raise DefinitionError(
            f"{where}: {place.folder!r} is not a name for a repository", "Choose another `name`."
        )
    each_once(place.components, f"{where}: components")


def _plain_suite(suite: str | None) -> str | None:
    """Return a suite in canonical form: apt treats `./` and `/` as the same folder."""
    if suite is None or not is_flat(suite):
        return suite
    return lists_folder(suite) or "/"


def _key(place: OsPlace) -> str:
    return f"{place.folder} {place.suite or ''}".strip()


def _check_definition(definition: DefinitionHead) -> None:
    each_once([source.name for source in OS_PACKAGES.asked(definition)], "osPackages")


def _check_lock(lock: LockHead) -> None:
    for locked in OS_PACKAGES.locked(lock):
        check_os_lock(locked)


def _check_bundle(bundle: BundleHead) -> None:
    for entry in OS_PACKAGES.entries(bundle):
        check_os_entry(entry)


def _page(bundle: BundleHead) -> Iterator[str]:
    for entry in OS_PACKAGES.entries(bundle):
        yield f"OS packages {entry.name} for {entry.release} ({len(entry.packages)})"
        for place in entry.repositories:
            parts = " ".join(filter(None, (place.suite, *place.components)))
            yield f"  from {place.folder}{f': {parts}' if parts else ''}, as signed"
        yield f"  {short(entry.keyring.digest)}  its keyring"
        yield from (f"  {short(package.digest)}  {package.full_name}" for package in entry.packages)


def _facts(entry: OsEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "release": entry.release,
        "kind": entry.kind,
        "repositories": [msgspec.to_builtins(place) for place in entry.repositories],
        "keyring": entry.keyring.digest,
        "files": len(entry.files),
        "packages": [msgspec.to_builtins(package) for package in entry.packages],
    }


OS_PACKAGES: Final = Kind[OsSource, LockedOs, OsEntry](
    field="os_packages",
    title="OS package",
    source=OsSource,
    entry=os_entry,
    checks=(check_os_source,),
    checks_together=(_check_definition,),
    check_lock=_check_lock,
    check_bundle=_check_bundle,
    contents=lambda locked: (Content(digest=f.digest, size=f.size) for f in sized_files([locked])),
    hosts=lambda locked: (urlsplit(file.url).netloc for file in locked.files),
    asked_hosts=lambda source: (urlsplit(place.url).netloc for place in source.repositories),
    named=lambda entry: ((f"OS file {path}", digest) for path, digest in entry.served()),
    served=lambda entry: (("os", path, digest) for path, digest in entry.served()),
    compared=lambda entry: os_packages_by_name([entry]).items(),
    number=lambda found: len(found.packages),
    page=_page,
    facts=_facts,
)
