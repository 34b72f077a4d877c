"""Runs on a node: what others have left on it, and what works on its packages at this moment."""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
from pathlib import Path
from typing import Any

from installer.preflight.on_node.reading import MOST_ENTRIES, names_in, read, said_by

_FILES = (
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/ssl/ca.crt",
    "/etc/ssl/etcd/ssl/ca.pem",
    "/var/lib/etcd/member",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/pki",
    "/etc/rancher",
    "/var/lib/rancher",
    "/var/snap/microk8s",
)
_FOLDERS = ("/etc/kubernetes/manifests",)
_PROCESSES = re.compile(
    r"^(kubelet|etcd|kube-(apiserver|controller|scheduler|proxy|router).*|k3s.*|rke2.*|calico-.*"
    r"|cilium-.*|flanneld|coredns)$"
)
_LINKS = re.compile(
    r"^(cali[0-9a-f]{11}|vxlan\.calico|cni\d+|flannel[.\w-]*|cilium_\w+|lxc[0-9a-f]+|kube-\S+"
    r"|nodelocaldns|weave)$"
)
_CNI = "/etc/cni/net.d"
_ENGINES = {"docker": "/run/docker.sock", "CRI-O": "/run/crio/crio.sock"}
_TASKS = "/run/containerd/io.containerd.runtime.v2.task"
_LOCKS = (
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
)
_FLOCK = "hhqqixxxx"
_UNSIGNED = re.compile(
    r"(?im)^\s*(?:deb\s+\[[^\]]*\btrusted=yes\b|Trusted:\s*yes\b|gpgcheck\s*=\s*0)"
)


def facts(_want: dict[str, Any]) -> dict[str, Any]:
    """Return what is there."""
    sockets = read("/proc/net/unix")
    return {
        "site": _site(),
        "files": _files(),
        "processes": sorted({name for name in _running() if _PROCESSES.match(name)})[:MOST_ENTRIES],
        "networks": _networks()[:MOST_ENTRIES],
        "engines": [name for name, path in _ENGINES.items() if f"{path}\n" in sockets],
        "engine_files": _engine_files(),
        "tasks": [f"{n}/{t}" for n in names_in(_TASKS) for t in names_in(f"{_TASKS}/{n}")][
            :MOST_ENTRIES
        ],
        "locks": [found for path in _LOCKS for found in _holder(path)],
        "unfinished": _unfinished(),
        "unsigned": _unsigned(),
    }


def _site() -> str:
    """Return the site that an installation of ours left word of."""
    try:
        said = json.loads(read("/etc/isoward/site.json") or "{}")
    except ValueError:
        return ""
    return str(said.get("site", "")) if isinstance(said, dict) else ""


def _files() -> list[str]:
    found = [path for path in _FILES if Path(path).exists()]
    found += [f"{folder}/{name}" for folder in _FOLDERS for name in names_in(folder)]
    return found[:MOST_ENTRIES]


def _networks() -> list[str]:
    configured = [name for name in names_in(_CNI) if name.endswith((".conf", ".conflist", ".json"))]
    links = [name for name in names_in("/sys/class/net") if _LINKS.match(name)]
    return [*(f"{_CNI}/{name}" for name in configured), *links]


def _running() -> list[str]:
    return [read(str(path / "comm")).strip() for path in Path("/proc").glob("[0-9]*")]


def _engine_files() -> list[str]:
    found = [path for path in ("/etc/docker/daemon.json",) if Path(path).exists()]
    config = read("/etc/containerd/config.toml")
    if re.search(r"(?m)^\s*(\[.*registry\.(mirrors|configs)|config_path\s*=|imports\s*=)", config):
        found.append("/etc/containerd/config.toml")
    return found


def _holder(path: str) -> list[str]:
    """Say who has a lock, by asking for it without taking it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        wanted = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, wanted))
    except OSError:
        return []
    finally:
        os.close(file)
    if kind == fcntl.F_UNLCK:
        return []
    return [f"{path} by {read(f'/proc/{pid}/comm').strip() or 'process'} ({pid})"]


def _unfinished() -> list[str]:
    """Return the packages that dpkg left half done."""
    code, said = said_by("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\n")
    rows = [line.split() for line in said.splitlines()] if code == 0 else []
    good = {"installed", "config-files", "not-installed"}
    return [row[1] for row in rows if len(row) > 1 and row[0] not in good][:MOST_ENTRIES]


def _unsigned() -> list[str]:
    paths = ["/etc/apt/sources.list"]
    for folder in ("/etc/apt/sources.list.d", "/etc/yum.repos.d"):
        paths += [f"{folder}/{name}" for name in names_in(folder)]
    return [path for path in paths if _UNSIGNED.search(read(path))][:MOST_ENTRIES]
