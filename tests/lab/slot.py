"""A slot: the number that gives a lab its bridge, its addresses and its folder.

Whoever holds the lock of a slot owns all of that. The lock ends with the process, however it ends,
so what is found under a slot that could be locked was left by a crash and is removed.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.lab.rootfs import LabError, cache_directory, run_tool

_LOCKS: Final = Path("/run/lock/isoward-lab")
_CGROUPS: Final = Path("/sys/fs/cgroup")
_SLOTS: Final = 32
_NETWORK: Final = "10.223.{number}.0/24"


@dataclass(frozen=True)
class Slot:
    """One lab's share of the machine.

    Attributes:
        number: From 1.
        directory: For the nodes' root file systems; removed at the end.
    """

    number: int
    directory: Path

    @property
    def bridge(self) -> str:
        return f"iwlab{self.number}"

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(_NETWORK.format(number=self.number))

    @property
    def host_address(self) -> str:
        """Where the nodes reach this machine."""
        return str(self.network[1])

    def node_address(self, index: int) -> str:
        return str(self.network[11 + index])

    def node_file(self, name: str) -> Path:
        """Where the process id of a node is kept, for whoever cleans up after a crash."""
        return self.directory / f"{name}.pid"

    def unique(self, name: str) -> str:
        """Return a node's name among all labs of this machine: its interface, its cgroups."""
        return f"{self.bridge}-{name}"


@contextmanager
def take_slot() -> Iterator[Slot]:
    """Hold a slot with its bridge, clean before and after.

    Raises:
        LabError: All are taken.
    """
    _LOCKS.mkdir(parents=True, exist_ok=True)
    routed = _routed_networks()
    for number in range(1, _SLOTS + 1):
        slot = Slot(number, cache_directory() / "nodes" / str(number))
        with (_LOCKS / f"{number}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            clean(slot)
            if any(slot.network.overlaps(other) for other in routed):
                continue
            try:
                _make_bridge(slot)
                slot.directory.mkdir(parents=True)
                yield slot
            finally:
                clean(slot)
            return
    raise LabError(f"all {_SLOTS} lab slots are taken")


def clean(slot: Slot) -> None:
    """Remove all that belongs to a slot: processes by their id, bridge, cgroups, folder."""
    for file in sorted(slot.directory.glob("*.pid")):
        _end_process(json.loads(file.read_text()), slot.directory)
    with suppress(LabError):
        # A killed node's interface outlives it for a moment, and the next node wants its name.
        for link in json.loads(run_tool("ip", "-json", "link", "show", "master", slot.bridge)):
            with suppress(LabError):
                run_tool("ip", "link", "delete", link["ifname"])
        run_tool("ip", "link", "delete", slot.bridge)
    for top in [*_CGROUPS.glob(f"{slot.bridge}-*"), *_CGROUPS.glob(f"*/{slot.bridge}-*")]:
        _remove_cgroup(top)
    shutil.rmtree(slot.directory, ignore_errors=True)


def _make_bridge(slot: Slot) -> None:
    run_tool("ip", "link", "add", slot.bridge, "type", "bridge")
    run_tool("ip", "address", "add", f"{slot.host_address}/{slot.network.prefixlen}",
             "dev", slot.bridge)  # fmt: skip
    # The air gap: no uplink, no IPv6, and what comes from the bridge is never passed on, whatever
    # the machine does for its other interfaces.
    Path(f"/proc/sys/net/ipv4/conf/{slot.bridge}/forwarding").write_text("0")
    with suppress(FileNotFoundError):
        Path(f"/proc/sys/net/ipv6/conf/{slot.bridge}/disable_ipv6").write_text("1")
    run_tool("ip", "link", "set", slot.bridge, "up")


def _routed_networks() -> list[ipaddress.IPv4Network]:
    """Return the networks that this machine already reaches, other lab bridges left out."""
    routes = json.loads(run_tool("ip", "-json", "-4", "route", "show") or "[]")
    return [
        ipaddress.IPv4Network(route["dst"])
        for route in routes
        if route["dst"] != "default" and not route.get("dev", "").startswith("iwlab")
    ]


def _end_process(pid: int, directory: Path) -> None:
    """End a node that a crash left: only if it is still the process that runs from our folder."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if any(str(directory) in argument for argument in process.cmdline()):
            # The machine first: its init outlives a supervisor that is killed.
            _kill([*process.children(), process])


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _remove_cgroup(top: Path) -> None:
    """Remove a control group of ours, ending what still runs in it."""
    for _ in range(50):
        left = {int(pid) for file in top.rglob("cgroup.procs") for pid in file.read_text().split()}
        for pid in left:
            with suppress(psutil.NoSuchProcess):
                _kill([psutil.Process(pid)])
        for path, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(path).rmdir()
        if not top.exists():
            return
        # The kernel lets go of a killed process's cgroup a moment later.
        time.sleep(0.05)
