"""One rpm repository for one architecture: its signed index and metadata, fetched and verified."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import (
    AuthenticationError,
    DefinitionError,
    FormatError,
    IsowardError,
    NotFoundError,
    SignatureError,
    TransportRefusedError,
)
from bundle.base.limits import MAX_OS_INDEX_BYTES, MAX_REPOMD_BYTES, MAX_SIGNATURE_FILE_BYTES
from bundle.base.platform import Platform, matches
from bundle.kinds.os_names import OsPath
from bundle.kinds.os_packages import LockedOsFile, OsRepositorySource
from bundle.store.atomic import storage_errors
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import read_whole
from bundler.sources.common.promised import Promise, keep_promised
from bundler.sources.os.rpm.repodata import read_repomd
from bundler.sources.os.rpm.signing_keys import RpmKeys

REPOMD: Final = "repodata/repomd.xml"
SIGNATURE: Final = "repodata/repomd.xml.asc"
_ARCHITECTURES: Final = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
"""rpm's words, which are also its `$basearch`."""

_BASEARCH: Final = "$basearch"

_ABSENT: Final = (NotFoundError, AuthenticationError, TransportRefusedError)
"""How servers say that they do not have a file: stores of objects say 403 to who may not list."""


@dataclass(slots=True)
class RpmRepository:
    """A repository whose index was verified.

    Attributes:
        url: Without a final slash, its variables filled in.
        prefix: Where it is served, below /os/<name>/.
        root: Its folder here; files in it are links into the store.
        files: What a bundle carries of it so far, by path below the repository.
    """

    url: str
    prefix: str
    root: Path
    context: SourceContext
    files: dict[str, LockedOsFile] = field(default_factory=dict)

    def keep(self, path: str, promise: Promise, limit: int) -> tuple[Path, Content]:
        """Fetch a file of the repository and note it.

        Returns:
            Where it is in `root`, and what it is.

        Raises:
            FormatError: The path is none, or is taken by something else.
            NotFoundError: The server does not have it.
            IntegrityError, TransportError, StorageError: As `keep_promised`.
        """
        url = self.address(path)
        try:
            content = keep_promised(url, promise, limit, self.context)
            blob = self.context.store.blob_path(content.digest)
            return self._note(path, content, blob), content
        except NotFoundError as error:
            raise NotFoundError(
                f"{url}: the metadata names this file, but the server does not have it",
                "The repository changed in between, or its mirror is incomplete: try again.",
                error.context,
            ) from error

    def put(self, path: str, data: bytes) -> Path:
        """Note a file that was fetched whole, and return where it is in `root`."""
        content = Content(digest=digest_of(data), size=len(data))
        self.context.store.put_bytes(content.digest, data)
        return self._note(path, content, self.context.store.blob_path(content.digest))

    def address(self, path: str) -> str:
        """Return where a file of the repository is fetched.

        Raises:
            FormatError: It is no path, or leaves the repository.
        """
        try:
            msgspec.convert(path, OsPath)
        except msgspec.ValidationError as error:
            raise FormatError(
                f"{self.url}: the metadata names a file {path[:200]!r}, which is not a path in it",
                "Do not use the repository until you know why.",
            ) from error
        return f"{self.url}/{quote(path)}"

    def _note(self, path: str, content: Content, blob: Path) -> Path:
        locked = LockedOsFile(
            path=f"{self.prefix}/{path}",
            digest=content.digest,
            size=content.size,
            url=self.address(path),
        )
        if self.files.setdefault(path, locked) != locked:
            raise FormatError(
                f"{self.url}: the metadata has two files at {path!r}",
                "Do not use the repository until you know why.",
            )
        link = self.root / path
        with storage_errors(f"write {link}"):
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(blob.resolve())
        return link


@dataclass(frozen=True, slots=True)
class RpmTarget:
    """The nodes that packages are for.

    Attributes:
        architecture: In rpm's words.
        release: `releasever`, such as `9`.
    """

    architecture: str
    release: str


def open_repository(
    source: OsRepositorySource, target: RpmTarget, root: Path, keys: RpmKeys, context: SourceContext
) -> RpmRepository:
    """Fetch and verify the index and the metadata of a repository.

    Args:
        source: Checked; `$basearch` and `$releasever` in its URL are filled in.
        target: What it is asked for.
        root: A folder for it alone.
        keys: The distribution's.
        context: What sources work with.
    Raises:
        SignatureError: The index is not signed by one of the keys, or not at all and the
            definition does not say that it is so.
        FormatError: The index or a path in it is malformed.
        IntegrityError: A file is not what the index promises.
        NotFoundError: There is no such repository.
        TransportError, StorageError: And subclasses.
    """
    url = source.url.replace(_BASEARCH, target.architecture)
    url = url.replace("$releasever", target.release)
    made = RpmRepository(url.rstrip("/"), f"{source.folder}/{target.architecture}", root, context)
    index = made.put(REPOMD, _fetch(made, REPOMD, MAX_REPOMD_BYTES))
    signature = _fetch_signature(made, signed=source.metadata_signed)
    if signature is not None:
        keys.check_repomd(index, made.put(SIGNATURE, signature), made.address(REPOMD))
    with storage_errors(f"read {index}"):
        data = index.read_bytes()
    for file in read_repomd(data, made.address(REPOMD)):
        made.keep(file.path, file.promise, MAX_OS_INDEX_BYTES)
    return made


def architectures_of(
    repositories: Iterable[OsRepositorySource], platforms: Iterable[Platform]
) -> tuple[str, ...]:
    """Return the architectures of some platforms in rpm's words, sorted.

    Raises:
        DefinitionError: rpm has none for a platform, or there are several and a repository's URL
            is for one.
    """
    found = set()
    for platform in platforms:
        names = [name for known, name in _ARCHITECTURES.items() if matches(known, platform)]
        if not names:
            raise DefinitionError(
                f"osPackages: no rpm packages for the platform {platform}",
                f"Platforms with such packages are {', '.join(_ARCHITECTURES)}.",
            )
        found.update(names)
    for repository in repositories:
        if len(found) > 1 and _BASEARCH not in repository.url:
            raise DefinitionError(
                f"{repository.url}: expected {_BASEARCH} in it, for {' and '.join(sorted(found))}",
                "Write it as https://host/rocky/9/BaseOS/$basearch/os/.",
            )
    return tuple(sorted(found))


def _fetch_signature(repository: RpmRepository, *, signed: bool) -> bytes | None:
    """Fetch the index's signature; None where there is none and the definition says so.

    Raises:
        SignatureError: There is none, and the definition does not say so.
    """
    absent: IsowardError | None = None
    data = b""
    try:
        data = _fetch(repository, SIGNATURE, MAX_SIGNATURE_FILE_BYTES)
    except _ABSENT as error:
        absent = error
    # Some servers send a page in place of any file that they lack; no signature begins so.
    if absent is None and not data.lstrip().startswith(b"<"):
        return data
    if not signed:
        return None
    if absent is None:
        found = "a web page"
    else:
        found = "none" if isinstance(absent, NotFoundError) else f"none ({absent.message})"
    raise SignatureError(
        f"{repository.address(SIGNATURE)}: expected the index's signature, found {found}",
        "Only if the distribution does not sign its index, say so in the "
        "definition: `metadataSigned: false`. Its packages are still signed.",
    ) from absent


def _fetch(repository: RpmRepository, path: str, limit: int) -> bytes:
    url = repository.address(path)
    return read_whole(lambda: repository.context.client.open_url(url), limit, url)
