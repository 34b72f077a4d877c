"""Packages of an rpm distribution: what dnf would install on an empty system, and its signatures.

1. Each repository's repomd.xml is verified with the definition's keyring (gpgv), and every metadata
   file with repomd.xml.
2. dnf solves over those files, offline; see `rpm_closure`.
3. Each package is fetched, and compared with the checksum in the metadata; then its own signature
   and the digests within it are verified with the keyring (rpmkeys), and its header with the name
   under which the metadata has it.

A package's signature is within it, so a lock has to fetch packages. They stay in the store, where
the build finds them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bundle.base.content import Content
from bundle.base.errors import FormatError, MissingBlobError
from bundle.base.limits import MAX_RPM_BYTES
from bundle.base.platform import Platform
from bundle.kinds.openpgp import separate_keys
from bundle.kinds.os_packages import LockedKeyring, LockedOs, OsPackage, OsSource, place_of
from bundle.store.atomic import storage_errors
from bundle.store.hashing import run_parallel
from bundler.sources.common.context import SourceContext
from bundler.sources.files.trusted_keys import keep_keyring
from bundler.sources.os.rpm.repository import (
    RpmRepository,
    RpmTarget,
    architectures_of,
    open_repository,
)
from bundler.sources.os.rpm.signing_keys import RpmKeys
from bundler.sources.os.rpm.solve import Question, Solved, solve

_THREADS: Final = 6


def resolve_rpm(
    source: OsSource, platforms: tuple[Platform, ...], context: SourceContext
) -> LockedOs:
    """Resolve packages against an empty system of their release.

    Raises:
        DefinitionError: The keyring holds no keys, or dnf cannot install what is asked for.
        SignatureError: An index or a package is not signed by the distribution.
        IntegrityError: Something is not what a verified index promises.
        FormatError: Metadata is malformed, or a package is another than the metadata says.
        ProgramError: gpg, dnf or rpm is missing or failed.
        TransportError, StorageError: And subclasses.
    """
    where = f"osPackages {source.name}"
    architectures = architectures_of(source.repositories, platforms)
    keyring = keep_keyring(source.keyring, context)
    with storage_errors("create a folder for dnf"):
        work = tempfile.TemporaryDirectory(prefix="isoward-rpm-", ignore_cleanup_errors=True)
    with work as folder:
        # Nodes get each key in a file of its own; a keyring that cannot be divided is refused now.
        separate_keys(_key_data(keyring, context), f"keyring {source.keyring}")
        keys = RpmKeys(_key_data(keyring, context), _folder(folder, "keys"), context.run, where)
        repositories: list[RpmRepository] = []
        packages: list[OsPackage] = []
        for architecture in architectures:
            here = _folder(folder, architecture)
            target = RpmTarget(architecture, _releasever(source))
            opened = _open_all(source, target, here, keys=keys, context=context)
            solved = _solve(source, target, opened, folder=here, context=context)
            packages += _keep_packages(solved, opened, keys)
            repositories += opened.values()
    files = {file.path: file for repository in repositories for file in repository.files.values()}
    # A package for every architecture stands in the closure of each of them.
    named = {(p.name, p.version, p.architecture, p.digest): p for p in packages}
    return LockedOs(
        name=source.name,
        release=source.release,
        repositories=tuple(
            sorted((place_of(r) for r in source.repositories), key=lambda place: place.folder)
        ),
        recommends=source.recommends,
        keyring=keyring,
        files=tuple(files[path] for path in sorted(files)),
        packages=tuple(named[key] for key in sorted(named)),
    )


def _open_all(
    source: OsSource, target: RpmTarget, folder: Path, keys: RpmKeys, context: SourceContext
) -> dict[str, RpmRepository]:
    """Fetch and verify what the repositories say, for one architecture."""
    return {
        repository.folder: open_repository(
            repository,
            target,
            _folder(folder, "mirror", repository.folder),
            keys=keys,
            context=context,
        )
        for repository in source.repositories
    }


def _solve(
    source: OsSource,
    target: RpmTarget,
    repositories: Mapping[str, RpmRepository],
    folder: Path,
    context: SourceContext,
) -> tuple[Solved, ...]:
    question = Question(
        repositories={name: repository.root for name, repository in repositories.items()},
        packages=source.packages,
        release=target.release,
        architecture=target.architecture,
        weak=source.recommends,
    )
    where = f"osPackages {source.name} for {target.architecture}"
    return solve(question, _folder(folder, "dnf"), context.run, where)


def _keep_packages(
    solved: tuple[Solved, ...], repositories: Mapping[str, RpmRepository], keys: RpmKeys
) -> list[OsPackage]:
    """Fetch the packages of a closure and verify them."""
    paths: dict[int, Path] = {}
    contents: dict[int, Content] = {}

    def keep(item: tuple[int, Solved]) -> None:
        number, package = item
        repository = repositories[package.repository]
        paths[number], contents[number] = repository.keep(
            package.location, package.promise, MAX_RPM_BYTES
        )

    run_parallel(keep, enumerate(solved), _THREADS, lambda: None)
    addresses = [repositories[p.repository].address(p.location) for p in solved]
    keys.check_packages({address: paths[i] for i, address in enumerate(addresses)})
    names = keys.names_of([paths[i] for i in range(len(solved))])
    if len(names) != len(solved):
        raise FormatError(
            f"rpm --query: expected {len(solved)} names, found {len(names)}",
            "A package's name contains a line break; do not use the repository.",
        )
    for package, address, found in zip(solved, addresses, names, strict=True):
        if found != package.identity:
            raise FormatError(
                f"{address}: expected {package.identity}, found {found}",
                "The metadata gives a package another name; do not use the repository until you "
                "know why.",
            )
    return [
        OsPackage(
            name=package.name,
            version=package.full_version,
            architecture=package.architecture,
            digest=contents[number].digest,
        )
        for number, package in enumerate(solved)
    ]


def _releasever(source: OsSource) -> str:
    """Return the number of the release: `9` for `rocky-9`."""
    return source.release.rpartition("-")[2]


def _key_data(keyring: LockedKeyring, context: SourceContext) -> bytes:
    data = context.store.read_bytes(keyring.digest, keyring.size)
    if data is None:
        raise MissingBlobError(
            f"{keyring.source}: the copy in the cache is damaged", "Run `isoward lock` again."
        )
    return data


def _folder(*parts: str | Path) -> Path:
    made = Path(*parts)
    with storage_errors(f"create {made}"):
        made.mkdir(parents=True)
    return made
