"""How long others wait for the depot while a crowd of clients does nothing."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from bench.measure import MIB
from bench.report import Section, Stamp, table
from tests.support.depot.idle_clients import Crowd, Waited, wait_in
from tests.support.depot.imported import change_lock, import_now, serving, signed_bundle
from tests.support.documents.content import Maker, sample
from tests.support.trust.release_kit import enrolled, make_release
from tests.support.trust.signature_rules import waive_all

_GOAL_SECONDS = 1.0
_ASKS = 60
_LARGE = 16 * MIB
"""More than the kernel keeps for a connection, so that a client that reads nothing stalls."""
_PATH = "/files/example.org/large.bin"
_FILES = 4
"""Open files that a connection takes here, at most."""

_TEXT = """\
`isoward serve` as it is, on loopback. Idle clients shake hands and ask for nothing; stalled ones
ask for {size} MiB and read nothing of it. Then {asks} requests of others, each on a connection of
its own: TCP, TLS and the answer.

{table}

{stamp}
"""


def crowd(work: Path, stamp: Stamp, idle: int, stalled: int) -> Section:
    """Measure what others wait, alone and among a crowd.

    Raises:
        SystemExit: This machine does not allow so many open files.
    """
    _allow_files((idle + stalled) * _FILES)
    depot = _depot(work)
    rows, missed = [], []
    for here in (Crowd(0, 0, _ASKS), Crowd(idle, 0, _ASKS), Crowd(idle, stalled, _ASKS)):
        # A depot of its own for each: what one crowd left must not be what the next one meets.
        with serving(depot, work) as served:
            waited = wait_in(here, served.url, _PATH)
        rows.append(_row(here, waited))
        if waited.longest >= _GOAL_SECONDS:
            missed.append(f"among {here.idle} idle and {here.stalled} stalled: {waited.longest} s")
    lines = table(("idle", "stalled", "median", "longest", "goal"), rows)
    text = _TEXT.format(size=_LARGE // MIB, asks=_ASKS, table=lines, stamp=stamp)
    return Section("A crowd of clients", text, tuple(missed))


def _row(here: Crowd, waited: Waited) -> tuple[str, ...]:
    return (
        str(here.idle),
        str(here.stalled),
        f"{waited.middle * 1000:.0f} ms",
        f"**{waited.longest * 1000:.0f} ms**",
        f"< {_GOAL_SECONDS:.0f} s",
    )


def _depot(work: Path) -> Path:
    """Make a depot with one large file."""
    make = Maker()
    lock, blobs = sample(make)
    large = make.put(os.urandom(_LARGE))
    url = f"https://{_PATH.removeprefix('/files/')}"
    files = (*lock.files, type(lock.files[0])(url=url, digest=large.digest, size=large.size))
    kit = make_release(work / "vendor")
    enrolled(work / "depot", kit)
    signed = signed_bundle(work / "bundle", kit, waive_all(change_lock(lock, files=files)), blobs)
    import_now(signed, work / "depot")
    return work / "depot"


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"bench: {wanted} open files are needed, and {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
