"""The commands of VERIFY.txt and of docs/VERIFY.md, and a person who types them in bash."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "VERIFY.md"
TOLD = "THE-FINGERPRINT-THAT-YOU-WERE-TOLD"
_STEP = re.compile(r"^# ([1-9])\. ", re.MULTILINE)
_TITLE = re.compile(r"^## ([1-9])\. ", re.MULTILINE)
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SECONDS = 120


def steps_of_text(text: str) -> dict[int, str]:
    """Return the commands of each step of a VERIFY.txt: every line that is no remark."""
    return {number: _without_remarks(body) for number, body in _split(_STEP, text)}


def steps_of_document() -> dict[int, str]:
    """Return the commands of each step of docs/VERIFY.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return {
        number: "".join(_without_remarks(block) for block in _BLOCK.findall(body))
        for number, body in _split(_TITLE, text)
    }


def _split(pattern: re.Pattern[str], text: str) -> list[tuple[int, str]]:
    _, *parts = pattern.split(text)
    bodies = (part.partition("\n")[2] for part in parts[1::2])
    return list(zip(map(int, parts[::2]), bodies, strict=True))


def _without_remarks(text: str) -> str:
    # A title of another level ends a step of the document.
    body = re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]
    lines = (line for line in body.splitlines() if line.strip() and not line.startswith("#"))
    return "".join(f"{line}\n" for line in lines)


def type_steps(
    steps: Sequence[str], bundle: Path, fingerprint: str, tools: Sequence[Path] = ()
) -> subprocess.CompletedProcess[str]:
    """Type commands in a bundle's folder, one after the other.

    Args:
        steps: Commands.
        bundle: The folder.
        fingerprint: What the person was told, in hexadecimal.
        tools: Folders of tools that are not in the PATH.
    """
    folders = [*map(str, tools), str(Path(sys.executable).parent), os.environ["PATH"]]
    return subprocess.run(
        ["bash", "-c", "".join(steps).replace(TOLD, fingerprint)],
        cwd=bundle,
        env={**os.environ, "PATH": os.pathsep.join(folders)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
