"""Real pip in an environment of its own, which knows one index only."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SECONDS = 240


def by_name(url: str) -> str:
    """Return a loopback URL by its name: from 24.2 on pip checks no certificate for an address."""
    return url.replace("127.0.0.1", "localhost", 1)


@dataclass(frozen=True)
class PipClient:
    """A fresh virtual environment.

    Attributes:
        path: Of the environment.
        ca: What pip must trust.
    """

    path: Path
    ca: Path

    @classmethod
    def make(cls, path: Path, ca: Path, python: str = sys.executable) -> PipClient:
        shutil.copytree(_fresh(python), path, symlinks=True)
        return cls(path, ca)

    def attempt(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run pip without any configuration and cache of this machine's."""
        settings = {"PATH": os.defpath, "HOME": str(self.path), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run(
            [
                str(self.path / "bin" / "python"),
                "-m",
                "pip",
                "--isolated",
                "--no-cache-dir",
                "--no-input",
                "--disable-pip-version-check",
                "--cert",
                str(self.ca),
                *map(str, arguments),
            ],
            env=settings,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def install(self, index: str, requirements: str | Path) -> subprocess.CompletedProcess[str]:
        """Install complete requirements with their hashes from one index."""
        options = ("--no-deps", "--require-hashes", "--index-url", index, "-r", requirements)
        done = self.attempt("install", *options)
        return self.attempt("check") if done.returncode == 0 else done

    def installed(self) -> dict[str, str]:
        """Return the versions of what is installed, by name."""
        listed = json.loads(self.attempt("list", "--format=json").stdout)
        return {one["name"]: one["version"] for one in listed}

    def run(self, code: str, arguments: Sequence[str] = ()) -> str:
        """Run Python code in the environment and return what it prints."""
        done = subprocess.run(
            [str(self.path / "bin" / "python"), "-I", "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@cache
def _fresh(python: str) -> Path:
    """Make an environment to copy: `python -m pip` finds its own by where it is run from."""
    home = Path(tempfile.mkdtemp(prefix="isoward-venv-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    subprocess.run([python, "-m", "venv", str(home / "venv")], check=True, timeout=SECONDS)
    return home / "venv"
