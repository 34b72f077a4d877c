"""`python -m bench`: measure, print, and with --write keep it in docs/BENCHMARKS.md."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import commands, locking, overhead
from bench.crowd import crowd
from bench.report import Section, Stamp, write
from bench.warm import warm

_REPORT = Path(__file__).parent.parent / "docs" / "BENCHMARKS.md"


def main() -> int:
    """Measure and return 0 when every goal is met, else 1."""
    arguments = _arguments()
    needed = [tool for name in arguments.only or _NAMES for tool in _TOOLS.get(name, ())]
    for tool in needed:
        if shutil.which(tool) is None:
            raise SystemExit(f"bench: {tool} is needed and not here")
    sections = []
    for name, part in _parts(arguments).items():
        if name in (arguments.only or _NAMES):
            # Each part's content is gone before the next one's comes.
            with tempfile.TemporaryDirectory(prefix="isoward-bench-") as work:
                sections.append(part(Path(work)))
            print(f"## {sections[-1].heading}\n\n{sections[-1].text}")
    if arguments.write:
        write(_REPORT, sections)
    missed = [goal for section in sections for goal in section.missed]
    for goal in missed:
        print(f"bench: goal missed: {goal}")
    return 1 if missed else 0


_NAMES = ("commands", "lock", "warm", "overhead", "crowd")
_TOOLS = {"commands": commands.TOOLS, "lock": locking.TOOLS, "overhead": overhead.TOOLS}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=_NAMES, action="append", help="this part; repeat it")
    parser.add_argument("--size-mib", type=int, default=2048, help="content of the bundle")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--lock-images", type=int, default=100, help="images of a platform")
    parser.add_argument("--lock-charts", type=int, default=16, help="charts of a platform")
    parser.add_argument("--warm-mib", type=int, default=10_000, help="content of a warm cache")
    parser.add_argument("--tasks", type=int, default=300, help="of the play over ssh")
    parser.add_argument("--nodes", type=int, default=2, help="that the play is on")
    parser.add_argument("--idle", type=int, default=2000, help="clients that ask for nothing")
    parser.add_argument("--stalled", type=int, default=200, help="clients that read nothing")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many runs counts")
    parser.add_argument("--write", action="store_true", help="keep it in docs/BENCHMARKS.md")
    return parser.parse_args()


def _parts(arguments: argparse.Namespace) -> dict[str, Callable[[Path], Section]]:
    stamp = Stamp()
    images, charts, rounds = arguments.lock_images, arguments.lock_charts, arguments.rounds
    return {
        "commands": lambda work: commands.commands(
            work, stamp, arguments.size_mib, arguments.images, rounds
        ),
        "lock": lambda work: locking.locking(work, stamp, images, charts, rounds),
        "warm": lambda work: warm(work, stamp, arguments.warm_mib, images, rounds),
        "crowd": lambda work: crowd(work, stamp, arguments.idle, arguments.stalled),
        "overhead": lambda work: overhead.overhead(
            work, stamp, arguments.tasks, arguments.nodes, rounds
        ),
    }


if __name__ == "__main__":
    raise SystemExit(main())
