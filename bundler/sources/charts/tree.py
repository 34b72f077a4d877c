"""The files of a chart's folder, on this machine or in a Git commit, as they are to be packed."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundle.base.errors import DefinitionError, FormatError
from bundle.base.limits import MAX_CHART_BYTES, MAX_CHART_DEPTH, MAX_CHART_MEMBERS
from bundle.base.paths import is_inner_path
from bundle.kinds.git import GitSource
from bundle.store.atomic import storage_errors
from bundler.sources.charts import helmignore
from bundler.sources.charts.helmignore import IgnoreRules
from bundler.sources.common.context import SourceContext
from bundler.sources.files.git import open_commit
from bundler.sources.files.git_tar import write_tree
from bundler.sources.files.local import below

_MAX_LINKS: Final = 8
"""Links to links to links."""


@dataclass(frozen=True, slots=True)
class _Link:
    """A symbolic link, as it is written."""

    target: str


Entries = dict[str, bytes | _Link]


@dataclass(frozen=True, slots=True)
class ChartFolder:
    """Where a chart's folder is.

    Attributes:
        path: Inner path below the definition's folder, or within the Git tree; may be empty.
        git: The commit, if it is in Git.
    """

    path: str
    git: GitSource | None

    @property
    def name(self) -> str:
        """The folder, for messages."""
        if self.git is None:
            return self.path
        return f"{self.git.repository}@{self.git.commit[:12]}:{self.path}"

    def sibling(self, relative: str) -> ChartFolder | None:
        """Return the folder that `file://` names; None when it leads out of what may be read."""
        path = posixpath.normpath(posixpath.join(self.path, relative))
        if relative.startswith("/") or not is_inner_path(path):
            return None
        return ChartFolder(path, self.git)


def read_folder(folder: ChartFolder, context: SourceContext) -> dict[str, bytes]:
    """Return the files of a chart by inner path, without what its .helmignore leaves out.

    Raises:
        DefinitionError: There is no such folder, or it holds no chart.
        FormatError: It holds a link that leads out, a device, a name that cannot be carried, or
            more than a chart may.
        ProgramError: git failed.
        StorageError: A blob cannot be read.
    """
    entries = (
        _from_disk(folder, below(context.folder, folder.path, folder.name, "folder"))
        if folder.git is None
        else _from_git(folder, folder.git, context)
    )
    files = {path: _content(folder, entries, path) for path in sorted(entries)}
    if "Chart.yaml" not in files:
        raise DefinitionError(
            f"{folder.name}: expected a chart, found no Chart.yaml", "Correct the path."
        )
    return files


def _from_disk(folder: ChartFolder, top: Path) -> Entries:
    with storage_errors(f"read {folder.name}"):
        if not top.is_dir():
            raise DefinitionError(
                f"{folder.name}: no such folder next to the document",
                "Paths are relative to the definition's or the lock's folder.",
            )
        ignored = top / helmignore.NAME
        text = _text(_regular(ignored, folder)) if ignored.is_file() else ""
        rules = IgnoreRules(text, folder.name)
        entries: Entries = {}
        budget = _Budget(folder)
        for path, place in _walk(folder, top, "", rules):
            _check_name(folder, path)
            entry: bytes | _Link = (
                _Link(str(place.readlink())) if place.is_symlink() else _regular(place, folder)
            )
            budget.take(len(entry) if isinstance(entry, bytes) else 0)
            entries[path] = entry
    return entries


def _walk(
    folder: ChartFolder, place: Path, inside: str, rules: IgnoreRules
) -> Iterator[tuple[str, Path]]:
    """Yield what is not left out and is no folder; folders that are left out are not entered."""
    if inside.count("/") > MAX_CHART_DEPTH:
        raise _refuse(folder, inside, f"it is nested deeper than {MAX_CHART_DEPTH} folders")
    for child in sorted(place.iterdir()):
        path = f"{inside}{child.name}"
        is_folder = child.is_dir() and not child.is_symlink()
        if rules.leaves_out(path, folder=child.is_dir()):
            continue
        if is_folder:
            yield from _walk(folder, child, f"{path}/", rules)
        else:
            yield path, child


def _regular(place: Path, folder: ChartFolder) -> bytes:
    """Read a file; what is a device or a pipe would never end, or act."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _refuse(folder, place.name, "it is neither a file nor a folder")
        return file.read(MAX_CHART_BYTES + 1)


def _from_git(folder: ChartFolder, git: GitSource, context: SourceContext) -> Entries:
    commit = open_commit(git, context)
    budget = _Budget(folder)
    for file in commit.files(folder.path):
        budget.take(file.size)
    packed = io.BytesIO()
    write_tree(commit, folder.path, "", target=packed, context=context)
    packed.seek(0)
    entries: Entries = {}
    with tarfile.open(fileobj=packed, mode="r:") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            entries[member.name] = content.read() if content else _Link(member.linkname)
    ignored = entries.get(helmignore.NAME, b"")
    rules = IgnoreRules(_text(ignored) if isinstance(ignored, bytes) else "", folder.name)
    return {path: entries[path] for path in rules.kept(entries)}


def _content(folder: ChartFolder, entries: Mapping[str, bytes | _Link], path: str) -> bytes:
    """Return a file's content, through links that stay within the chart."""
    at = path
    for _ in range(_MAX_LINKS):
        entry = entries.get(at)
        if isinstance(entry, bytes):
            return entry
        if entry is None:
            break
        at = posixpath.normpath(posixpath.join(posixpath.dirname(at), entry.target))
        if entry.target.startswith("/") or not is_inner_path(at):
            raise _refuse(folder, path, f"it is a link that leads out ({entry.target[:200]!r})")
    raise _refuse(folder, path, "it is a link that does not lead to a file of the chart")


class _Budget:
    """How much a chart may hold."""

    def __init__(self, folder: ChartFolder) -> None:
        self._folder = folder
        self._files = 0
        self._bytes = 0

    def take(self, size: int) -> None:
        self._files += 1
        self._bytes += size
        if self._files > MAX_CHART_MEMBERS or self._bytes > MAX_CHART_BYTES:
            raise FormatError(
                f"{self._folder.name}: expected a chart of at most {MAX_CHART_MEMBERS} files and "
                f"{MAX_CHART_BYTES} bytes, found more",
                "Is it the right folder? List files that are not part of the chart in .helmignore.",
            )


def _check_name(folder: ChartFolder, path: str) -> None:
    if not is_inner_path(path):
        raise _refuse(folder, path, "its name is not supported")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _refuse(folder: ChartFolder, path: str, why: str) -> FormatError:
    return FormatError(
        f"{folder.name}: {path[:200]!r} cannot be packed: {why}",
        "Put a copy in its place, or name it in .helmignore.",
    )
