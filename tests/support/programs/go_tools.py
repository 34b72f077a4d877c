"""Stock tools that only their Go modules offer, built once and kept.

They come by the Go module proxy, by `go` itself, which checks them against the checksum database;
each version is pinned here, in one place.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.programs.needs import find_tool, in_ci, requires_tool

BUILD_SECONDS = 3600
"""A first build on a small machine; a test that asks for a tool needs a timeout above this."""


@dataclass(frozen=True)
class GoTool:
    """A program in a Go module."""

    package: str
    version: str


TOOLS = {
    "conformance": GoTool(
        "github.com/opencontainers/distribution-spec/conformance",
        "v0.0.0-20260831232431-97274622c111",
    ),
    "cosign": GoTool("github.com/sigstore/cosign/v3/cmd/cosign", "v3.1.3"),
    "crane": GoTool("github.com/google/go-containerregistry/cmd/crane", "v0.22.1"),
    "oras": GoTool("oras.land/oras/cmd/oras", "v1.3.6"),
    "regctl": GoTool("github.com/regclient/regclient/cmd/regctl", "v0.11.7"),
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

    def install(unfinished: Path) -> None:
        run_go(
            ["install", "-trimpath", "-ldflags=-s -w", f"{tool.package}@{tool.version}"],
            f"{name} {tool.version}",
            environment={"GOBIN": str(unfinished)},
        )

    return built_once(name, tool.version, install)


def built_once(name: str, version: str, build: Callable[[Path], None]) -> Path:
    """Return a program from the cache; `build` puts it into the folder that it is given."""
    folder = go_tools_cache() / f"{name}-{version}"
    program = folder / name
    if program.is_file():
        return program
    requires_tool("go")
    folder.mkdir(parents=True, exist_ok=True)
    # Two test processes must not build the same at once.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.is_file():
            unfinished = folder / "unfinished"
            build(unfinished)
            (unfinished / name).rename(program)
            shutil.rmtree(unfinished)
    return program


def run_go(
    arguments: Sequence[str],
    what: str,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run `go` and return what it printed; the test is skipped when it fails, and in CI fails."""
    go = find_tool("go")
    assert go is not None
    # The toolchain that is here, never one that is fetched; and nothing that needs a C compiler.
    # What others wait for on this machine comes first.
    done = subprocess.run(
        ["nice", "-n", "10", go, *arguments],
        cwd=folder,
        env={
            **os.environ,
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_SECONDS,
    )
    if done.returncode != 0:
        reason = f"{what} could not be built by Go: {done.stderr[-2000:]}"
        if in_ci():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return done.stdout
