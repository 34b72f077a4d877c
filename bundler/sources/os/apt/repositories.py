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

from bundle.base.content import Content
from bundle.base.digest import PREFIX, digest_of
from bundle.base.errors import (
    AuthenticationError,
    DefinitionError,
    FormatError,
    IsowardError,
    NotFoundError,
    SignatureError,
    TransportRefusedError,
)
from bundle.base.limits import MAX_DEB_BYTES, MAX_OS_INDEX_BYTES, MAX_OS_RELEASE_BYTES
from bundle.base.platform import Platform
from bundle.kinds.os_packages import (
    LockedOs,
    LockedOsFile,
    OsPackage,
    OsRepositorySource,
    OsSource,
    is_flat,
    lists_folder,
    place_of,
)
from bundle.store.atomic import storage_errors
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import read_whole
from bundler.sources.common.promised import keep_promised
from bundler.sources.files.trusted_keys import keep_keyring
from bundler.sources.os.apt.release_file import AptRelease, Listed, read_in_release, read_release
from bundler.sources.os.apt.solver_root import AptRoot, Chosen

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


_ABSENT: Final = (NotFoundError, AuthenticationError, TransportRefusedError)
"""How servers say that they do not have a file: stores of objects say 403 to who may not list."""


@dataclass(frozen=True, slots=True)
class _Suite:
    """One suite of one repository.

    Attributes:
        source: As the definition has it.
        folder: Of its lists, below the repository's address.
        release: What they say.
        files: InRelease, or Release with its signature; kept in the store.
    """

    source: OsRepositorySource
    folder: str
    release: AptRelease
    files: tuple[LockedOsFile, ...]


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
    signed = [file for suite in suites for file in suite.files]
    files = {file.path: file for file in signed}
    chosen: list[Chosen] = []
    with tempfile.TemporaryDirectory(dir=context.store.workspace("apt")) as name:
        work = Path(name)
        keys = work / keyring.path
        _link(context.store.blob_path(keyring.digest), keys)
        for architecture in _architectures(source, platforms):
            fetched = list(_fetch_indexes(suites, architecture, context))
            files |= {file.path: file for file in fetched}
            mirror = work / architecture / "mirror"
            for file in (*signed, *fetched):
                _link(context.store.blob_path(file.digest), mirror / file.path)
            root = AptRoot(work / architecture / "root", mirror, context.run)
            places = map(place_of, source.repositories)
            root.prepare(architecture, places, keys, recommends=source.recommends)
            where = f"osPackages {source.name}"
            root.update(where)
            chosen += root.closure(source.packages, where)
            shutil.rmtree(work / architecture)
    packages = dict(_packages(chosen, source, context))
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
                f"Give it its own `platforms`: {', '.join(ARCHITECTURES)}.",
            )
        found.append(ARCHITECTURES[platform])
    return sorted(set(found))


def _fetch_suite(source: OsRepositorySource, context: SourceContext) -> _Suite:
    """Fetch what is signed; it moves, so it is kept for the build."""
    suite = place_of(source).suite or ""
    folder = lists_folder(suite)
    files: tuple[LockedOsFile, ...]
    try:
        data, file = _keep_moving(source, f"{folder}InRelease", context)
        release, files = read_in_release(data, file.url), (file,)
    except _ABSENT as error:
        release, files = _fetch_detached(source, folder, error, context)
    url = files[0].url
    if not release.is_suite(suite):
        raise SignatureError(
            f"{url}: expected the suite {suite}, found {', '.join(sorted(release.names))}",
            "A server must not substitute another suite; use the suite's own name.",
        )
    if not release.names and not is_flat(suite):
        context.progress.note(f"{url}: it does not name its suite; only its key identifies it")
    return _Suite(source, folder, release, files)


def _fetch_detached(
    source: OsRepositorySource, folder: str, absent: IsowardError, context: SourceContext
) -> tuple[AptRelease, tuple[LockedOsFile, ...]]:
    """Fetch Release and its signature, as apt does where there is no InRelease."""
    try:
        data, file = _keep_moving(source, f"{folder}Release", context)
        _, signature = _keep_moving(source, f"{folder}Release.gpg", context)
    except _ABSENT as error:
        raise NotFoundError(
            f"{absent.message}; nor is there a Release with its Release.gpg: {error.message}",
            "Check the repository's address and suite; unsigned ones are not carried.",
            error.context,
        ) from error
    return read_release(data, file.url), (file, signature)


def _keep_moving(
    source: OsRepositorySource, path: str, context: SourceContext
) -> tuple[bytes, LockedOsFile]:
    url = _url(source, path)
    data = read_whole(lambda: context.client.open_url(url), MAX_OS_RELEASE_BYTES, url)
    digest = digest_of(data)
    context.store.put_bytes(digest, data)
    return data, _file(source, path, url, Content(digest=digest, size=len(data)))


def _fetch_indexes(
    suites: Iterable[_Suite], architecture: str, context: SourceContext
) -> Iterator[LockedOsFile]:
    """Fetch the indexes of packages, each under the names that apt may ask for."""
    for suite in suites:
        for component in suite.source.components or ("",):
            for forms in suite.release.indexes(component, architecture):
                listed, url, content = _fetch_one(suite, forms, context)
                for name in (*_hashed_names(suite, listed), suite.folder + listed.path):
                    yield _file(suite.source, name, url, content)


def _fetch_one(
    suite: _Suite, forms: tuple[Listed, ...], context: SourceContext
) -> tuple[Listed, str, Content]:
    """Fetch the first form of an index that the server has: many list forms that they lack."""
    last: IsowardError | None = None
    for listed in forms:
        for name in (*_hashed_names(suite, listed)[:1], suite.folder + listed.path):
            url = _url(suite.source, name)
            try:
                content = keep_promised(url, listed.promises[0], MAX_OS_INDEX_BYTES, context)
            except _ABSENT as error:
                last = error
            else:
                return listed, url, content
    raise last or AssertionError  # there is one form at least


def _hashed_names(suite: _Suite, listed: Listed) -> list[str]:
    if not suite.release.by_hash:
        return []
    folder = (suite.folder + listed.path).rpartition("/")[0]
    below = f"{folder}/by-hash" if folder else "by-hash"
    return [f"{below}/{one.algorithm.upper()}/{one.value}" for one in listed.promises]


def _packages(
    chosen: Iterable[Chosen], source: OsSource, context: SourceContext
) -> Iterator[tuple[tuple[str, str, str], tuple[LockedOsFile, OsPackage]]]:
    """Yield each package with its file; one of all architectures is chosen for each of them."""
    repositories = {place_of(r).folder: r for r in source.repositories}
    for found in chosen:
        folder, _, path = found.path.partition("/")
        try:
            repository = repositories[folder]
            url = _url(repository, path)
            # Made first: its path may be one that no server is to be asked for.
            _file(repository, path, url, Content(digest=PREFIX + "0" * 64, size=0))
            content = found.promise.content or keep_promised(
                url, found.promise, MAX_DEB_BYTES, context
            )
            package = msgspec.convert(
                {
                    "name": found.name,
                    "version": found.version,
                    "architecture": found.architecture,
                    "digest": content.digest,
                },
                OsPackage,
            )
            file = _file(repository, path, url, content)
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
