"""The files that Kubespray v2.31.0 fetches, made of programs that this machine has built.

They lie where the vendors have theirs, and are packed as those are; their checksums differ, so an
inventory that takes them says so, by variables that Kubespray has for it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.rootfs import machine_architecture, rootfs_tarball
from tests.support.cluster import programs as versions
from tests.support.cluster.kubernetes_build import VERSION, kubernetes_program
from tests.support.cluster.programs import CNI_PLUGINS, cluster_program

_GITHUB: Final = "https://github.com"
_RELEASES: Final = "https://dl.k8s.io/release"
RUNC: Final = "v1.4.2"
"""As Kubespray names it; the program is Debian's, since runc needs a C compiler and libseccomp."""


@dataclass(frozen=True)
class ClusterFile:
    """One download.

    Attributes:
        url: Where Kubespray looks for it.
        variable: Which says its checksum.
        data: Its bytes.
    """

    url: str
    variable: str
    data: bytes

    @property
    def checksum(self) -> str:
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"


def cluster_files() -> tuple[ClusterFile, ...]:
    """Return everything that a node with containerd and kube-router downloads.

    Programs are built where they have not been yet, which takes minutes.
    """
    arch = machine_architecture()
    kubernetes = tuple(
        ClusterFile(
            f"{_RELEASES}/{VERSION}/bin/linux/{arch}/{name}",
            f"{name}_binary_checksum",
            kubernetes_program(name).read_bytes(),
        )
        for name in ("kubeadm", "kubelet", "kubectl")
    )
    return (*kubernetes, *_tools(arch))


def checksum_variables(files: Iterable[ClusterFile]) -> dict[str, str]:
    """Return the variables that make Kubespray take these files."""
    return {file.variable: file.checksum for file in files}


def _tools(arch: str) -> tuple[ClusterFile, ...]:
    """Return what is not Kubernetes' own."""
    etcd = f"etcd-{versions.ETCD}-linux-{arch}"
    containerd = versions.CONTAINERD.removeprefix("v")
    nerdctl = versions.NERDCTL.removeprefix("v")

    def release(project: str, version: str, name: str) -> str:
        return f"{_GITHUB}/{project}/releases/download/{version}/{name}"

    return (
        ClusterFile(
            release("etcd-io/etcd", versions.ETCD, f"{etcd}.tar.gz"),
            "etcd_binary_checksum",
            _packed(f"{etcd}/", ("etcd", "etcdctl", "etcdutl")),
        ),
        ClusterFile(
            release(
                "containernetworking/plugins", versions.CNI,
                f"cni-plugins-linux-{arch}-{versions.CNI}.tgz",
            ),
            "cni_binary_checksum",
            _packed("./", CNI_PLUGINS),
        ),
        ClusterFile(
            release(
                "kubernetes-sigs/cri-tools", versions.CRICTL,
                f"crictl-{versions.CRICTL}-linux-{arch}.tar.gz",
            ),
            "crictl_binary_checksum",
            _packed("", ("crictl",)),
        ),
        ClusterFile(
            release(
                "containerd/containerd", versions.CONTAINERD,
                f"containerd-{containerd}-linux-{arch}.tar.gz",
            ),
            "containerd_archive_checksum",
            _packed("bin/", ("containerd", "ctr", "containerd-shim-runc-v2")),
        ),
        ClusterFile(
            release(
                "containerd/nerdctl", versions.NERDCTL, f"nerdctl-{nerdctl}-linux-{arch}.tar.gz"
            ),
            "nerdctl_archive_checksum",
            _packed("", ("nerdctl",)),
        ),
        ClusterFile(
            release("opencontainers/runc", RUNC, f"runc.{arch}"),
            "runc_binary_checksum",
            _runc(),
        ),
    )  # fmt: skip


def _packed(folder: str, names: Iterable[str]) -> bytes:
    return pack({f"{folder}{name}": cluster_program(name) for name in names})


def pack(programs: Mapping[str, Path]) -> bytes:
    """Pack programs by their paths, always the same."""
    tar_bytes = io.BytesIO()
    with tarfile.open(fileobj=tar_bytes, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, program in programs.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = program.stat().st_size, 0o755
            with program.open("rb") as file:
                tar.addfile(info, file)
    # As fast as it goes: nothing here is kept for long.
    return gzip.compress(tar_bytes.getvalue(), compresslevel=1, mtime=0)


def _runc() -> bytes:
    """Take it from the lab's root file system, which has Debian's package."""
    with tarfile.open(rootfs_tarball()) as tar:
        for path in ("./usr/sbin/runc", "usr/sbin/runc"):
            try:
                file = tar.extractfile(path)
            except KeyError:
                continue
            if file is not None:
                return file.read()
    raise FileNotFoundError("usr/sbin/runc")
