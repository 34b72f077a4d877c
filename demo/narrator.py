"""Says what happens: numbered steps, each command as a person would type it, its real output."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

_WIDTH = 100
_SHOWN_LINES = 14


class DemoError(Exception):
    """A step did not go as it must; the message is for the person who watches."""


@dataclass
class Narrator:
    """Tells the story and runs its commands.

    Attributes:
        directory: Where the commands run.
        logs: Where everything that they say is kept, one file a step.
        out: Where the story goes.
    """

    directory: Path
    logs: Path
    out: TextIO = field(default_factory=lambda: sys.stdout)
    _title: str = ""
    _number: int = 0
    _took: list[tuple[str, float]] = field(default_factory=list)

    @property
    def where(self) -> str:
        """The step that is under way."""
        return f"{self._number}. {self._title}"

    @property
    def log(self) -> Path:
        """The log of the step that is under way."""
        return self.logs / f"step-{self._number:02}.log"

    @contextmanager
    def step(self, title: str, why: str = "") -> Iterator[None]:
        """Tell one step of the story and note how long it took."""
        self._number += 1
        self._title = title
        self._say(f"\n{self._style('1', self.where)}")
        if why:
            self.tell(why)
        began = time.monotonic()
        yield
        self._took.append((title, time.monotonic() - began))

    def tell(self, text: str) -> None:
        """Say a few sentences."""
        for line in textwrap.wrap(text, _WIDTH - 3):
            self._say(f"   {line}")

    def run(
        self, command: str, *, refused: int = 0, lines: int = _SHOWN_LINES, brief: bool = False
    ) -> None:
        """Show a command, run it in a shell, and show what it says while it says it.

        Args:
            command: As a person would type it.
            refused: The exit code that it must end with; 0 unless a refusal is the point.
            lines: How many lines of its output are shown; the log has all.
            brief: Do not say that there were more.
        Raises:
            DemoError: It ended otherwise.
        """
        self.show(command)
        said: list[str] = []
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=self.directory,
            env=command_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        with process, self.log.open("a", encoding="utf-8") as log:
            log.write(f"$ {command}\n")
            for line in process.stdout or ():
                log.write(line)
                said.append(line.rstrip())
                if len(said) <= lines:
                    self.quote(said[-1])
        if len(said) > lines and not brief:
            self.quote(f"... and {len(said) - lines} more lines")
        self._check(process.returncode, refused, said[lines:])

    def show(self, command: str, prompt: str = "$") -> None:
        """Show a command that is run by other means."""
        self._say(f"   {self._style('36', f'{prompt} {command}')}")

    def quiet(self, command: str) -> str:
        """Run a command of the story's own, unseen, and return its standard output."""
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.directory,
            env=command_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"{command}: {done.stderr.strip()}")
        return done.stdout

    def quote(self, line: str) -> None:
        """Show one line of output."""
        self._say(f"     {self._style('2', line.rstrip())}")

    def summary(self) -> None:
        """Say how long everything took."""
        self._say(f"\n{self._style('1', 'What it took')}")
        for number, (title, seconds) in enumerate(self._took, 1):
            self._say(f"   {number:2}. {title:<70} {seconds:6.1f} s")
        self._say(f"       {'together':<70} {sum(s for _, s in self._took):6.1f} s")

    def _check(self, code: int, refused: int, unseen: list[str]) -> None:
        if code == refused:
            if refused:
                self.quote(f"(exit code {code}: refused, as it must be)")
            return
        for line in unseen[-10:]:
            self.quote(line)
        raise DemoError(f"expected exit code {refused}, found {code}")

    def _style(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.out.isatty() else text

    def _say(self, line: str) -> None:
        print(line, file=self.out, flush=True)


def command_environment() -> dict[str, str]:
    """Return the environment in which `isoward` is the one of this environment."""
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join((own, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
