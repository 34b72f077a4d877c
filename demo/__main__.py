"""`python -m demo`: the whole journey of a bundle, narrated."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from demo.narrator import Narrator
from demo.stage import choose_stage
from demo.story import story

_INTERRUPTED = 130


def main() -> int:
    """Tell the story and return the exit code."""
    arguments = _arguments()
    directory = _directory(arguments.keep)
    logs = directory / "logs"
    logs.mkdir()
    narrator = Narrator(directory, logs)
    stage = choose_stage(embedded=arguments.embedded)
    if stage.why:
        narrator.tell(f"This machine cannot show everything ({stage.why}).")
    try:
        with story(narrator, stage) as journey:
            journey.tell()
    except Exception as error:  # noqa: BLE001 - whatever went wrong is told with its step and log
        with narrator.log.open("a", encoding="utf-8") as log:
            traceback.print_exception(error, file=log)
        print(f"\ndemo: step {narrator.where}: {error}", file=sys.stderr)
        print(f"demo: see {narrator.log}; everything is kept in {directory}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped; every process was ended", file=sys.stderr)
        _remove(directory, arguments.keep)
        return _INTERRUPTED
    narrator.summary()
    _remove(directory, arguments.keep)
    if arguments.keep is not None:
        print(f"\nEverything is kept in {directory}.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=main.__doc__)
    parser.add_argument("--keep", metavar="DIR", type=Path, help="work there and leave it there")
    parser.add_argument(
        "--embedded",
        action="store_true",
        help="use neither the distribution registry nor a lab node, though they could be used",
    )
    return parser.parse_args()


def _directory(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="isoward-demo-"))
    if keep.exists() and any(keep.iterdir()):
        sys.exit(f"demo: {keep} is not empty; name a new folder")
    keep.mkdir(parents=True, exist_ok=True)
    return keep.resolve()


def _remove(directory: Path, keep: Path | None) -> None:
    if keep is None:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
