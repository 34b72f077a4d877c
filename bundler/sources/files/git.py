"""Git repositories: the files of one commit, by the machine's own git.

The commit, and nothing else, is fetched into a bare repository of our own in the cache. Nothing of
the other repository's runs: no hooks, no filters, no submodules. The user's own configuration of
git holds, for it says how to reach and to log in to hosts; prompts and redirects do not.

Source: git-config(1), `protocol.allow`, `fetch.fsckObjects`; gitprotocol-capabilities(5).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import DefinitionError, FormatError, ProgramError
from bundle.base.limits import (
    MAX_GIT_FILES,
    MAX_GIT_LISTING_BYTES,
    MAX_GIT_PACK_BYTES,
    MAX_GIT_TREE_BYTES,
    MIN_BYTES_PER_SECOND,
    TRANSFER_GRACE_SECONDS,
)
from bundle.kinds.git import GitSource, git_host
from bundle.store.atomic import fsync_directory, storage_errors
from bundle.store.programs import Bounds, Finished, Streams, require_success
from bundler.sources.common.context import SourceContext

PLAIN: Final = 0o100644
EXECUTABLE: Final = 0o100755
LINK: Final = 0o120000
_FOLDER: Final = 0o040000
_SUBMODULE: Final = 0o160000
_OLD_PLAIN: Final = 0o100664
"""Written by git of long ago; it means a plain file."""

_FETCH_SECONDS: Final = 3600.0
_LFS: Final = b"version https://git-lfs.github.com/spec/"
_MAX_LFS_BYTES: Final = 1024
"""A pointer is smaller than this, Git LFS specification, "The Pointer"."""

_PROTOCOLS: Final = {
    "file": ("file",),
    "http": ("http", "https"),
    "https": ("https", "ssh"),
    "ssh": ("https", "ssh"),
}
"""What git may speak for an address: the user's `url.insteadOf` may prefer ssh to https."""

_ATTRIBUTES: Final = (
    "* -export-ignore -export-subst -text -crlf -eol -ident -filter -working-tree-encoding\n"
)
"""What a tree's own attributes would change on the way out; info/attributes has the last word."""


@dataclass(frozen=True, slots=True)
class GitFile:
    """A file of a tree.

    Attributes:
        path: Relative to the tree that was asked for, with `/`.
        mode: PLAIN, EXECUTABLE or LINK.
        id: Git's name of its content.
        size: In bytes.
    """

    path: str
    mode: int
    id: str
    size: int


class GitCommitReader:
    """Reads the files of one commit that was fetched; made by `open_commit`."""

    def __init__(self, source: GitSource, repository: Path, context: SourceContext) -> None:
        """Read from our own bare repository."""
        self.source = source
        self._repository = repository
        self._context = context

    @property
    def name(self) -> str:
        """The repository and the commit, for messages."""
        return f"{self.source.repository}@{self.source.commit[:12]}"

    def files(self, path: str = "") -> tuple[GitFile, ...]:
        """Return the files below a folder, in Git's order; paths are relative to the folder.

        Args:
            path: A checked inner path; empty for the whole tree.
        Raises:
            DefinitionError: There is no such folder.
            FormatError: It has a submodule, or more than can be carried.
        """
        if path:
            self._expect(path, "a folder")
        listed = self._list("-r", self._treeish(path))
        if len(listed) > MAX_GIT_FILES or sum(f.size for f in listed) > MAX_GIT_TREE_BYTES:
            raise FormatError(
                f"{self.name}: {path or 'its tree'} has more than {MAX_GIT_FILES} files or "
                f"{MAX_GIT_TREE_BYTES} bytes",
                "Name a folder within it.",
            )
        for file in listed:
            self._refuse_submodule(path, file)
        return tuple(listed)

    def file(self, path: str) -> GitFile:
        """Return one file.

        Raises:
            DefinitionError: There is no such file, or it is a folder or a link.
        """
        return self._expect(path, "a file")

    def copy(self, file: GitFile, target: BinaryIO) -> None:
        """Write the content of a file to a real file.

        Raises:
            FormatError: It is a pointer of Git LFS, whose content is elsewhere.
        """
        self._git("cat-file", "blob", file.id, into=target)
        target.flush()
        if file.size < _MAX_LFS_BYTES:
            self.check_content(file, os.pread(target.fileno(), _MAX_LFS_BYTES, 0))

    def check_content(self, file: GitFile, begin: bytes) -> None:
        """Refuse a pointer of Git LFS.

        Args:
            file: Whose content it is.
            begin: Its first bytes; of a small file all.
        """
        if file.size < _MAX_LFS_BYTES and begin.startswith(_LFS):
            raise FormatError(
                f"{self.name}: {file.path} is a Git LFS pointer, not the file itself",
                "List it under files: with its URL, or store the file itself in Git.",
            )

    def archive(self, path: str, target: BinaryIO) -> None:
        """Write git's own tar of a folder, whose times and owners depend on the machine."""
        self._git("archive", "--format=tar", self._treeish(path), into=target)

    def _treeish(self, path: str) -> str:
        return f"{self.source.commit}:{path}" if path else f"{self.source.commit}^{{tree}}"

    def _expect(self, path: str, what: str) -> GitFile:
        """Return the entry at a path, which must be of a kind."""
        found = self._list("--full-tree", self.source.commit, "--", path)
        entry = found[0] if len(found) == 1 and found[0].path == path else None
        is_now = "nothing" if entry is None else _KINDS.get(entry.mode, "a submodule")
        if entry is None or is_now != what:
            raise DefinitionError(
                f"{self.name}: expected {path!r} to be {what}, found {is_now}",
                "Correct the path or the commit; for what is in a submodule, name its own "
                "repository.",
            )
        return entry

    def _refuse_submodule(self, folder: str, file: GitFile) -> None:
        if file.mode == _SUBMODULE:
            inside = f"{folder}/{file.path}" if folder else file.path
            raise FormatError(
                f"{self.name}: {inside} is a submodule, which is not fetched",
                "Name the submodule's own repository, or a folder without it.",
            )

    def _list(self, *arguments: str) -> list[GitFile]:
        """Return what `git ls-tree -l` lists."""
        with (
            storage_errors("list a Git tree"),
            tempfile.TemporaryFile(dir=self._repository) as listing,
        ):
            self._git("ls-tree", "-l", "-z", *arguments, into=listing)
            listing.seek(0)
            data = listing.read(MAX_GIT_LISTING_BYTES + 1)
        if len(data) > MAX_GIT_LISTING_BYTES:
            raise FormatError(
                f"{self.name}: the list of its files has more than {MAX_GIT_LISTING_BYTES} bytes",
                "Name a folder within it.",
            )
        return [_entry(line, self.name) for line in data.split(b"\0") if line]

    def _git(self, *arguments: str, into: BinaryIO) -> None:
        done = run_git(self._context, self._repository, *arguments, into=into)
        require_success(done, f"git {arguments[0]} of {self.name}", "Remove it from the cache.")


_KINDS: Final = {
    PLAIN: "a file",
    EXECUTABLE: "a file",
    LINK: "a symbolic link",
    _FOLDER: "a folder",
}


def _entry(line: bytes, where: str) -> GitFile:
    """Parse a line of `git ls-tree -l -z`: mode, type, id, size, a tab and the path."""
    head, _, path = line.partition(b"\t")
    mode, _, id_, size = head.split()
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text or "\\" in text:
        raise FormatError(
            f"{where}: unsupported file name: {path[:200]!r}",
            "Names must be UTF-8, without control characters or backslashes.",
        )
    kind = PLAIN if int(mode, 8) == _OLD_PLAIN else int(mode, 8)
    return GitFile(text, kind, id_.decode("ascii"), 0 if size == b"-" else int(size))


def open_commit(source: GitSource, context: SourceContext) -> GitCommitReader:
    """Fetch a commit into the cache, unless it is there.

    Args:
        source: Checked; a relative repository is from the context's folder.
        context: What sources work with.
    Raises:
        ProgramError: git failed: no such repository or commit, no access, or a malformed object.
        MissingProgramError: There is no git.
        StorageError: The disk refused.
    """
    host = git_host(source.repository)
    address = source.repository
    if host is None:
        folder = (context.folder / source.repository).resolve()
        if not folder.is_dir():
            raise DefinitionError(
                f"git repository {source.repository!r}: no such folder next to the document",
                "Paths are relative to the definition's or the lock's folder.",
            )
        address = folder.as_uri()
    base = context.store.workspace("git")
    name = hex_of(digest_of(f"{address}\n{source.commit}".encode()))
    final = base / f"{name}.git"
    with storage_errors(f"fetch into {base}"), _alone(base / f"{name}.lock"):
        if not final.is_dir():
            partial = base / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            _fetch(source, address, partial, context)
            partial.replace(final)
            fsync_directory(base)
    return GitCommitReader(source, final, context)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one thread or process at a time in; another one waits."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fetch(source: GitSource, address: str, target: Path, context: SourceContext) -> None:
    """Make a bare repository of ours that has the commit."""
    target.mkdir()
    form = ("--object-format=sha1", "--initial-branch=main", "--template=")
    made = run_git(context, target, "init", "--bare", "--quiet", *form)
    require_success(made, "git init", "Check the cache's folder.")
    (target / "info").mkdir(exist_ok=True)
    (target / "info" / "attributes").write_text(_ATTRIBUTES, encoding="ascii")
    fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
    protocols = _PROTOCOLS[address.partition("://")[0]]
    asked = (address, source.commit)
    context.progress.note(f"fetching {source.commit[:12]} of {source.repository}")
    done = run_git(context, target, *fetch, "--depth=1", "--", *asked, over=protocols)
    if done.code != 0 and b"not our ref" in done.errors:
        _require_fetched(done, source)
    elif done.code != 0:
        # Servers may refuse to send a lone commit, and plain web servers cannot.
        everything = (address, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        whole = run_git(context, target, *fetch, "--", *everything, over=protocols)
        _require_fetched(whole, source)
    have = run_git(context, target, "cat-file", "-t", source.commit)
    if have.code != 0 or have.output.strip() != b"commit":
        raise ProgramError(
            f"{source.repository}: expected the commit {source.commit}, found no such commit",
            "Correct the commit; it must be reachable from a branch or a tag.",
        )


def _require_fetched(done: Finished, source: GitSource) -> None:
    require_success(
        done,
        f"git fetch of {source.commit} from {source.repository}",
        "Check the address, the commit and your access with `git ls-remote`. Redirects are not "
        "followed and passwords are not prompted for: use a credential helper or an ssh agent.",
    )


def run_git(
    context: SourceContext,
    folder: Path,
    *arguments: str,
    into: BinaryIO | None = None,
    over: tuple[str, ...] = (),
) -> Finished:
    """Run git on a bare repository of ours.

    Args:
        context: Has the runner.
        folder: The repository.
        arguments: Of git.
        into: Where its output goes.
        over: The protocols that it may fetch over; without one it fetches nothing. A fetch may
            take its time.
    """
    wanted = (
        "core.hooksPath=/dev/null",
        "core.askPass=",
        "core.fsmonitor=false",
        "core.attributesFile=/dev/null",
        "fetch.fsckObjects=true",
        "transfer.fsckObjects=true",
        "fetch.writeCommitGraph=false",
        "http.followRedirects=false",
        f"http.lowSpeedLimit={MIN_BYTES_PER_SECOND}",
        f"http.lowSpeedTime={TRANSFER_GRACE_SECONDS:.0f}",
        "gc.auto=0",
        "maintenance.auto=false",
        "protocol.allow=never",
        *(f"protocol.{protocol}.allow=always" for protocol in over),
    )
    options = [part for setting in wanted for part in ("-c", setting)]
    command = ["git", *options, f"--git-dir={folder}", *arguments]
    bounds = Bounds(_FETCH_SECONDS, MAX_GIT_PACK_BYTES) if over else Bounds(_FETCH_SECONDS / 6)
    return context.run(
        command,
        folder=folder,
        environment=_environment(),
        streams=Streams(into=into),
        bounds=bounds,
    )


def _environment() -> Mapping[str, str]:
    """Take away what would lead git elsewhere, and all that could ask a person."""
    cleaned = {name: "" for name in os.environ if name.startswith("GIT_")}
    return {
        **cleaned,
        "SSH_ASKPASS": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ATTR_NOSYSTEM": "1",
    }
