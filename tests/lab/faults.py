"""Faults that are planted on lab nodes, one of each kind, and taken out again.

Three things cannot be had in a container as on a machine of its own, and are stood in for where the
questions look: the clock (all containers have the kernel's, so `date` is replaced), swap (the list
of the kernel is shared, so it is covered), and the memory (likewise).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.lab.node import LabNode

_CGROUPS: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Fault:
    """Something wrong with a node.

    Attributes:
        name: Of the fault.
        plant: A shell script on the node; OTHER and HOST are the addresses of the other node and
            of the machine that has the depot, ME is its own.
        undo: Takes it out again.
        here: What must be said of the node, as `question` or `question=verdict`; fail is meant.
        there: What must be said of the other one.
    """

    name: str
    plant: str
    undo: str
    here: frozenset[str] = field(default_factory=frozenset)
    there: frozenset[str] = field(default_factory=frozenset)

    def __str__(self) -> str:
        return self.name


def _fault(name: str, plant: str, undo: str, here: str = "", there: str = "") -> Fault:
    return Fault(name, plant, undo, frozenset(here.split()), frozenset(there.split()))


def _covered(name: str, path: str, content: str, here: str, there: str = "") -> Fault:
    """Return a file covered by what a script prints."""
    plant = f"({content}) > /run/planted; chmod --reference={path} /run/planted; "
    plant += f"mount --bind /run/planted {path}"
    return _fault(name, plant, f"umount {path}; rm -f /run/planted", here, there)


def _running(name: str, program: str, until: str, here: str, there: str = "") -> Fault:
    """Return a program that runs until it is taken out; it is ready when `until` succeeds."""
    plant = f"systemd-run --quiet --collect --unit=planted {program}; "
    wait = f"i=0; until {until}; do i=$((i+1)); test $i -lt 100; sleep 0.1; done"
    return _fault(
        name,
        plant + wait,
        "systemctl stop planted; rm -f /run/planted /run/docker.sock; true > /etc/resolv.conf",
        here,
        there,
    )


def _config(setting: str) -> str:
    return f"zcat /proc/config.gz | grep -v '^{setting}=' | gzip -c"


_LISTEN = (
    "import socket; s = socket.create_server(('0.0.0.0', {port})); "
    "[s.accept() for _ in iter(int, 1)]"
)
_DNS = (
    "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('127.0.0.9', 53))\n"
    "while True:\n"
    "    q, a = s.recvfrom(512)\n"
    "    r = bytes.fromhex('{record}')\n"
    "    s.sendto(q[:2] + bytes.fromhex('{header}') + q[12:] + r, a)"
)
_ANSWER = _DNS.format(record="c00c000100010000003c00045db8d822", header="81800001000100000000")
_REFUSAL = _DNS.format(record="", header="81850001000000000000")
_UNIX = (
    "import socket, os; s = socket.socket(socket.AF_UNIX); s.bind('/run/docker.sock'); s.listen(); "
    "[s.accept() for _ in iter(int, 1)]"
)
_LOCK = (
    "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); "
    "fcntl.lockf(f, fcntl.LOCK_EX); open('/run/planted', 'w').close(); time.sleep(600)"
)
_AHEAD = "printf '#!/bin/sh\\nexec python3 -c \"import time; print(time.time() + {seconds})\"\\n'"
_MARKER = (
    'mkdir -p /etc/isoward /etc/kubernetes; echo \'{{"site": "{site}"}}\' '
    "> /etc/isoward/site.json; echo x > /etc/kubernetes/admin.conf"
)

LOCAL: Final = (
    _covered("swap", "/proc/swaps", "cat /proc/swaps; echo /swap file 1048572 0 -2", "swap"),
    _fault("a default route", "ip route add default via $HOST", "ip route del default",
           "way-out=warn"),
    _fault("a default route of IPv6", "ip -6 route add default dev host0",
           "ip -6 route del default", "way-out=warn"),
    _fault("a full disk", "mount -t tmpfs -o size=1m none /var/lib/containerd",
           "umount /var/lib/containerd", "disk"),
    _fault("no room for files",
           "mount -t tmpfs -o size=99g,nr_inodes=99 none /var/lib/kubelet",
           "umount /var/lib/kubelet", "inodes"),
    _running("a port that is occupied", f'python3 -c "{_LISTEN.format(port=10250)}"',
             "ss -ltn | grep -q :10250", "ports"),
    _running("a name server that answers", f'python3 -c "{_ANSWER}"; '
             "echo nameserver 127.0.0.9 > /etc/resolv.conf", "ss -lun | grep -q 127.0.0.9",
             "outside-names"),
    _running("a name server that refuses, which is none",
             f'python3 -c "{_REFUSAL}"; echo nameserver 127.0.0.9 > /etc/resolv.conf',
             "ss -lun | grep -q 127.0.0.9", ""),
    _fault("no Python", "mount --bind /dev/null $(readlink -f /usr/bin/python3)",
           "umount $(readlink -f /usr/bin/python3)", "python"),
    _covered("an old Python", "$(readlink -f /usr/bin/python3)",
             "printf '#!/bin/sh\\necho 3.7.3\\n'", "python"),
    _fault("a read-only /usr", "mount --bind /usr /usr; mount -o remount,ro,bind /usr",
           "umount -l /usr", "read-only"),
    _fault("noexec on /tmp", "mount -o remount,noexec /tmp", "mount -o remount,exec /tmp",
           "noexec=warn"),
    _fault("noexec on /usr/local/bin",
           "mount --bind /usr/local/bin /usr/local/bin; "
           "mount -o remount,noexec,bind /usr/local/bin", "umount /usr/local/bin", "noexec"),
    _fault("what another cluster left",
           "mkdir -p /etc/kubernetes/manifests; touch /etc/kubernetes/manifests/x.yaml",
           "rm -r /etc/kubernetes", "leftover-cluster"),
    _fault("a kubelet",
           "cp /bin/sleep /usr/local/bin/kubelet; "
           "systemd-run --quiet --collect --unit=planted /usr/local/bin/kubelet 600",
           "systemctl stop planted; rm /usr/local/bin/kubelet", "leftover-cluster"),
    _fault("a machine of another site", _MARKER.format(site="elsewhere"),
           "rm -r /etc/isoward /etc/kubernetes", "leftover-cluster"),
    _fault("a machine of this site, which is none", _MARKER.format(site="lab"),
           "rm -r /etc/isoward /etc/kubernetes", ""),
    _fault("another plugin's configuration", "touch /etc/cni/net.d/10-flannel.conflist",
           "rm /etc/cni/net.d/10-flannel.conflist", "leftover-network"),
    _fault("another plugin's interface", "ip link add cni0 type bridge", "ip link del cni0",
           "leftover-network"),
    _fault("settings of Docker", "mkdir /etc/docker; echo '{}' > /etc/docker/daemon.json",
           "rm -r /etc/docker", "container-engine=warn"),
    _running("a Docker", f'python3 -c "{_UNIX}"', "test -e /run/docker.sock",
             "container-engine"),
    _fault("a filter that drops",
           "iptables -A INPUT -j ACCEPT; iptables -P INPUT DROP",
           "iptables -P INPUT ACCEPT; iptables -F INPUT", "firewall=warn"),
    _running("somebody at the packages", f'python3 -c "{_LOCK}"', "test -e /run/planted",
             "package-lock"),
    _covered("a package that is half installed", "/var/lib/dpkg/status",
             "sed '0,/^Status: install ok installed/s//Status: install ok half-configured/' "
             "/var/lib/dpkg/status", "packages"),
    _fault("a source without signatures",
           "mkdir -p /etc/apt/sources.list.d; echo 'deb [trusted=yes] file:/x ./' "
           "> /etc/apt/sources.list.d/x.list", "rm /etc/apt/sources.list.d/x.list",
           "packages=warn"),
    _fault("no br_netfilter",
           f"mount -t tmpfs none /proc/sys/net/bridge; {_config('CONFIG_BRIDGE_NETFILTER')} "
           "> /run/planted; mount --bind /run/planted /proc/config.gz",
           "umount /proc/sys/net/bridge /proc/config.gz; rm /run/planted", "bridge-netfilter"),
    _covered("a kernel without VXLAN", "/proc/config.gz", _config("CONFIG_VXLAN"),
             "kernel-features"),
    _fault("forwarding that cannot be set",
           "mount --bind /proc/sys/net/ipv4 /proc/sys/net/ipv4; "
           "mount -o remount,ro,bind /proc/sys/net/ipv4", "umount /proc/sys/net/ipv4",
           "ip-forward"),
    _covered("too little memory", "/proc/meminfo",
             "sed 's/^MemTotal:.*/MemTotal: 900000 kB/' /proc/meminfo", "memory"),
    _fault("a proxy", "echo http_proxy=http://proxy.example:3128 >> /etc/environment",
           "sed -i /http_proxy/d /etc/environment", "proxy"),
    _covered("a system that nobody supports", "/usr/lib/os-release",
             "printf 'ID=debian\\nVERSION_ID=10\\n'", "system os-packages"),
    _fault("settings of the kernel that cannot be made",
           "mkdir /run/planted; echo 7 > /run/planted/panic; "
           "mount --bind /run/planted/panic /proc/sys/kernel/panic; "
           "mount -o remount,ro,bind /proc/sys/kernel/panic",
           "umount /proc/sys/kernel/panic; rm -r /run/planted", "kernel-settings"),
    _fault("a panic that is right already, which is none",
           "echo 10 > /run/planted; mount --bind /run/planted /proc/sys/kernel/panic; "
           "mount -o remount,ro,bind /proc/sys/kernel/panic",
           "umount /proc/sys/kernel/panic; rm /run/planted"),
    _fault("a unit that failed", "systemd-run --quiet --wait --unit=broken false || true",
           "systemctl reset-failed broken", "systemd=warn"),
    _covered("a clock 30 s ahead", "/usr/bin/date", _AHEAD.format(seconds=30), "skew=warn"),
    _covered("a clock 200 s behind", "/usr/bin/date", _AHEAD.format(seconds=-200),
             "skew=warn clock"),
    _fault("a host name that is none", "hostname Node-X", "hostname $(cat /etc/hostname)",
           "hostname"),
    _covered("no localhost", "/etc/hosts", "grep -v localhost /etc/hosts", "own-name"),
    _covered("a wrong name", "/etc/hosts", "cat /etc/hosts; echo 10.9.9.9 node1 node2",
             "node-names"),
    _fault("a route into the network of the pods", "ip route add 10.233.64.0/24 dev host0",
           "ip route del 10.233.64.0/24", "networks"),
    _fault("an interface with another mask, which is none", "ip addr add 10.99.0.1/30 dev host0",
           "ip addr del 10.99.0.1/30 dev host0"),
    _fault("more name servers than pods can have",
           "printf 'nameserver 127.0.0.%s\\n' 2 3 4 5 > /etc/resolv.conf",
           "true > /etc/resolv.conf", "resolv-conf=warn"),
)  # fmt: skip
"""Faults of one node that the other one does not notice."""

SHARED: Final = (
    _fault("two host names alike", "hostname node1", "hostname node2",
           "unique-hostname hostname=warn", "unique-hostname"),
    _covered("two machine ids alike", "/etc/machine-id", "echo $OTHER_ID",
             "unique-machine-id", "unique-machine-id"),
    _fault("two sizes of packets", "ip link set host0 mtu 1400", "ip link set host0 mtu 1500",
           "mtu", "mtu"),
    _fault("a filter between the nodes",
           "iptables -I INPUT -s $OTHER -p tcp --dport 10250 -j DROP", "iptables -F INPUT",
           "", "reach-nodes"),
    _fault("a filter for the tunnel",
           "iptables -I INPUT -s $OTHER -p udp --dport 4789 -j DROP", "iptables -F INPUT",
           "", "reach-tunnel=warn"),
    _running("a way to the world", f'python3 -c "{_LISTEN.format(port=443)}"; '
             "ip addr add 9.9.9.9/32 dev lo", "ss -ltn | grep -q :443", "", "egress"),
)  # fmt: skip
"""Faults of a node, planted on the second one, of which the first one has to say something."""


@contextmanager
def planted(fault: Fault, node: LabNode, **names: str) -> Iterator[None]:
    """Plant a fault for the block, and take it out whatever happens."""
    words = "".join(f"{name}={value}; " for name, value in names.items())
    try:
        node.run("sh", "-ec", words + fault.plant)
        yield
    finally:
        node.run("sh", "-c", words + fault.undo, check=False)


@contextmanager
def slow_disk(node: LabNode, writes: int = 4) -> Iterator[None]:
    """Let a node's disk take no more than so many writes a second for the block."""
    number = node.rootfs.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    limits = _limits(node, device, str(writes))
    try:
        for file, text in limits.items():
            file.write_text(text)
        yield
    finally:
        for file in limits:
            file.write_text(f"{device} wiops=max" if file.name == "io.max" else f"{device} 0")


def _limits(node: LabNode, device: str, writes: str) -> dict[Path, str]:
    """Return the files that limit a node's control groups, and what to write into each."""
    (init,) = psutil.Process(node.process.pid).children()
    lines = Path(f"/proc/{init.pid}/cgroup").read_text().splitlines()
    paths = {line.split(":")[1]: line.split(":", 2)[2].lstrip("/") for line in lines}
    if "blkio" in paths:
        # Of version 1 each group has its own limit, whatever its parent's is.
        top = _CGROUPS / "blkio" / paths["blkio"]
        folders = [top, *(path for path in top.rglob("*") if path.is_dir())]
        return {path / "blkio.throttle.write_iops_device": f"{device} {writes}" for path in folders}
    group = Path(paths[""])
    # The machine's own group, above what its systemd has made.
    while group.parent.name and group.name in {"init.scope", "supervisor", "payload"}:
        group = group.parent
    for parent in reversed(group.parents):
        (_CGROUPS / parent / "cgroup.subtree_control").write_text("+io")
    return {_CGROUPS / group / "io.max": f"{device} wiops={writes}"}
