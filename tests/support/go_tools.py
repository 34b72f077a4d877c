"""Stock tools that only their Go modules offer, built once and kept.

They come by the Go module proxy, by `go` itself, which checks them against the checksum database;
each version is pinned here, in one place.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.needs import find_tool, in_ci, requires_tool

BUILD_SECONDS = 3600
"""A first build on a small machine; a test that asks for a tool needs a timeout above this."""


@dataclass(frozen=True)
class GoTool:
    """A program in a Go module."""

    package: str
    version: str


TOOLS = {
    "cosign": GoTool("github.com/sigstore/cosign/v3/cmd/cosign", "v3.1.3"),
}


def go_tools_cache() -> Path:
    """Return where built tools are kept, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "isoward" / "go-tools"


def go_tool(name: str) -> Path:
    """Return a tool, building it first where it is not there yet.

    The running test is skipped where the machine has no Go; in CI it fails.
    """
    tool = TOOLS[name]
    folder = go_tools_cache() / f"{name}-{tool.version}"
    program = folder / name
    if program.is_file():
        return program
    requires_tool("go")
    folder.mkdir(parents=True, exist_ok=True)
    # Two test processes must not build the same at once.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            _install(tool, name, folder)
    return program


def _install(tool: GoTool, name: str, folder: Path) -> None:
    go = find_tool("go")
    assert go is not None
    unfinished = folder / "unfinished"
    # The toolchain that is here, never one that is fetched; and nothing that needs a C compiler.
    chosen = {"GOBIN": str(unfinished), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        [go, "install", "-trimpath", "-ldflags=-s -w", f"{tool.package}@{tool.version}"],
        env={**os.environ, **chosen},
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    if done.returncode != 0:
        reason = f"{name} {tool.version} could not be built by Go: {done.stderr[-2000:]}"
        if in_ci():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    (unfinished / name).rename(folder / name)
    unfinished.rmdir()
