"""What must hold when something hostile is refused: its code and message, nothing left."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from pathlib import Path
from typing import Any

from tests.vectors.hostile.base import Hostile, Stage

ROOT = Path(__file__).resolve().parents[3]
MOST_MEMORY = 200 * 1024 * 1024
_ROW = re.compile(r"^\| ([0-9]+) \| `([a-z-]+)` \|", re.MULTILINE)
_WHOLE = 1 << 20
Tree = dict[str, tuple[Any, ...]]


def documented_codes() -> dict[str, int]:
    """Return the exit code of each error, as docs/EXIT_CODES.md has it."""
    text = (ROOT / "docs" / "EXIT_CODES.md").read_text(encoding="utf-8")
    return {name: int(code) for code, name in _ROW.findall(text)}


CODES = documented_codes()


def arguments(command: str, bad: Hostile, stage: Stage) -> list[str]:
    """Return the command line that must refuse a case."""
    more = [str(stage.folder / option) if "." in option else option for option in bad.options]
    return [command, str(stage.bundle), "--depot", str(stage.depot), "--json", *more]


def tree(folder: Path) -> Tree:
    """Describe everything below a folder; contents too, where they are small."""
    found: Tree = {}
    for path in folder.rglob("*"):
        seen = path.lstat()
        content = ""
        if stat.S_ISREG(seen.st_mode) and seen.st_size < _WHOLE:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        size = 0 if stat.S_ISDIR(seen.st_mode) else seen.st_size
        found[str(path.relative_to(folder))] = (seen.st_mode, size, content)
    return found


def check_left(before: Tree, after: Tree) -> None:
    """Check that at most verified content came into the depot, and its lock and empty folders."""
    assert {name: after.get(name) for name in before} == before
    for name in after.keys() - before.keys():
        place = name.removeprefix("depot/")
        mode, _, content = after[name]
        folder, _, digest = place.rpartition("/")
        assert place != name, name
        assert (
            place == ".lock"
            or (folder == "blobs/sha256" and digest == content and mode == stat.S_IFREG | 0o444)
            or (stat.S_ISDIR(mode) and place in {"blobs", "blobs/sha256", "bundles", "staging"})
        ), name


def check_refusal(bad: Hostile, code: int, out: str, err: str) -> None:
    """Check that a case was refused as documented, with one message and no traceback."""
    assert "Traceback" not in err
    assert code, f"accepted: {out}"
    said = json.loads(out)
    assert (said["error"], code) == (bad.error, CODES[bad.error]), said["message"]
    assert said["exitCode"] == code
    # Where there is more than one, the message counts them and the details name each.
    assert any(bad.says in text for text in (said["message"], *said.get("details", ())))
    assert said["hint"]
    assert "isoward: error" not in err, "one message is enough"
