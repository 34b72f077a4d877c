"""Kubernetes' own programs, built from its Go module, once, and kept."""

from __future__ import annotations

from pathlib import Path

from tests.support.programs.go_modules import Program, module_program

VERSION = "v1.35.4"
MODULE = "k8s.io/kubernetes"
_VERSION_PACKAGE = "k8s.io/component-base/version"


def kubernetes_program(name: str) -> Path:
    """Return a program of Kubernetes' `cmd` folder, such as kube-apiserver, building it first."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    says = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor}
    says = {f"{_VERSION_PACKAGE}.{key}": value for key, value in says.items()}
    return module_program(name, Program(MODULE, VERSION, f"cmd/{name}", says))
