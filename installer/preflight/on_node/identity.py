"""Runs on a node: what it calls itself, whom it asks for names, and what is set for it."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

from installer.preflight.on_node.reading import MOST_ENTRIES, names_in, read

_PROXIES = re.compile(r"(?i)^(https?|ftp|all)_proxy$")
_PROXY_LINE = re.compile(r"(?im)^[^#;\n]*\b((?:https?|ftp|all)_proxy)\s*[=\"'\s]\s*\S")
# What says that no proxy is to be asked, as the installer's own settings do, is none.
_APT_PROXY = re.compile(
    r"(?im)^\s*(Acquire::\w+::Proxy(?:::\S+)?)\s(?!\s*\"?(?:DIRECT|false)?\"?\s*;)"
)
_DNF_PROXY = re.compile(r"(?im)^\s*(proxy)\s*=\s*(?!_none_\s*$)\S")
_FOLDERS = (
    ("/etc/profile.d", _PROXY_LINE),
    ("/etc/systemd/system.conf.d", _PROXY_LINE),
    ("/etc/systemd/system/containerd.service.d", _PROXY_LINE),
    ("/etc/apt/apt.conf.d", _APT_PROXY),
)
_FILES = (
    ("/etc/environment", _PROXY_LINE),
    ("/etc/profile", _PROXY_LINE),
    ("/etc/systemd/system.conf", _PROXY_LINE),
    ("/etc/apt/apt.conf", _APT_PROXY),
    ("/etc/dnf/dnf.conf", _DNF_PROXY),
)


def facts(want: dict[str, Any]) -> dict[str, Any]:
    """Return what the machine says of itself."""
    resolver = read("/etc/resolv.conf")
    return {
        "release": _release(want["by_major"]),
        "hostname": socket.gethostname(),
        "machine_id": read("/etc/machine-id").strip(),
        "product_uuid": read("/sys/class/dmi/id/product_uuid").strip().lower(),
        "names": _hosts(want["names"]),
        "name_servers": name_servers(),
        "search": " ".join(re.findall(r"(?m)^\s*(?:search|domain)\s+(.*)$", resolver)[-1:]).split(),
        "proxies": sorted(_proxies())[:MOST_ENTRIES],
    }


def _release(by_major: list[str]) -> str:
    said = read("/etc/os-release")
    fields = dict(re.findall(r"(?m)^(ID|VERSION_ID)=[\"']?([\w.-]*)[\"']?\s*$", said))
    name, version = fields.get("ID", "").lower(), fields.get("VERSION_ID", "")
    return f"{name}-{version.partition('.')[0] if name in by_major else version}"


def name_servers() -> list[str]:
    """Return whom the machine asks for names."""
    found = re.findall(r"(?m)^\s*nameserver\s+(\S+)", read("/etc/resolv.conf"))
    return found[:MOST_ENTRIES]


def _hosts(names: list[str]) -> dict[str, list[str]]:
    """Look names up in the machine's own file; its name servers may be slow, or nowhere."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for line in read("/etc/hosts").splitlines():
        fields = line.partition("#")[0].lower().split()
        for name in fields[1:]:
            if name in found and len(found[name]) < MOST_ENTRIES:
                found[name].append(fields[0])
    return found


def _proxies() -> set[str]:
    # Where it is set, and never to what: there may be a password in it.
    found = {f"{name} in the environment" for name in os.environ if _PROXIES.match(name)}
    paths = [(Path(path), pattern) for path, pattern in _FILES]
    for folder, pattern in _FOLDERS:
        paths += [(Path(folder) / name, pattern) for name in names_in(folder)]
    for path, pattern in paths:
        found |= {f"{match} in {path}" for match in pattern.findall(read(str(path)))}
    return found
