"""A disk that loses power: after the n-th call nothing is written any more.

What a file system may do then is played through as well: content that was not synced is gone, and
a rename or a new folder in a directory that was not synced has happened or has not. That holds
after the last call, too: what was reported as done must last.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

Renames = Literal["kept", "undone"]


class PowerCutError(BaseException):
    """No cleaning up: whatever is tried after the cut fails too."""


@dataclass
class _Renamed:
    source: Path
    target: Path
    before: bytes | None


@dataclass
class Disk:
    """Counts the calls that change files below `root`, and cuts the power at one of them.

    Attributes:
        root: Only what lies below it counts.
        cut_at: The number of the call that fails, from 1 on; 0 for never.
        calls: How many there were.
    """

    root: Path
    cut_at: int = 0
    calls: int = 0
    _dirty: set[Path] = field(default_factory=set)
    _renamed: list[_Renamed] = field(default_factory=list)
    _made: list[Path] = field(default_factory=list)

    def step(self) -> None:
        self.calls += 1
        if self.cut_at and self.calls >= self.cut_at:
            raise PowerCutError

    def is_ours(self, path: Any) -> bool:
        return isinstance(path, str | os.PathLike) and Path(path).is_relative_to(self.root)

    def opened(self, path: Path, flags: int) -> None:
        if flags & (os.O_WRONLY | os.O_RDWR) and path.name != ".lock":
            self.step()
            self._dirty.add(path)

    def synced(self, path: Path) -> None:
        self.step()
        if path.is_dir():
            self._renamed = [r for r in self._renamed if r.target.parent != path]
            self._made = [made for made in self._made if made.parent != path]
        self._dirty.discard(path)

    def renaming(self, source: Path, target: Path) -> None:
        self.step()
        before = target.read_bytes() if target.is_file() else None
        self._renamed.append(_Renamed(source, target, before))
        if source in self._dirty:
            self._dirty.remove(source)
            self._dirty.add(target)

    def making(self, path: Path) -> None:
        if not path.exists():
            self.step()
            self._made.append(path)

    def reboot(self, renames: Renames) -> None:
        """Leave what the disk may hold when the power is back."""
        if renames == "undone":
            for renamed in reversed(self._renamed):
                if renamed.target.exists():
                    renamed.target.rename(renamed.source)
                if renamed.before is not None:
                    renamed.target.write_bytes(renamed.before)
            for made in reversed(self._made):
                shutil.rmtree(made, ignore_errors=True)
        for path in self._dirty:
            if path.is_file():
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


class _Calls:
    """The calls of `os` that a disk watches, each with what it does in the end."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._real: dict[str, Callable[..., Any]] = {
            name: getattr(os, name)
            for name in ("open", "fsync", "replace", "rename", "unlink", "mkdir", "link")
        }

    def open(self, path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if self._disk.is_ours(path):
            self._disk.opened(Path(path), flags)
        return int(self._real["open"](path, flags, *rest, **named))

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if self._disk.is_ours(path):
            self._disk.synced(path)
        self._real["fsync"](descriptor)

    def replace(self, source: Any, target: Any, **named: Any) -> None:
        if self._disk.is_ours(target):
            self._disk.renaming(Path(source), Path(target))
        self._real["replace"](source, target, **named)

    rename = replace

    def link(self, source: Any, target: Any, **named: Any) -> None:
        if self._disk.is_ours(target):
            self._disk.step()
        self._real["link"](source, target, **named)

    def unlink(self, path: Any, **named: Any) -> None:
        if self._disk.is_ours(path):
            self._disk.step()
        self._real["unlink"](path, **named)

    def mkdir(self, path: Any, *rest: Any, **named: Any) -> None:
        if self._disk.is_ours(path):
            self._disk.making(Path(path))
        self._real["mkdir"](path, *rest, **named)


@contextmanager
def on_disk(disk: Disk) -> Iterator[None]:
    """Run the block on `disk`."""
    calls = _Calls(disk)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "fsync", "replace", "rename", "unlink", "mkdir", "link"):
            patch.setattr(os, name, getattr(calls, name))
        yield


def calls_of(root: Path, work: Callable[[], object]) -> int:
    """Count the calls that `work` needs."""
    disk = Disk(root)
    with on_disk(disk):
        work()
    return disk.calls


def cut(root: Path, at: int, renames: Renames, work: Callable[[], object]) -> bool:
    """Run `work`, cut the power at a call or after the last, reboot; say whether `work` ended."""
    disk = Disk(root, at)
    ended = False
    with contextlib.suppress(PowerCutError), on_disk(disk):
        work()
        ended = True
    disk.reboot(renames)
    return ended
