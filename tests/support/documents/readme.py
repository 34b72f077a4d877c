"""Runs the README's commands as a person at a terminal does, prompts and all."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

README = Path(__file__).resolve().parents[3] / "README.md"
PASSPHRASE = "correct horse battery staple"
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_SECONDS = 120
_NEW_PROMPT = r"(?i)passphrase of [^\n]*: "
_REPEAT_PROMPT = r"(?i)repeat for confirmation: "
_APPROVE_PROMPT = r"Approve this release as [^\n]*\[y/N\]: "
_GROUP_PROMPT = r"type the last group[^\n]*: "


@dataclass(frozen=True)
class Block:
    """What the README lets somebody type.

    Attributes:
        section: The heading above it.
        commands: With continuations joined.
    """

    section: str
    commands: tuple[str, ...]

    @property
    def role(self) -> str:
        """Who types it."""
        return self.section.removeprefix("The ")


def command_blocks() -> list[Block]:
    """Return the shell blocks of the README."""
    text = README.read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return [
        Block(
            section.partition("\n")[0],
            tuple(line for line in block.replace("\\\n", " ").splitlines() if line.strip()),
        )
        for section in sections
        for block in _BLOCK.findall(section)
    ]


@dataclass
class Person:
    """Somebody at a terminal, who knows passphrases and the fingerprint.

    Attributes:
        home: Where they work, and where `isoward` keeps its caches.
        fingerprint: Of the vendor's root, once it was told.
        said: Everything that appeared on the terminal.
        programs: The folder of the programs that they have installed.
    """

    home: Path
    fingerprint: str = ""
    said: list[str] = field(default_factory=list)
    programs: Path = Path(sys.executable).parent

    def run(self, command: str, folder: Path) -> str:
        """Run one command in `folder` and answer what it asks; it must succeed."""
        child = pexpect.spawn(
            "/bin/bash",
            ["-c", command],
            cwd=str(folder),
            env=dict(self.environment),
            encoding="utf-8",
            timeout=_SECONDS,
            dimensions=(50, 200),
        )
        answers = {
            _NEW_PROMPT: PASSPHRASE,
            _REPEAT_PROMPT: PASSPHRASE,
            _APPROVE_PROMPT: "y",
            _GROUP_PROMPT: self.fingerprint[-4:],
        }
        patterns = list(answers)
        seen = []
        while (found := child.expect([*patterns, pexpect.EOF])) < len(patterns):
            seen.append(child.before + child.after)
            child.sendline(answers[patterns[found]])
        seen.append(child.before)
        child.close()
        # A terminal is shown colours.
        text = _COLOR.sub("", "".join(seen))
        self.said.append(text)
        assert child.exitstatus == 0, f"{command}\nended with {child.exitstatus}:\n{text[-4000:]}"
        return text

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment in which they type."""
        return {
            "PATH": os.pathsep.join((str(self.programs), os.environ.get("PATH", os.defpath))),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            # What is said is looked at, not how it looks.
            "NO_COLOR": "1",
            "FINGERPRINT": self.fingerprint,
        }
