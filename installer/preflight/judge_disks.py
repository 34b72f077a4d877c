"""Judging the file systems: space, files, speed, and whether they can be used as they must be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.facts import Place
from installer.preflight.situation import Judgement, Subject, shown
from installer.site.document import Node

ETCD: Final = "/var/lib/etcd"
_GIB: Final = 1024**3
_ROLES: Final = {
    "/var/lib/containerd": (("control-plane", "worker"), 5.0, 20.0),
    "/var/lib/kubelet": (("control-plane", "worker"), 1.0, 5.0),
    ETCD: (("etcd",), 2.0, 8.0),
    "/tmp/releases": (("control-plane", "worker", "etcd"), 1.0, 2.0),  # noqa: S108 - Kubespray's
}
"""By folder: who has it, and how many GiB it needs at least, and comfortably."""
_WRITTEN: Final = ("/", "/etc", "/usr", "/usr/local/bin", "/opt", "/var/lib", "/var/log")
"""Folders that an installation writes to, besides."""
_EXECUTED: Final = ("/usr/local/bin", "/opt", "/var/lib")
"""Folders from which it, or what it installs, runs programs."""
_TMP: Final = "/tmp"  # noqa: S108 - as above
_FILES_LEAST: Final = 10_000
_FILES_ENOUGH: Final = 100_000
_SYNC_GOOD_MS: Final = 10.0
"""etcd, "Hardware recommendations": 99 of 100 are to be faster."""
_SYNC_LEAST_MS: Final = 100.0
"""etcd's heartbeat interval: a leader that writes more slowly than this loses its followers."""


def places_of(node: Node) -> list[str]:
    """Return the folders whose file systems matter on a node."""
    return sorted({*_homes(node), *_WRITTEN, *_EXECUTED, _TMP})


def _homes(node: Node) -> list[str]:
    return [path for path, (roles, _, _) in _ROLES.items() if {*roles} & {*node.roles}]


def judge_space(subject: Subject) -> Finding:
    """Judge the free space of each file system by all that will lie on it."""
    needs: dict[int, list[str]] = {}
    for path, place in _places(subject, _homes(subject.node)):
        needs.setdefault(place.device, []).append(path)
    problems, low, room = [], [], []
    for device, paths in needs.items():
        free = next(p.free for path, p in _places(subject, paths) if p.device == device) / _GIB
        least = sum(_ROLES[path][1] for path in paths)
        enough = sum(_ROLES[path][2] for path in paths)
        where = " and ".join(paths)
        text = f"{free:.1f} GiB for {where}"
        room.append(text)
        if free < least:
            problems.append(f"{text}, needed {least:.0f}")
        elif free < enough:
            low.append(f"{text}, better {enough:.0f}")
    expected = "room for images, etcd, logs and downloads"
    advice = "Free or add disk space, or mount a larger disk there."
    if problems:
        return fail(expected, "; ".join(problems), advice)
    return warn(expected, "; ".join(low), advice) if low else ok(expected, "; ".join(room))


def judge_files(subject: Subject) -> Finding:
    """Judge how many more files each file system takes."""
    expected = f"room for {_FILES_ENOUGH} more files"
    # Some file systems have no such limit, and say that they have none.
    limited = [(path, p) for path, p in _places(subject, _homes(subject.node)) if p.files]
    fewest = min(limited, key=lambda each: each[1].files_free, default=None)
    if fewest is None or fewest[1].files_free >= _FILES_ENOUGH:
        return ok(expected, str(fewest[1].files_free) if fewest else "no limit")
    found = f"{fewest[1].files_free} in {fewest[0]}"
    advice = "Remove files there, or make the file system with more inodes."
    return (warn if fewest[1].files_free >= _FILES_LEAST else fail)(expected, found, advice)


def judge_speed(subject: Subject) -> Finding | None:
    """Judge how fast etcd's disk takes a write."""
    disks = subject.facts.disks
    if disks is None or disks.sync is None:
        return None
    expected = f"99 of 100 synchronous writes within {_SYNC_GOOD_MS:.0f} ms"
    found = f"{disks.sync.slow_ms:.1f} ms in {shown(disks.sync.at)} ({disks.sync.writes} writes)"
    if disks.sync.slow_ms <= _SYNC_GOOD_MS:
        return ok(expected, found)
    advice = "Give etcd a solid-state disk of its own, mounted at /var/lib/etcd."
    return (warn if disks.sync.slow_ms <= _SYNC_LEAST_MS else fail)(expected, found, advice)


def judge_read_only(subject: Subject) -> Finding:
    """Judge whether all can be written that must be."""
    expected = "file systems that can be written"
    wanted = [*_homes(subject.node), *_WRITTEN]
    wrong = sorted({path for path, place in _places(subject, wanted) if place.read_only})
    if not wrong:
        return ok(expected, "all")
    return fail(
        expected,
        f"read-only: {', '.join(wrong)}",
        "Mount them for writing; a disk that failed becomes read-only by itself, see `dmesg`.",
    )


def judge_no_exec(subject: Subject) -> Finding:
    """Judge whether programs may run where they will lie."""
    expected = f"programs may run in {', '.join(_EXECUTED)} and {_TMP}"
    places = dict(_places(subject, (*_EXECUTED, _TMP)))
    wrong = sorted(path for path, place in places.items() if place.no_exec)
    if not wrong:
        return ok(expected, "they may")
    if wrong == [_TMP]:
        return warn(
            expected,
            f"noexec: {_TMP}",
            "The installation itself runs nothing there; what unpacks itself to /tmp would fail.",
        )
    return fail(expected, f"noexec: {', '.join(wrong)}", "Mount them without noexec.")


def _places(subject: Subject, paths: list[str] | tuple[str, ...]) -> Iterator[tuple[str, Place]]:
    disks = subject.facts.disks
    for path in paths:
        if disks is not None and path in disks.places:
            yield path, disks.places[path]


JUDGEMENTS: Final = (
    Judgement("disk", "Is there space?", "disks", judge_space),
    Judgement("inodes", "Is there room for files?", "disks", judge_files),
    Judgement("disk-speed", "Is etcd's disk fast enough?", "disks", judge_speed),
    Judgement("read-only", "Can it be written where it must be?", "disks", judge_read_only),
    Judgement("noexec", "May programs run where they will lie?", "disks", judge_no_exec),
)
