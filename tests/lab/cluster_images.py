"""The images of a small cluster of Kubespray v2.31.0, made of programs that were built here."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.lab.rootfs import machine_architecture, packages_tarball
from tests.support.cluster import programs as versions
from tests.support.cluster.kubernetes_build import VERSION, kubernetes_program
from tests.support.cluster.programs import cluster_program
from tests.support.programs.go_tools import built_once, run_go
from tests.support.programs.needs import find_tool
from tests.support.registries.oci import Artifact, Blob, Layer, image, sha256

PAUSE: Final = "3.10.1"
NETWORK_PACKAGES: Final = ("iptables", "ipset", "iproute2", "conntrack", "kmod", "busybox-static")
"""What programs run that set up a node's network."""

FIRST_IMAGE: Final = "registry.example.org/lab/busybox:1"
"""An image of the site's own: it has a shell, and can connect and listen."""
_APPLETS: Final = ("sh", "cat", "echo", "nc", "sleep", "true")
_PLAIN_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_PATH: Final = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REGISTRY: Final = "registry.k8s.io"
_PAUSE_SOURCE: Final = """\
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for got := range signals {
		if got != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}
"""
# Debian picks these when a package is configured, which does not happen to what is only unpacked.
_ALTERNATIVES: Final = {
    f"usr/sbin/{name}{end}": f"{name}-nft{end}"
    for name in ("iptables", "ip6tables")
    for end in ("", "-save", "-restore")
}


def cluster_images() -> dict[str, Artifact]:
    """Return the images by their references; programs are built where they have not been yet."""
    network = _network_layer()
    kubernetes = {
        f"{_REGISTRY}/{name}:{VERSION}": _of_program(
            kubernetes_program(name), "/usr/local/bin/", below=[network] * (name == "kube-proxy")
        )
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    }
    return {
        **kubernetes,
        f"{_REGISTRY}/pause:{PAUSE}": _of_program(_pause(), "/", entrypoint=True),
        f"{_REGISTRY}/coredns/coredns:{versions.COREDNS}": _of_program(
            cluster_program("coredns"), "/", entrypoint=True
        ),
        FIRST_IMAGE: image([_busybox()], f"linux/{machine_architecture()}", ("/bin/sh",), {}),
        f"docker.io/cloudnativelabs/kube-router:{versions.KUBE_ROUTER}": _of_program(
            cluster_program("kube-router"), "/usr/local/bin/", below=[network], entrypoint=True
        ),
    }


def _of_program(
    program: Path, folder: str, *, below: Sequence[Layer] = (), entrypoint: bool = False
) -> Artifact:
    path = f"{folder}{program.name}"
    layer = _layer({path.lstrip("/"): program})
    settings = {"Env": [_PATH], **({"Entrypoint": [path]} if entrypoint else {})}
    return image([*below, layer], f"linux/{machine_architecture()}", (), {}, settings)


def _layer(programs: Mapping[str, Path], links: Mapping[str, str] | None = None) -> Layer:
    """Make a layer that is not compressed: to compress would take longer than all else."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, program in programs.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = program.stat().st_size, 0o755
            with program.open("rb") as file:
                tar.addfile(info, file)
        _add_links(tar, links or {})
    return plain_layer(made.getvalue())


def _add_links(tar: tarfile.TarFile, links: Mapping[str, str]) -> None:
    for path, target in links.items():
        link = tarfile.TarInfo(path)
        link.type, link.linkname = tarfile.SYMTYPE, target
        tar.addfile(link)


def _busybox() -> Layer:
    program = find_tool("busybox")
    assert program is not None
    return _layer({"bin/busybox": Path(program)}, {f"bin/{name}": "busybox" for name in _APPLETS})


def plain_layer(tar_bytes: bytes) -> Layer:
    """Make a layer of a tar as it is."""
    return Layer(Blob(_PLAIN_LAYER, tar_bytes), sha256(tar_bytes))


def _network_layer() -> Layer:
    """Return Debian's network tools without their start scripts, as an image's lowest layer."""
    made = io.BytesIO()
    with (
        tarfile.open(packages_tarball(NETWORK_PACKAGES)) as source,
        tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for member in source:
            if not member.isdev():
                tar.addfile(member, source.extractfile(member) if member.isreg() else None)
        _add_links(tar, {**_ALTERNATIVES, "bin/sh": "busybox"})
    return plain_layer(made.getvalue())


def _pause() -> Path:
    """Build what holds a pod's namespaces: it waits, and buries the dead."""
    version = hashlib.sha256(_PAUSE_SOURCE.encode()).hexdigest()[:12]

    def build(unfinished: Path) -> None:
        unfinished.mkdir(exist_ok=True)
        with TemporaryDirectory() as name:
            work = Path(name)
            (work / "main.go").write_text(_PAUSE_SOURCE)
            (work / "go.mod").write_text("module isoward.test/pause\n\ngo 1.23\n")
            output = str((unfinished / "pause").absolute())
            arguments = ["build", "-trimpath", "-ldflags=-s -w", "-o", output, "."]
            run_go(arguments, "pause", folder=work)

    return built_once("pause", version, build)
