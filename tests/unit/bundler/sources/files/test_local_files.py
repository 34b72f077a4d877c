"""Files of this machine: read once into the cache, found again by a build, and nothing else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    IntegrityError,
    SizeMismatchError,
)
from bundle.kinds.files import (
    FileSource,
    LockedFile,
    check_file_source,
    file_label,
    file_uri,
    served_path,
)
from bundle.kinds.git import GitSource
from bundler.build.cache import BlobCache
from bundler.build.fetch import BlobFetcher
from bundler.sources.common.context import SourceContext
from bundler.sources.files.downloads import resolve_file
from bundler.sources.files.local import local_opener, open_local
from tests.support.charts.git_repositories import commit_files, git, new_repository
from tests.support.documents.sources import context
from tests.support.registries.connecting import client

DATA = bytes(range(256)) * 10_000


@pytest.fixture
def at(tmp_path: Path) -> SourceContext:
    folder = tmp_path / "definitions"
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "tool.conf").write_bytes(DATA)
    return context(client(), BlobCache(tmp_path / "cache"), folder)


def _built(file: LockedFile, at: SourceContext, target: Path) -> bytes:
    """Fetch a file as a build without a cache does."""
    content = Content(digest=file.digest, size=file.size)
    fetcher = BlobFetcher(content, local_opener(file, at), lambda _: None, lambda _: None)
    fetcher.fetch(target.with_name("partial"), target)
    return target.read_bytes()


def test_a_local_file_is_kept_and_found_again(at: SourceContext, tmp_path: Path) -> None:
    locked = resolve_file(FileSource(path="files/tool.conf"), at)
    assert locked == LockedFile(
        digest=digest_of(DATA), size=len(DATA), name="tool.conf", path="files/tool.conf"
    )
    assert at.store.read_bytes(locked.digest, locked.size) == DATA
    assert at.store.blob_path(locked.digest).stat().st_mode & 0o777 == 0o444
    assert _built(locked, at, tmp_path / "built") == DATA
    assert served_path(locked) == file_label(locked) == "local/tool.conf"
    assert not list(at.store.workspace("incoming").iterdir())


def test_its_digest_counts_where_the_definition_has_one(at: SourceContext) -> None:
    good = FileSource(path="files/tool.conf", name="x.conf", digest=digest_of(DATA))
    assert resolve_file(good, at).name == "x.conf"
    bad = FileSource(path="files/tool.conf", digest=digest_of(b"other"))
    with pytest.raises(DigestMismatchError, match=r"files/tool\.conf: expected"):
        resolve_file(bad, at)
    assert not list(at.store.workspace("incoming").iterdir())


@pytest.mark.parametrize(
    ("data", "error"),
    [(DATA[:-1], SizeMismatchError), (DATA + b"x", SizeMismatchError), (b"", SizeMismatchError),
     (DATA[:-1] + b"x", DigestMismatchError)],
)  # fmt: skip
def test_another_file_in_its_place_is_refused_by_name(
    at: SourceContext, tmp_path: Path, data: bytes, error: type[Exception]
) -> None:
    locked = resolve_file(FileSource(path="files/tool.conf"), at)
    (at.folder / "files" / "tool.conf").write_bytes(data)
    with pytest.raises(error, match=r"file files/tool\.conf: expected"):
        _built(locked, at, tmp_path / "built")
    assert not (tmp_path / "built").exists()


def test_a_file_that_is_gone_is_named(at: SourceContext, tmp_path: Path) -> None:
    locked = resolve_file(FileSource(path="files/tool.conf"), at)
    (at.folder / "files" / "tool.conf").unlink()
    with pytest.raises(DefinitionError, match=r"files/tool\.conf: no such file"):
        _built(locked, at, tmp_path / "built")


def test_a_file_that_changes_while_it_is_read_is_noticed(at: SourceContext) -> None:
    def read_while_it_grows() -> None:
        with open_local(at.folder, "files/tool.conf") as file:
            file.read(10)
            with (at.folder / "files" / "tool.conf").open("ab") as writer:
                writer.write(b"more")

    with pytest.raises(IntegrityError, match="changed while being read"):
        read_while_it_grows()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_pipe, "regular file"),
        (lambda path: path.mkdir(), "regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "leads out"),
        (lambda path: path.symlink_to("../../cache"), "leads out"),
        (lambda path: path.symlink_to("thing"), "link to itself"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_is_no_file_of_the_folder_is_refused(
    at: SourceContext, make: Callable[[Path], None], said: str
) -> None:
    make(at.folder / "files" / "thing")
    with pytest.raises(DefinitionError, match=said):
        resolve_file(FileSource(path="files/thing"), at)


def test_a_socket_is_refused(at: SourceContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(at.folder / "files")
    _socket(Path("thing"))
    with pytest.raises(Exception, match="files/thing"):
        resolve_file(FileSource(path="files/thing"), at)


def test_a_link_within_the_folder_is_followed(at: SourceContext) -> None:
    (at.folder / "current").symlink_to("files/tool.conf")
    assert resolve_file(FileSource(path="current"), at).digest == digest_of(DATA)


def test_a_file_of_a_git_commit(at: SourceContext, tmp_path: Path) -> None:
    repository = new_repository(at.folder / "platform")
    commit = commit_files(repository, {"etc/tool.conf": DATA, ".gitattributes": b"* text\n"})
    commit_files(repository, {"etc/tool.conf": b"later\n"})
    source = FileSource(
        git=GitSource(repository="platform", commit=commit), path="etc/tool.conf", name="t"
    )
    locked = resolve_file(source, at)
    assert (locked.digest, locked.size, locked.name) == (digest_of(DATA), len(DATA), "t")
    other = context(client(), BlobCache(tmp_path / "second"), at.folder)
    assert _built(locked, other, tmp_path / "built") == DATA
    assert not list(other.store.workspace("incoming").iterdir())
    assert file_uri(locked) == ""


def test_a_file_of_a_git_commit_must_have_its_digest(at: SourceContext) -> None:
    repository = new_repository(at.folder / "platform")
    commit = commit_files(repository, {"a": DATA})
    git(repository, "tag", "v1")
    source = GitSource(repository="platform", commit=commit)
    with pytest.raises(DigestMismatchError, match="a in platform: expected"):
        resolve_file(FileSource(git=source, path="a", digest=digest_of(b"x")), at)


REMOTE = GitSource(repository="https://host.example.org/x", commit="0" * 40)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (FileSource(), r"files\[0\]: expected url or path, found neither"),
        (FileSource(url="https://e.example.org/x"), r"files\[0\]: missing digest"),
        (FileSource(url="https://e.example.org/x", digest=digest_of(b""), path="x"), "only url"),
        (FileSource(url="https://e.example.org/x", digest=digest_of(b""), name="x"), "only url"),
        (FileSource(url="https://e.example.org/x", digest=digest_of(b""), git=REMOTE), "only url"),
        (FileSource(git=REMOTE), "expected url or path, found neither"),
        (FileSource(path="../x"), r"files\[0\]\.path"),
        (FileSource(path="/etc/passwd"), r"files\[0\]\.path"),
        (FileSource(path="a/./b"), r"files\[0\]\.path"),
        (FileSource(path="a\\b"), r"files\[0\]\.path"),
        (FileSource(path="a\x1bb"), r"files\[0\]\.path"),
        (FileSource(path="a/.hidden"), "cannot be the name"),
        (FileSource(path="a/b c"), "cannot be the name"),
        (FileSource(path="a", name="../x"), "cannot be the name"),
        (FileSource(path="a", git=GitSource(repository="/srv/x", commit="0" * 40)), "git"),
    ],
)
def test_entries_that_are_refused(file: FileSource, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        check_file_source(file, "files[0]")


def test_where_a_file_of_a_remote_commit_is_from() -> None:
    file = LockedFile(digest=digest_of(b""), size=0, name="x", path="a/x", git=REMOTE)
    assert file_uri(file) == f"git+https://host.example.org/x@{'0' * 40}#a/x"
