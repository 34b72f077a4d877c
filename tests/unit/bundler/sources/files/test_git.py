"""Git repositories, with the real git: what is carried, and what is refused."""

from __future__ import annotations

import io
import os
import tarfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError, IsowardError, ProgramError
from bundle.kinds.git import GitSource, check_git_source, git_host
from bundle.store import programs
from bundler.build.cache import BlobCache
from bundler.sources.common.context import SourceContext
from bundler.sources.files.git import open_commit
from bundler.sources.files.git_tar import keep_tree
from tests.support.charts.git_repositories import commit_files, git, new_repository
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.http import Server, serving
from tests.support.registries.static_site import static_site

FILES = {
    "README.md": b"at the top\n",
    "charts/web/Chart.yaml": b"apiVersion: v2\nname: web\nversion: 1.2.3\n",
    "charts/web/run.sh": b"#!/bin/sh\n",
    "charts/web/.gitattributes": b"* text eol=crlf export-ignore\n*.yaml export-subst\n",
    "charts/web/empty": b"",
    "charts/web/templates/" + "long-" * 30 + "name.yaml": b"$Format:%H$\n" * 1000,
    "charts/other/x": b"other\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "definitions" / "platform")


@pytest.fixture
def at(tmp_path: Path) -> SourceContext:
    (tmp_path / "definitions").mkdir(exist_ok=True)
    return context(client(), BlobCache(tmp_path / "cache"), tmp_path / "definitions")


def _seed(repository: Path) -> str:
    return commit_files(repository, FILES, executable=("charts/web/run.sh",))


def _kept(at: SourceContext, digest: str) -> bytes:
    return at.store.blob_path(digest).read_bytes()


def test_a_folder_is_a_tar_of_the_very_bytes(repository: Path, at: SourceContext) -> None:
    commit = open_commit(GitSource(repository="platform", commit=_seed(repository)), at)
    content = keep_tree(commit, "charts/web", "web/", at)
    data = _kept(at, content.digest)
    assert content.digest == digest_of(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        found = {m.name: (tar.extractfile(m) or io.BytesIO()).read() for m in members}
    expected = {
        f"web/{name.removeprefix('charts/web/')}": body
        for name, body in FILES.items()
        if name.startswith("charts/web/")
    }
    assert found == expected
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert {m.name for m in members if m.mode == 0o755} == {"web/run.sh"}
    assert not list(at.store.workspace("incoming").iterdir())


def test_the_tar_is_the_same_from_another_clone_and_place(
    repository: Path, at: SourceContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = _seed(repository)
    first = keep_tree(open_commit(GitSource(repository="platform", commit=commit), at), "", "", at)
    commit_files(repository, {"later": b"later\n"})
    git(repository, "clone", "--quiet", "--mirror", ".", str(tmp_path / "elsewhere.git"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".gitconfig").write_text(
        "[core]\n\tautocrlf = true\n[tar]\n\tumask = 0077\n[core]\n\tattributesFile = ~/x\n"
    )
    (tmp_path / "x").write_text("* ident eol=crlf text\n")
    other = context(client(), BlobCache(tmp_path / "second"), tmp_path / "definitions")
    source = GitSource(repository="../elsewhere.git", commit=commit)
    assert keep_tree(open_commit(source, other), "", "", other) == first


def test_a_file_is_copied_whole(repository: Path, at: SourceContext, tmp_path: Path) -> None:
    commit = open_commit(GitSource(repository="platform", commit=_seed(repository)), at)
    file = commit.file("charts/web/run.sh")
    with (tmp_path / "out").open("w+b") as out:
        commit.copy(file, out)
    assert (tmp_path / "out").read_bytes() == FILES["charts/web/run.sh"]
    assert file.size == len(FILES["charts/web/run.sh"])


@pytest.mark.parametrize(
    ("path", "found"),
    [("charts/web", "a folder"), ("charts/absent", "nothing"), ("charts/*/Chart.yaml", "nothing")],
)
def test_what_is_no_file_is_said(
    repository: Path, at: SourceContext, path: str, found: str
) -> None:
    commit = open_commit(GitSource(repository="platform", commit=_seed(repository)), at)
    with pytest.raises(DefinitionError, match=f"to be a file, found {found}"):
        commit.file(path)


def test_a_commit_is_fetched_once(repository: Path, at: SourceContext) -> None:
    source = GitSource(repository="platform", commit=_seed(repository))
    open_commit(source, at)
    repository.rename(repository.with_name("gone"))
    repository.mkdir()
    assert open_commit(source, at).file("README.md").size == len(FILES["README.md"])


def test_a_commit_that_is_not_there_is_refused(repository: Path, at: SourceContext) -> None:
    _seed(repository)
    with pytest.raises(ProgramError, match="0123456789"):
        open_commit(GitSource(repository="platform", commit="0123456789" * 4), at)
    assert not list(at.store.workspace("git").glob("*.git"))


def test_no_hook_or_command_of_the_repository_runs(
    repository: Path, at: SourceContext, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    git(repository, "config", "uploadpack.packObjectsHook", f"touch {mark}; cat >/dev/null")
    git(repository, "config", "filter.evil.smudge", f"touch {mark}; cat")
    commit = commit_files(repository, {".gitattributes": b"* filter=evil\n", "a": b"a\n"})
    for name in ("post-checkout", "reference-transaction", "pre-receive"):
        hook = repository / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
        hook.chmod(0o755)
    keep_tree(open_commit(GitSource(repository="platform", commit=commit), at), "", "", at)
    assert not mark.exists()


def test_a_submodule_is_refused_and_a_folder_beside_it_is_not(
    repository: Path, at: SourceContext, tmp_path: Path
) -> None:
    inner = new_repository(tmp_path / "inner")
    commit_files(inner, {"x": b"x\n"})
    git(repository, "submodule", "--quiet", "add", str(inner), "parts/inner")
    commit = open_commit(GitSource(repository="platform", commit=_seed(repository)), at)
    with pytest.raises(FormatError, match="parts/inner is a submodule"):
        keep_tree(commit, "", "", at)
    with pytest.raises(DefinitionError, match="found a submodule"):
        commit.file("parts/inner")
    assert keep_tree(commit, "charts/web", "", at).size


def test_a_pointer_of_git_lfs_is_refused(
    repository: Path, at: SourceContext, tmp_path: Path
) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    made = commit_files(repository, {"big.bin": pointer})
    commit = open_commit(GitSource(repository="platform", commit=made), at)
    with pytest.raises(FormatError, match=r"big\.bin is a Git LFS pointer"):
        keep_tree(commit, "", "", at)
    with (tmp_path / "out").open("w+b") as out, pytest.raises(FormatError, match="Git LFS"):
        commit.copy(commit.file("big.bin"), out)


@pytest.mark.parametrize("target", ["../../etc/passwd", "/etc/passwd", "../outside"])
def test_a_link_that_leaves_the_folder_is_refused(
    repository: Path, at: SourceContext, target: str
) -> None:
    (repository / "chart").mkdir()
    (repository / "chart" / "link").symlink_to(target)
    commit = open_commit(GitSource(repository="platform", commit=commit_files(repository, {})), at)
    with pytest.raises(FormatError, match="link is a link that leads out"):
        keep_tree(commit, "chart", "", at)


def test_a_link_within_the_folder_is_kept(repository: Path, at: SourceContext) -> None:
    (repository / "chart" / "sub").mkdir(parents=True)
    (repository / "chart" / "sub" / "link").symlink_to("../values.yaml")
    made = commit_files(repository, {"chart/values.yaml": b"a: 1\n"})
    commit = open_commit(GitSource(repository="platform", commit=made), at)
    data = _kept(at, keep_tree(commit, "chart", "", at).digest)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmember("sub/link").linkname == "../values.yaml"


def test_a_plain_web_server_is_enough(repository: Path, at: SourceContext, tmp_path: Path) -> None:
    commit = _seed(repository)
    with static_site(tmp_path / "site") as site:
        git(repository, "clone", "--quiet", "--mirror", ".", str(site.root / "platform.git"))
        git(site.root / "platform.git", "update-server-info")
        source = GitSource(repository=f"{site.url}/platform.git", commit=commit)
        check_git_source(source, "charts[0].git")
        assert open_commit(source, at).file("README.md").size == len(FILES["README.md"])
        missing = GitSource(repository=f"{site.url}/absent.git", commit=commit)
        with pytest.raises(ProgramError, match="git fetch of"):
            open_commit(missing, at)


def test_a_damaged_object_is_refused(repository: Path, at: SourceContext) -> None:
    tree = git(repository, "hash-object", "-t", "tree", "-w", "--literally", os.devnull)
    raw = f"tree {tree}\nauthor nobody\n\nno address, no date\n"
    (repository / "raw").write_text(raw)
    commit = git(repository, "hash-object", "-t", "commit", "-w", "--literally", "raw")
    git(repository, "update-ref", "refs/heads/bad", commit)
    with pytest.raises(ProgramError, match=r"fsck|missing"):
        open_commit(GitSource(repository="platform", commit=commit), at)


@pytest.mark.parametrize(
    "repository",
    [
        "/srv/git/x",
        "file:///srv/x",
        "ext::sh -c touch% /tmp/x",
        "git@host:x",
        "host:x",
        "--upload-pack=x",
        "~/x",
        "a/../b",
        "a//b",
        "https://user:secret@host.example.org/x",
        "https://host.example.org/x?token=1",
        "https://-oProxyCommand=x/y",
        "ssh://-oProxyCommand=x/y",
        "ssh://ada@host.example.org/x",
        "git://host.example.org/x",
        "https://host.example.org",
        "https://host.example.org/a b",
        "a\nb",
    ],
)
def test_addresses_that_are_refused(repository: str) -> None:
    with pytest.raises(IsowardError, match=r"charts\[0\]\.git\.repository"):
        check_git_source(GitSource(repository=repository, commit="0" * 40), "charts[0].git")


@pytest.mark.parametrize(
    ("repository", "host"),
    [
        ("https://host.example.org:8443/a/b.git", "host.example.org:8443"),
        ("ssh://git@host.example.org/a/b", "host.example.org"),
        ("ssh://host.example.org:22/a", "host.example.org:22"),
        (".", None),
        ("..", None),
        ("../platform", None),
        ("../../platform.git", None),
        ("vendor/platform", None),
    ],
)
def test_addresses_that_are_taken(repository: str, host: str | None) -> None:
    check_git_source(GitSource(repository=repository, commit="0" * 40), "git")
    assert git_host(repository) == host


COMMIT = "0123456789" * 4


def _line(data: bytes) -> bytes:
    return f"{len(data) + 4:04x}".encode() + data


class _Talkative(BaseHTTPRequestHandler):
    """A Git server that has messages for a person, and never a commit."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        able = b"side-band-64k shallow allow-any-sha1-in-want"
        listed = _line(f"{COMMIT} refs/heads/main\0".encode() + able + b"\n")
        body = _line(b"# service=git-upload-pack\n") + b"0000" + listed + b"0000"
        self._begin("advertisement")
        self.wfile.write(body)
        self.close_connection = True

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        shallow = _line(f"shallow {COMMIT}".encode()) + b"0000" if b"deepen" in asked else b""
        self._begin("result")
        with suppress(OSError):
            self.wfile.write(shallow + _line(b"NAK\n"))
            while True:
                self.wfile.write(_line(b"\x02" + b"please wait\n" * 5000))
        self.close_connection = True

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the terminal clean."""


def test_messages_without_end_are_ended(at: SourceContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MAX_PROGRAM_BYTES", 1_000_000)
    with serving(Server(_Talkative)) as port:
        source = GitSource(repository=f"http://127.0.0.1:{port}/x.git", commit=COMMIT)
        with pytest.raises(ProgramError, match="at most 1000000 bytes of output"):
            open_commit(source, at)
