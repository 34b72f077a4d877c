"""Running `isoward` as a person types it, in this process or on a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundle.cli.main import main
from tests.architecture.source import ROOT


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Isoward:
    """Runs `isoward` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return Done(int(ended.value.code or 0), out, err)


@contextmanager
def descriptor_with(text: str) -> Iterator[str]:
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    try:
        yield str(reading)
    finally:
        os.close(reading)


def on_a_terminal(typed: str, *arguments: str | Path) -> Done:
    """Run `isoward` with a terminal as its standard input, on which `typed` is typed."""
    ours, theirs = os.openpty()
    os.write(ours, typed.encode())
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bundle.cli.main", *map(str, arguments)],
            cwd=ROOT,
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr)
