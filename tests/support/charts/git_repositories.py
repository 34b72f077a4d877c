"""Git repositories for tests, made by the real git, the same commits every time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.programs.needs import requires_tool

_WHEN = "2026-01-02T03:04:05Z"


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, without this machine's configuration; return what it said."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    who = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "Tess Ter"), ("EMAIL", "tess@example.org"), ("DATE", _WHEN))
    }
    environment |= {**who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-c", "protocol.file.allow=always", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def new_repository(folder: Path) -> Path:
    """Make an empty repository with a work tree."""
    requires_tool("git")
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main", ".")
    return folder


def commit_files(
    repository: Path, files: Mapping[str, bytes], *, executable: tuple[str, ...] = ()
) -> str:
    """Write files, commit all that is in the work tree, and return the commit."""
    for path, data in files.items():
        target = repository / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        if path in executable:
            target.chmod(0o755)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "A change", "--allow-empty")
    return git(repository, "rev-parse", "HEAD")
