"""Kubernetes' own programs, built from its Go module, once, and kept.

`go install` refuses that module, since it replaces the modules of its staging area by folders that
only its repository has. A go.mod of our own replaces them by what was released of them.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.go_tools import built_once, run_go

VERSION = "v1.35.4"
MODULE = "k8s.io/kubernetes"
_STAGED = "./staging/"
_VERSION_PACKAGE = "k8s.io/component-base/version"


def kubernetes_program(name: str) -> Path:
    """Return a program of Kubernetes' `cmd` folder, such as kube-apiserver, building it first."""

    def build(unfinished: Path) -> None:
        work = unfinished / "module"
        work.mkdir(parents=True, exist_ok=True)
        (work / "go.mod").write_text(go_mod(VERSION))
        major, minor, _ = VERSION.removeprefix("v").split(".")
        says = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
        flags = " ".join(f"-X {_VERSION_PACKAGE}.{key}={value}" for key, value in says.items())
        output = str((unfinished / name).absolute())
        options = ["-mod=mod", "-trimpath", f"-ldflags=-s -w {flags}", "-o", output]
        run_go(["build", *options, f"{MODULE}/cmd/{name}"], f"{name} {VERSION}", folder=work)

    return built_once(name, VERSION, build)


def go_mod(version: str) -> str:
    """Write a go.mod that has Kubernetes at `version`, and its staged modules as released."""
    found = json.loads(run_go(["mod", "download", "-json", f"{MODULE}@{version}"], MODULE))
    listed = json.loads(run_go(["mod", "edit", "-json", found["GoMod"]], MODULE))
    released = f"v0.{version.removeprefix('v1.')}"
    staged = [
        entry["Old"]["Path"]
        for entry in listed["Replace"]
        if entry["New"]["Path"].startswith(_STAGED)
    ]
    lines = [
        "module isoward.test/kubernetes",
        f"go {listed['Go']}",
        f"require {MODULE} {version}",
        *(f"replace {module} => {module} {released}" for module in staged),
    ]
    return "\n".join(lines) + "\n"
