"""What a cluster of Kubespray v2.31.0 is made of, beside Kubernetes' own programs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.support.programs.go_modules import Program, module_program, repository_program
from tests.support.programs.needs import requires_repository

ETCD: Final = "v3.6.10"
CONTAINERD: Final = "v2.2.3"
NERDCTL: Final = "v2.2.2"
CNI: Final = "v1.9.1"
COREDNS: Final = "v1.12.4"
CRICTL: Final = "v1.35.0"
KUBE_ROUTER: Final = "v2.1.1"

_CONTAINERD: Final = "github.com/containerd/containerd/v2"
_NERDCTL: Final = "github.com/containerd/nerdctl/v2"
_PLUGINS: Final = "github.com/containernetworking/plugins"
# What needs a C compiler.
_STATIC: Final = "osusergo,netgo,no_btrfs,no_devmapper,no_zfs"
CNI_PLUGINS: Final = {
    "bridge": "main", "loopback": "main", "host-local": "ipam", "portmap": "meta",
    "firewall": "meta", "tuning": "meta",
}  # fmt: skip
"""The plugins that are built, and the folder of each."""

PROGRAMS: Final = {
    "etcd": Program("go.etcd.io/etcd/server/v3", ETCD),
    "etcdctl": Program("go.etcd.io/etcd/etcdctl/v3", ETCD),
    "etcdutl": Program("go.etcd.io/etcd/etcdutl/v3", ETCD),
    **{
        name: Program(
            _CONTAINERD, CONTAINERD, f"cmd/{name}",
            {f"{_CONTAINERD}/version.Version": CONTAINERD}, _STATIC,
        )
        for name in ("containerd", "ctr", "containerd-shim-runc-v2")
    },
    "coredns": Program("github.com/coredns/coredns", COREDNS),
    **{
        name: Program(_PLUGINS, CNI, f"plugins/{kind}/{name}")
        for name, kind in CNI_PLUGINS.items()
    },
}  # fmt: skip
"""Programs of modules that Go's module proxy has."""

_KUBE_ROUTER: Final = "github.com/cloudnativelabs/kube-router/v2"
_CRI_TOOLS: Final = "sigs.k8s.io/cri-tools"
REPOSITORIES: Final = {
    "crictl": (
        "ISOWARD_CRI_TOOLS",
        Program(
            _CRI_TOOLS, CRICTL, "cmd/crictl", {f"{_CRI_TOOLS}/pkg/version.Version": CRICTL},
            instead={"v0.35.0-rc.1": "v0.35.4"},
        ),
    ),
    "nerdctl": (
        "ISOWARD_NERDCTL",
        Program(
            _NERDCTL, NERDCTL, "cmd/nerdctl", {f"{_NERDCTL}/pkg/version.Version": NERDCTL}, _STATIC
        ),
    ),
    "kube-router": (
        "ISOWARD_KUBE_ROUTER",
        Program(
            _KUBE_ROUTER, KUBE_ROUTER, "cmd/kube-router",
            {f"{_KUBE_ROUTER}/pkg/version.Version": KUBE_ROUTER},
        ),
    ),
}  # fmt: skip
"""Programs of Git repositories, each named by a variable of the environment."""


def cluster_program(name: str) -> Path:
    """Return a program, building it first; the test is skipped where its source is not at hand."""
    if name in PROGRAMS:
        return module_program(name, PROGRAMS[name])
    variable, program = REPOSITORIES[name]
    return repository_program(name, program, requires_repository(variable))
