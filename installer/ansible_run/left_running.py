"""Programs that a killed installer left running: two at once would destroy a cluster.

Everything that a run starts carries the run's folder in its environment, so what is of an earlier
run of the same site is known beyond doubt, whatever its process number was given to since.
"""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from bundle.base.errors import InstallError
from bundle.base.progress import Progress

MARKER: Final = "ISOWARD_RUN"
"""In the environment of Ansible and of all that it starts: the folder of the run."""

_PROCESSES: Final = Path("/proc")
_RUN: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-(.+)")
_SIGNALS: Final = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0), (signal.SIGKILL, 10.0))
"""In turn, each with the seconds in which a program has to end by it."""


def end_leftovers(run: Path, site: str, progress: Progress) -> int:
    """End what earlier runs of a site left running on this machine; return how many there were.

    It may be called only while this process holds the site for itself.

    Args:
        run: The folder of this run.
        site: The site's name.
        progress: Told when there are some.
    Raises:
        InstallError: One does not end.
    """

    def is_earlier(folder: Path) -> bool:
        # A step may have a folder of its own below that of the run.
        runs = (path for path in (folder, *folder.parents) if path.parent == run.parent)
        return any(path != run and is_run_of(path, site) for path in runs)

    count = _end_all(is_earlier)
    if count:
        progress.note(f"ended {count} programs that an earlier run of {site} left running here")
    return count


def end_run(folder: Path) -> None:
    """End what this process itself has started for a run.

    Raises:
        InstallError: One does not end.
    """
    _end_all(lambda found: found == folder)


def _end_all(is_meant: Callable[[Path], bool]) -> int:
    """End all programs of some runs, also those that they start meanwhile; return how many."""
    ended: set[int] = set()
    for number, seconds in _SIGNALS:
        found = dict(_running(is_meant))
        try:
            ended |= found.keys()
            for descriptor in found.values():
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)
            _wait_for(list(found.values()), seconds)
        finally:
            for descriptor in found.values():
                os.close(descriptor)
    left = dict(_running(is_meant))
    for descriptor in left.values():
        os.close(descriptor)
    if left:
        raise InstallError(
            f"expected the programs of an earlier run to end, found {sorted(left)} still running",
            "Inspect them with ps; then run the same command again.",
        )
    return len(ended)


def _running(is_meant: Callable[[Path], bool]) -> Iterator[tuple[int, int]]:
    """Yield processes of runs, each with a descriptor that no other process can get."""
    for entry in _PROCESSES.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        if not _is_of(entry, is_meant):
            continue
        try:
            descriptor = os.pidfd_open(int(entry.name))
        except OSError:
            continue
        # Only now is it sure that the number is still that process's.
        if _is_of(entry, is_meant):
            yield int(entry.name), descriptor
        else:
            os.close(descriptor)


def _is_of(process: Path, is_meant: Callable[[Path], bool]) -> bool:
    try:
        environment = (process / "environ").read_bytes()
    except OSError:
        return False
    for variable in environment.split(b"\0"):
        name, _, value = variable.partition(b"=")
        if name == MARKER.encode():
            return is_meant(Path(os.fsdecode(value)))
    return False


def is_run_of(folder: Path, site: str) -> bool:
    """Say whether a folder is that of a run of a site."""
    named = _RUN.fullmatch(folder.name)
    if named is None:
        return False
    name = named[1]
    if name == site:
        return True
    # The second run of a second has a number at its end, and so may the name of another site.
    other = folder.parent.parent / "sites" / name
    return re.fullmatch(rf"{re.escape(site)}-[0-9]+", name) is not None and not other.exists()


def _wait_for(descriptors: list[int], seconds: float) -> None:
    """Wait for processes, up to so many seconds for the first that does not end."""
    for descriptor in descriptors:
        readable, _, _ = select.select([descriptor], [], [], seconds)
        if not readable:
            return
