"""Programs of Go modules that `go install` refuses: modules that replace parts by their folders.

A go.mod of our own asks for the module as it was released, with those parts as released too.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundle.store.unpack import unpack_tar
from tests.support.programs.go_tools import built_once, run_go

_STAGED = "./staging/"
_OF_A_FOLDER = "."


@dataclass(frozen=True)
class Program:
    """A program in a Go module.

    Attributes:
        module: Its path.
        version: Of the module, such as v1.2.3.
        package: The folder of the program within the module; empty for the module's own.
        says: Values of string variables, by their full names: what `--version` says.
        tags: Build tags, separated by commas.
        instead: Of a repository's go.mod: versions that were never released, and what is asked for.
    """

    module: str
    version: str
    package: str = ""
    says: Mapping[str, str] = field(default_factory=dict)
    tags: str = ""
    instead: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """What `go build` is given."""
        return f"{self.module}/{self.package}" if self.package else self.module

    def arguments(self, output: Path) -> list[str]:
        """Return what `go` is told to build it; static, and without this machine's paths."""
        flags = " ".join(f"-X {name}={value}" for name, value in self.says.items())
        options = ["-mod=mod", "-trimpath", f"-tags={self.tags}", f"-ldflags=-s -w {flags}"]
        return ["build", *options, "-o", str(output.absolute()), self.path]


def module_program(name: str, program: Program) -> Path:
    """Return a program of a released module, building it first."""

    def build(unfinished: Path) -> None:
        work = unfinished / "module"
        work.mkdir(parents=True, exist_ok=True)
        (work / "go.mod").write_text(go_mod(program.module, program.version))
        what = f"{name} {program.version}"
        run_go(program.arguments(unfinished / name), what, folder=work)

    return built_once(name, program.version, build)


def repository_program(name: str, program: Program, repository: Path) -> Path:
    """Return a program of the tag `program.version` of a Git repository, building it first."""

    def build(unfinished: Path) -> None:
        work = unfinished / "tree"
        work.mkdir(parents=True, exist_ok=True)
        packed = subprocess.run(
            ["git", "-C", repository, "archive", program.version], capture_output=True, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
            unpack_tar(tar, work)
        asked = (work / "go.mod").read_text()
        for unreleased, released in program.instead.items():
            asked = asked.replace(f" {unreleased}\n", f" {released}\n")
        (work / "go.mod").write_text(asked)
        what = f"{name} {program.version}"
        run_go(program.arguments(unfinished / name), what, folder=work)

    return built_once(name, program.version, build)


def go_mod(module: str, version: str) -> str:
    """Write a go.mod that has a module at `version`, and what it replaces as released."""
    found = json.loads(run_go(["mod", "download", "-json", f"{module}@{version}"], module))
    listed = json.loads(run_go(["mod", "edit", "-json", found["GoMod"]], module))
    replaced = [
        _replacement(entry["Old"]["Path"], entry["New"], version)
        for entry in listed.get("Replace") or ()
    ]
    lines = [
        "module isoward.test/build",
        f"go {listed['Go']}",
        f"require {module} {version}",
        *(line for line in replaced if line),
    ]
    return "\n".join(lines) + "\n"


def _replacement(old: str, new: Mapping[str, str], version: str) -> str:
    if new["Path"].startswith(_STAGED):
        return f"replace {old} => {old} v0.{version.removeprefix('v1.')}"
    if new["Path"].startswith(_OF_A_FOLDER):
        # A part of the same repository: the version that the module asks for was released.
        return ""
    return f"replace {old} => {new['Path']} {new['Version']}"
