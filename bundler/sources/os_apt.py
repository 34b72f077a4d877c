"""Packages from apt repositories: chosen by real apt, carried as the distribution signed them.

The order is: fetch each suite's InRelease and the indexes that it names, by digest; let apt verify
the signatures, with the distribution's keyring and nothing else, and those indexes; let it choose
what an empty system needs. What was fetched and verified is what is locked.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from bundle.model.digest import PREFIX, digest_of, hex_of
from bundle.model.errors import DefinitionError, FormatError, SignatureError
from bundle.model.limits import MAX_OS_INDEX_BYTES, MAX_OS_RELEASE_BYTES
from bundle.model.lock import Content
from bundle.model.os_packages import (
    LockedOs,
    LockedOsFile,
    OsPackage,
    OsRepositorySource,
    OsSource,
    place_of,
)
from bundle.model.platform import Platform
from bundle.store.atomic import storage_errors
from bundler.sources.apt_release import AptRelease, read_release
from bundler.sources.apt_root import AptRoot, Chosen
from bundler.sources.context import SourceContext
from bundler.sources.download import check_bytes, read_whole
from bundler.sources.os_keyring import keep_keyring

ARCHITECTURES: Final = {
    "linux/386": "i386",
    "linux/amd64": "amd64",
    "linux/arm/v7": "armhf",
    "linux/arm64": "arm64",
    "linux/arm64/v8": "arm64",
    "linux/ppc64le": "ppc64el",
    "linux/riscv64": "riscv64",
    "linux/s390x": "s390x",
}
"""What Debian calls each platform."""


@dataclass(frozen=True, slots=True)
class _Suite:
    """One suite of one repository.

    Attributes:
        source: As the definition has it.
        release: What its InRelease says.
        file: That InRelease, kept in the store.
    """

    source: OsRepositorySource
    release: AptRelease
    file: LockedOsFile


def resolve_apt(
    source: OsSource, platforms: tuple[Platform, ...], context: SourceContext
) -> LockedOs:
    """Resolve packages of Debian or Ubuntu.

    Raises:
        DefinitionError: A repository, a package or something that it needs does not exist.
        SignatureError: apt does not accept a repository, or it is another suite's.
        FormatError: An index is malformed.
        IntegrityError: An index is not the one that is signed.
        ProgramError: apt is missing, or did not end.
        TransportError: And its subclasses, when something cannot be had.
        StorageError: The disk refused.
    """
    keyring = keep_keyring(source.keyring, context)
    suites = [_fetch_suite(repository, context) for repository in source.repositories]
    files = {suite.file.path: suite.file for suite in suites}
    chosen: list[Chosen] = []
    with tempfile.TemporaryDirectory(dir=context.store.workspace("apt")) as name:
        work = Path(name)
        keys = work / keyring.path
        _link(context.store.blob_path(keyring.digest), keys)
        for architecture in _architectures(source, platforms):
            fetched = list(_fetch_indexes(suites, architecture, context))
            files |= {file.path: file for file in fetched}
            mirror = work / architecture / "mirror"
            for file in (*(suite.file for suite in suites), *fetched):
                _link(context.store.blob_path(file.digest), mirror / file.path)
            root = AptRoot(work / architecture / "root", mirror, context.run)
            places = map(place_of, source.repositories)
            root.prepare(architecture, places, keys, recommends=source.recommends)
            where = f"osPackages {source.name}"
            root.update(where)
            chosen += root.closure(source.packages, where)
            shutil.rmtree(work / architecture)
    packages = dict(_packages(chosen, source))
    files |= {file.path: file for file, _ in packages.values()}
    return LockedOs(
        name=source.name,
        release=source.release,
        repositories=tuple(map(place_of, source.repositories)),
        recommends=source.recommends,
        keyring=keyring,
        files=tuple(sorted(files.values(), key=lambda file: file.path)),
        packages=tuple(package for _, (_, package) in sorted(packages.items())),
    )


def _architectures(source: OsSource, platforms: tuple[Platform, ...]) -> list[str]:
    found = []
    for platform in platforms:
        if platform not in ARCHITECTURES:
            raise DefinitionError(
                f"osPackages {source.name}: {source.release} has no packages for {platform}",
                f"Give it `platforms` of its own: {', '.join(ARCHITECTURES)}.",
            )
        found.append(ARCHITECTURES[platform])
    return sorted(set(found))


def _fetch_suite(source: OsRepositorySource, context: SourceContext) -> _Suite:
    """Fetch an InRelease; it moves, so it is kept for the build."""
    path = f"dists/{source.suite}/InRelease"
    url = _url(source, path)
    data = read_whole(lambda: context.client.open_url(url), MAX_OS_RELEASE_BYTES, url)
    release = read_release(data, url)
    if source.suite not in release.names:
        raise SignatureError(
            f"{url}: expected the suite {source.suite}, found {', '.join(sorted(release.names))}",
            "A server may not put another suite in its place; name it by its own name.",
        )
    digest = digest_of(data)
    context.store.put_bytes(digest, data)
    return _Suite(source, release, _file(source, path, url, Content(digest=digest, size=len(data))))


def _fetch_indexes(
    suites: Iterable[_Suite], architecture: str, context: SourceContext
) -> Iterator[LockedOsFile]:
    """Fetch the indexes of packages, each under the names that apt may ask for."""
    for suite in suites:
        for component in suite.source.components:
            for path, content in suite.release.indexes(component, architecture):
                plain = f"dists/{suite.source.suite}/{path}"
                folder = plain.rpartition("/")[0]
                hashed = f"{folder}/by-hash/SHA256/{hex_of(content.digest)}"
                names = (hashed, plain) if suite.release.by_hash else (plain,)
                url = _url(suite.source, names[0])
                _fetch(url, content, context)
                for name in names:
                    yield _file(suite.source, name, url, content)


def _fetch(url: str, content: Content, context: SourceContext) -> None:
    """Fetch an index into the store, if it is not there, and check it."""
    if context.store.has(content.digest, content.size):
        return
    if content.size > MAX_OS_INDEX_BYTES:
        raise FormatError(
            f"{url}: expected an index of at most {MAX_OS_INDEX_BYTES} bytes, found one of "
            f"{content.size}",
            "Is it the right repository?",
        )
    data = read_whole(lambda: context.client.open_url(url), content.size, url)
    check_bytes(data, content, url)
    context.store.put_bytes(content.digest, data)


def _packages(
    chosen: Iterable[Chosen], source: OsSource
) -> Iterator[tuple[tuple[str, str, str], tuple[LockedOsFile, OsPackage]]]:
    """Yield each package with its file; one of all architectures is chosen for each of them."""
    repositories = {place_of(r).folder: r for r in source.repositories}
    for found in chosen:
        folder, _, path = found.path.partition("/")
        digest = PREFIX + found.sha256
        try:
            package = msgspec.convert(
                {
                    "name": found.name,
                    "version": found.version,
                    "architecture": found.architecture,
                    "digest": digest,
                },
                OsPackage,
            )
            repository = repositories[folder]
            url = _url(repository, path)
            file = _file(repository, path, url, Content(digest=digest, size=found.size))
        except (msgspec.ValidationError, KeyError):
            raise FormatError(
                f"osPackages {source.name}: {found.name[:100]!r} {found.version[:100]!r} at "
                f"{found.path[:200]!r} is not a package that can be served",
                "The repository is broken or hostile; ask its publisher.",
            ) from None
        yield (found.name, found.version, found.architecture), (file, package)


def _file(source: OsRepositorySource, path: str, url: str, content: Content) -> LockedOsFile:
    """Return a file of a repository.

    Raises:
        msgspec.ValidationError: Its path is not one that may be served.
    """
    made = {
        "path": f"{place_of(source).folder}/{path}",
        "digest": content.digest,
        "size": content.size,
        "url": url,
    }
    return msgspec.convert(made, LockedOsFile)


def _url(source: OsRepositorySource, path: str) -> str:
    return f"{source.url.rstrip('/')}/{quote(path, safe='/~+:@,=')}"


def _link(blob: Path, name: Path) -> None:
    with storage_errors(f"write {name}"):
        name.parent.mkdir(parents=True, exist_ok=True)
        name.symlink_to(blob)
