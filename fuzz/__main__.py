"""Run every target for its share of executions: `python -m fuzz [--runs N] [--keep] [TARGET...]`.

A crash ends the run with an error; its input is in .build/fuzz/crashes. What was found on the way
stays in .build/fuzz/corpus, and with --keep the smallest of it goes into fuzz/corpus.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fuzz.registry import CORPUS, TARGETS

BUILD = Path(__file__).resolve().parents[1] / ".build" / "fuzz"
DEFAULT_RUNS = 1_100_000
KEPT_BYTES = 24 * 1024
"""Of each target: all together stay below a mebibyte."""
_DONE = re.compile(r"Done ([0-9]+) runs? in ([0-9]+) second")
_STATS = re.compile(r"#([0-9]+)\s+\w+\s+cov: ([0-9]+) ft: ([0-9]+)")


@dataclass(frozen=True)
class Outcome:
    """What came of one target.

    Attributes:
        name: Of the target.
        executions: How many inputs it was given.
        seconds: How long that took.
        coverage: Places in the code that were reached, as libFuzzer counts them.
        crashed: Whether anything but an error of ours came out.
        log: The last of what libFuzzer said.
    """

    name: str
    executions: int
    seconds: int
    coverage: int
    crashed: bool
    log: str


def fuzz(name: str, runs: int) -> Outcome:
    """Fuzz one target in a process of its own."""
    corpus, crashes = BUILD / "corpus" / name, BUILD / "crashes"
    corpus.mkdir(parents=True, exist_ok=True)
    crashes.mkdir(parents=True, exist_ok=True)
    options = [
        f"-runs={runs}",
        f"-artifact_prefix={crashes}/{name}-",
        "-timeout=300",
        "-rss_limit_mb=1024",
        "-print_final_stats=0",
    ]
    command = [sys.executable, "-m", "fuzz.run", name, *options, str(corpus), str(CORPUS / name)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    log = done.stderr + done.stdout
    (BUILD / f"{name}.log").write_text(log, encoding="utf-8", errors="replace")
    counted = _DONE.search(log)
    stats = _STATS.findall(log)
    executions = int(counted[1]) if counted else int(stats[-1][0]) if stats else 0
    return Outcome(
        name,
        executions,
        int(counted[2]) if counted else 0,
        int(stats[-1][1]) if stats else 0,
        done.returncode != 0,
        log[-3000:],
    )


def keep(name: str) -> int:
    """Copy the smallest inputs that reached something new into the corpus that is kept."""
    kept = list((CORPUS / name).iterdir())
    present = {path.read_bytes() for path in kept}
    used = sum(path.stat().st_size for path in kept)
    count = 0
    found = ((path.stat().st_size, path) for path in (BUILD / "corpus" / name).iterdir())
    for size, path in sorted(found):
        if path.read_bytes() not in present and used + size <= KEPT_BYTES:
            shutil.copy(path, CORPUS / name / path.name)
            used, count = used + size, count + 1
    return count


def main() -> int:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=DEFAULT_RUNS, help="of all targets together")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    share = -(-options.runs // len(names))
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(lambda name: fuzz(name, share), names):
            outcomes.append(outcome)
            verdict = "CRASHED" if outcome.crashed else "ok"
            print(
                f"{outcome.name:<16} {outcome.executions:>9,} executions, {outcome.seconds:>4} s, "
                f"coverage {outcome.coverage:>5}  {verdict}",
                flush=True,
            )
            if outcome.crashed:
                print(outcome.log)
    total = sum(outcome.executions for outcome in outcomes)
    crashed = [outcome.name for outcome in outcomes if outcome.crashed]
    print(f"{total:,} executions of {len(names)} targets; crashed: {', '.join(crashed) or 'none'}")
    if options.keep and not crashed:
        for name in names:
            print(f"{name}: kept {keep(name)} more inputs")
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
