"""Running a program on a machine: what the questions need, over SSH or here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bundle.base.errors import MissingProgramError, ProgramError
from bundle.store.programs import Bounds, Streams, run_program

COMMAND_SECONDS: Final = 20.0
"""Longest wait for the answer to one question."""

MAX_OUTPUT_BYTES: Final = 64 * 1024
"""Most of a program's output that is read; a node is not trusted to stop."""

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
NOT_FOUND: Final = 127
NO_ANSWER: Final = 124


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The last line of its complaint, or of its output."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip()[:200] if lines else f"exit code {self.code}"


class Shell(Protocol):
    """A machine that runs programs."""

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        """Run a program; the arguments are taken literally, whatever is in them.

        A program that is not there ends with 127, one that does not end in time with 124.
        """


def in_known_environment(argv: Sequence[str]) -> list[str]:
    """Give a command the same language and search path everywhere."""
    return ["env", "LC_ALL=C", f"PATH={_PATH}", *argv]


class LocalShell:
    """This machine."""

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        """Run a program here."""
        try:
            done = run_program(
                in_known_environment(argv), streams=Streams(stdin), bounds=Bounds(COMMAND_SECONDS)
            )
        except MissingProgramError as error:
            return Result(NOT_FOUND, "", error.message)
        except ProgramError:
            return Result(NO_ANSWER, "", f"no answer within {COMMAND_SECONDS:.0f} s")
        return Result(done.code, as_text(done.output), as_text(done.errors))


def whole_number(text: str) -> int | None:
    """Return the number that a machine said; nothing where it is none, or none that we count."""
    return int(text) if _DIGITS.fullmatch(text) else None


def as_text(data: bytes) -> str:
    """Read a program's output, whatever bytes it has."""
    return data[:MAX_OUTPUT_BYTES].decode("utf-8", errors="replace")
