"""Files: by URL, from a folder beside the definition, or from a Git repository."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from bundle.base.content import Content
from bundle.base.digest import Digest, short
from bundle.base.documents import Document, Text, Url, each_once
from bundle.base.errors import DefinitionError
from bundle.base.names import file_path
from bundle.base.paths import InnerPath, check_inner_path
from bundle.base.patterns import formed
from bundle.base.reference import check_url
from bundle.kinds.git import GitSource, check_git_source, git_host
from bundle.kinds.protocol import BundleHead, DefinitionHead, Kind, LockHead

FileName = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$(?!\n)",
        "a file's name: a letter or digit, then also '.', '_', '+' and '-'",
        "tool-1.4.tar.gz",
        max_length=128,
    ),
]
"""Under which a file that has no URL is served."""

_LOCAL: Final = "local"


class FileSource(Document, frozen=True, kw_only=True):
    """One file: by its URL, by a path beside the definition, or by a path in a Git commit."""

    url: Url | None = None
    digest: Digest | None = None
    """Required with a URL, where nothing else says which bytes are meant."""
    path: InnerPath | None = None
    """From the definition's folder, or within the tree of `git`."""
    git: GitSource | None = None
    name: FileName | None = None
    """Under which it is served, if not by its path's last part."""

    @property
    def served_name(self) -> str | None:
        """The name of a file without a URL."""
        return self.name or (self.path.rpartition("/")[2] if self.path else None)


class LockedFile(Content, frozen=True, kw_only=True):
    """A file: by URL, by a path beside the lock, or by a path in a Git commit."""

    url: Url | None = None
    name: FileName | None = None
    """Under which a file without a URL is served."""
    path: InnerPath | None = None
    git: GitSource | None = None
    wanted_by: tuple[Text, ...] = ()
    """What else in the bundle needs the file, sorted; empty if only the definition names it."""


class FileEntry(Document, frozen=True, kw_only=True):
    """A file; it is served below its host and path, or as `local/<name>`."""

    url: Url | None = None
    name: FileName | None = None
    path: InnerPath | None = None
    git: GitSource | None = None
    digest: Digest
    wanted_by: tuple[Text, ...] = ()
    """What else in the bundle needs the file, sorted; empty if only the definition names it."""


class FileOrigin(Protocol):
    """Where a file of a lock or of bundle.json is from: `url`, or `path`, or `git` and `path`."""

    @property
    def url(self) -> str | None:
        """Its address."""

    @property
    def name(self) -> str | None:
        """Under which it is served without one."""

    @property
    def path(self) -> str | None:
        """Below the definition's folder, or in the tree of `git`."""

    @property
    def git(self) -> GitSource | None:
        """The commit that holds it."""


def file_label(file: FileOrigin) -> str:
    """Return what identifies a file: its URL, or `local/<name>`."""
    return file.url or f"{_LOCAL}/{file.name}"


def served_path(file: FileOrigin) -> str:
    """Return the path below /files/."""
    return file_path(file.url) if file.url else f"{_LOCAL}/{file.name}"


def file_host(file: FileOrigin | FileSource) -> str | None:
    """Return the host that a file comes from; None for this machine."""
    if file.url:
        return urlsplit(file.url).netloc
    return git_host(file.git.repository) if file.git else None


def file_uri(file: FileOrigin) -> str:
    """Return where a file comes from, as provenance has it; empty for a local folder's."""
    if file.git is not None and git_host(file.git.repository) is not None:
        return f"git+{file.git.repository}@{file.git.commit}#{file.path}"
    return file.url or ""


def check_file_source(file: FileSource, where: str) -> None:
    """Check what the structure alone cannot say of a file in a definition.

    Raises:
        DefinitionError: It has no origin or two, no digest, or a malformed address, path or name.
    """
    if file.url is not None and file.digest is None:
        raise DefinitionError(
            f"{where}: missing digest", "Write `digest: sha256:...` of the file at that URL."
        )
    _check_origin(file, file.served_name if file.url is None else file.name, where)


def check_file_origin(file: FileOrigin, where: str) -> None:
    """Check where a file of a lock or of bundle.json is from.

    Raises:
        DefinitionError: It has no origin or two, or a malformed address, path or name.
    """
    _check_origin(file, file.name, where)


def _check_origin(file: FileOrigin | FileSource, name: str | None, where: str) -> None:
    if file.url is not None:
        check_url(file.url, f"{where}.url")
        if name is not None or file.path is not None or file.git is not None:
            raise DefinitionError(
                f"{where}: expected only url and digest, found a name, a path or git as well",
                "Use two entries; a file with a URL is served by its host and path.",
            )
        return
    if file.path is None:
        raise DefinitionError(
            f"{where}: expected url or path, found neither", "Write where the file comes from."
        )
    check_inner_path(file.path, f"{where}.path")
    if file.git is not None:
        check_git_source(file.git, f"{where}.git")
    try:
        msgspec.convert(name, FileName)
    except msgspec.ValidationError:
        raise DefinitionError(
            f"{where}: {name!r} cannot be the name of a served file",
            "Write `name:` with letters, digits, '.', '_', '+' and '-'.",
        ) from None


def _entry(locked: LockedFile) -> FileEntry:
    return FileEntry(
        url=locked.url,
        name=locked.name,
        path=locked.path,
        git=locked.git,
        digest=locked.digest,
        wanted_by=locked.wanted_by,
    )


def _check_origins(content: LockHead | BundleHead) -> None:
    for i, file in enumerate(FILES.carried(content)):
        check_file_origin(file, f"files[{i}]")


def _check_definition(definition: DefinitionHead) -> None:
    each_once([f.url or f"{_LOCAL}/{f.served_name}" for f in FILES.asked(definition)], "files")


def _lines(file: FileEntry) -> Iterator[str]:
    origin = f" from {file.path}" if file.path else ""
    if file.git is not None:
        origin += f" in {file.git.repository} at {file.git.commit[:12]}"
    yield f"{short(file.digest)}  {file_label(file)}{origin}"
    if file.wanted_by:
        yield f"needed by {', '.join(file.wanted_by)}"


def _facts(file: FileEntry) -> dict[str, Any]:
    if file.url is not None:
        return {"url": file.url, "digest": file.digest, "wantedBy": list(file.wanted_by)}
    said: dict[str, Any] = {"name": file.name, "path": file.path, "digest": file.digest}
    if file.git is not None:
        said["git"] = msgspec.to_builtins(file.git)
    return said


def _dependencies(file: FileEntry) -> Iterator[tuple[str, str, str]]:
    yield file.digest, "file" if file.url else f"file {file_label(file)}", file_uri(file)


FILES: Final = Kind[FileSource, LockedFile, FileEntry](
    field="files",
    title="file",
    source=FileSource,
    entry=_entry,
    checks=(check_file_source,),
    checks_together=(_check_definition,),
    check_lock=_check_origins,
    check_bundle=_check_origins,
    contents=lambda file: (file,),
    asked_hosts=lambda file: (file_host(file),),
    hosts=lambda file: (file_host(file),),
    named_hosts=lambda file: (file_host(file),),
    named=lambda file: [(f"file {file_label(file)}", file.digest)],
    served=lambda file: [("files", served_path(file), file.digest)],
    compared=lambda file: [(file_label(file), file.digest)],
    dependencies=_dependencies,
    lines=_lines,
    facts=_facts,
)
