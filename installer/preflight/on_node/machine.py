"""Runs on a node: its kernel, its size, and what its kernel can do."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path
from typing import Any

from installer.preflight.on_node.reading import MOST_ENTRIES, read

_CGROUPS = Path("/sys/fs/cgroup")
_SYSCTL = Path("/proc/sys")
_CGROUP_FIELDS = 4


def facts(want: dict[str, Any]) -> dict[str, Any]:
    """Return what the machine is."""
    release = os.uname().release
    return {
        "kernel": release,
        "architecture": os.uname().machine,
        "cpus": len(os.sched_getaffinity(0)),
        "memory_kib": _memory(),
        "swap": [line.split()[0] for line in read("/proc/swaps").splitlines()[1:] if line.split()],
        "cgroups": _cgroups(),
        "features": _features(release, want["features"]),
        "sysctls": {name: _sysctl(name) for name in want["sysctls"]},
        "selinux": _selinux(),
        "apparmor": read("/sys/module/apparmor/parameters/enabled").strip() == "Y",
        "container": read("/run/systemd/container").strip(),
    }


def _memory() -> int:
    found = re.search(r"(?m)^MemTotal:\s+(\d+) kB", read("/proc/meminfo"))
    return int(found.group(1)) if found else 0


def _cgroups() -> dict[str, Any]:
    if (_CGROUPS / "cgroup.controllers").exists():
        return {"version": 2, "controllers": read(str(_CGROUPS / "cgroup.controllers")).split()}
    rows = [line.split() for line in read("/proc/cgroups").splitlines() if line[:1] != "#"]
    enabled = [row[0] for row in rows if len(row) == _CGROUP_FIELDS and row[3] == "1"]
    mounted = any(" cgroup " in line for line in read("/proc/mounts").splitlines())
    return {"version": 1 if mounted else 0, "controllers": enabled}


def _features(release: str, wanted: dict[str, list[str]]) -> dict[str, str]:
    """Say of each feature whether the kernel has it, by its own list of settings or modules.

    Args:
        release: Of the kernel.
        wanted: By name, the setting and the module that it may be in.
    """
    modules = f"/lib/modules/{release}"
    config = _config(release)
    loaded = {line.split()[0] for line in read("/proc/modules").splitlines() if line.split()}
    files = read(f"{modules}/modules.dep") + read(f"{modules}/modules.builtin")
    present = {_module_name(path) for path in re.findall(r"[^\s/:]+\.ko(?=[.\w]*[:\s])", files)}
    found = {}
    for name, (setting, module) in wanted.items():
        value = config.get(setting, "")
        if value == "y" or module in loaded or module in present:
            found[name] = "present"
        elif config or files:
            found[name] = "absent"
        else:
            found[name] = "unknown"
    return found


def _module_name(file: str) -> str:
    return file.partition(".")[0].replace("-", "_")


def _config(release: str) -> dict[str, str]:
    try:
        text = gzip.decompress(Path("/proc/config.gz").read_bytes()).decode("utf-8", "replace")
    except (OSError, EOFError):
        text = read(f"/boot/config-{release}") or read(f"/lib/modules/{release}/config")
    return dict(re.findall(r"(?m)^(CONFIG_\w+)=([ym])$", text))


def _sysctl(name: str) -> dict[str, Any]:
    path = _SYSCTL / name.replace(".", "/")
    return {
        "value": read(str(path)).strip()[:MOST_ENTRIES],
        "settable": path.exists() and os.access(path, os.W_OK),
    }


def _selinux() -> str:
    enforce = read("/sys/fs/selinux/enforce").strip()
    return {"1": "enforcing", "0": "permissive"}.get(enforce, "off")
