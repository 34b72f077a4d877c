"""A lab node: a system container with its own systemd, sshd, containerd and network.

with lab() as site:
    site.nodes[0].run("containerd", "--version")
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import psutil
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.lab.rootfs import PACKAGES, LabError, rootfs_tarball, unpack
from tests.lab.slot import Slot, take_slot
from tests.lab.units import UNITS

T = TypeVar("T")
SSH_PORT: Final = 22
MEDIUM: Final = "/media/isoward"
_CGROUPS: Final = Path("/sys/fs/cgroup")
_BOOT_SECONDS: Final = 180.0
_STOP_SECONDS: Final = 10.0
# Documentation address (RFC 5737): nothing answers there, but a machine with a way out would try.
OUTSIDE: Final = ("198.51.100.1", 443)
_CONNECT: Final = (
    "import socket, sys; s = socket.socket(); s.settimeout(5); "
    "sys.exit(s.connect_ex((sys.argv[1], int(sys.argv[2]))))"
)
_INTERFACES: Final = """\
auto lo
iface lo inet loopback
auto host0
iface host0 inet static
    address {address}/{prefix}
"""


@dataclass
class LabNode:
    """A node, running or with its power cut.

    Attributes:
        name: Its host name.
        address: Its address on the bridge.
        host_key: The public key of its sshd, as a site file pins it.
        rootfs: Its root file system, seen from here.
        process: The container's supervisor.
        begin: Starts it again, from the same root file system.
        wait: Waits until it is up.
    """

    name: str
    address: str
    host_key: str
    rootfs: Path
    process: subprocess.Popen[bytes]
    begin: Callable[[], subprocess.Popen[bytes]]
    wait: Callable[[LabNode], None]

    def run(
        self, *argv: str, stdin: bytes = b"", timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program in the node, past its network and its sshd."""
        command = ["nsenter", "--all", f"--target={self._init().pid}", "--", *argv]
        done = subprocess.run(
            command, input=stdin, capture_output=True, timeout=timeout, check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                 "LANG": "C.UTF-8"},
        )  # fmt: skip
        if check and done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise LabError(f"{self.name}: {shlex.join(argv)} ended with {done.returncode}: {said}")
        return done

    def connect(self, address: str, port: int) -> int:
        """Connect within the node's network by this machine's Python; return the error's number."""
        command = ["nsenter", "--net", f"--target={self._init().pid}", "--", sys.executable]
        command += ["-c", _CONNECT, address, str(port)]
        return subprocess.run(command, check=False, timeout=60).returncode

    def stop(self) -> None:
        """Power the node off, and end it if it does not go."""
        if self.process.poll() is None:
            # Its init would outlive a supervisor that is killed, so it is remembered first.
            machine = psutil.Process(self.process.pid).children()
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                for init in machine:
                    with suppress(psutil.NoSuchProcess):
                        init.kill()
                self.process.kill()
                self.process.wait()

    def cut_power(self) -> None:
        """End all that runs in the node at once, as a power cut does; its disk stays as it is."""
        init = self._init()
        init.kill()
        self.process.wait(_STOP_SECONDS)

    def boot(self) -> None:
        """Start the node after its power was cut, and wait until it is up."""
        self.process = self.begin()
        self.wait(self)

    def _init(self) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        if not children:
            raise LabError(f"{self.name} is not running")
        return children[0]


@dataclass(frozen=True)
class Lab:
    """A site of lab nodes.

    Attributes:
        nodes: In order, node1 first.
        host_address: This machine's address on the bridge, where a depot can be served.
        ssh_key: Root's private key for all nodes; a file of mode 0600.
        timings: Seconds by phase.
    """

    nodes: tuple[LabNode, ...]
    host_address: str
    ssh_key: Path
    timings: dict[str, float] = field(default_factory=dict)


@contextmanager
def lab(
    nodes: int = 1, packages: Sequence[str] = PACKAGES, medium: Path | None = None
) -> Iterator[Lab]:
    """Bring up nodes on a bridge of their own, and remove every trace of them at the end.

    Args:
        nodes: How many.
        packages: What they have beside Debian's smallest set.
        medium: A folder that each node sees, read-only, as MEDIUM.
    Raises:
        LabError: It cannot be done here; the message says why.
    """
    if os.geteuid() != 0:
        raise LabError("a lab node needs root")
    timings: dict[str, float] = {}
    tarball = _timed(timings, "root file system", lambda: rootfs_tarball(packages))
    with take_slot() as slot, ExitStack() as stack:
        ssh_key, public = _make_key(slot.directory / "id_ed25519")
        names = [f"node{i + 1}" for i in range(nodes)]
        host_keys = _timed(
            timings, "unpack",
            lambda: [_prepare(slot, i, name, tarball, public) for i, name in enumerate(names)],
        )  # fmt: skip
        started = []
        for i, name in enumerate(names):
            begin = partial(_start, slot, name, medium)
            node = LabNode(name, slot.node_address(i), host_keys[i], slot.directory / name,
                           begin(), begin, partial(_wait, slot=slot))  # fmt: skip
            stack.callback(node.stop)
            started.append(node)
        _timed(timings, "boot", lambda: _wait_all(started, slot))
        for node in started:
            prove_no_way_out(node)
        yield Lab(tuple(started), slot.host_address, ssh_key, timings)


def prove_no_way_out(node: LabNode) -> str:
    """Check that nothing leaves the node but to its bridge.

    Returns:
        What was seen, for a person.
    Raises:
        LabError: There is a way out.
    """
    routes = node.run("ip", "-json", "route", "show", "default").stdout
    routes6 = node.run("ip", "-json", "-6", "route", "show", "default").stdout
    found = [*json.loads(routes or b"[]"), *json.loads(routes6 or b"[]")]
    if found:
        raise LabError(f"{node.name} has a default route: {found}")
    code = node.connect(*OUTSIDE)
    reason = os.strerror(code)
    if reason != "Network is unreachable":
        raise LabError(f"{node.name}: connecting to {OUTSIDE[0]} gave {reason!r}")
    return f"{node.name} has no default route; connecting to {OUTSIDE[0]}: {reason}"


def _prepare(slot: Slot, index: int, name: str, tarball: Path, authorized: str) -> str:
    """Unpack a node and give it its identity; return its public host key."""
    root = slot.directory / name
    unpack(tarball, root)
    _, host_key = _make_key(root / "etc/ssh/ssh_host_ed25519_key")
    _write(root / "root/.ssh/authorized_keys", authorized + "\n", 0o600)
    (root / "root/.ssh").chmod(0o700)
    _write(root / "etc/hostname", f"{name}\n")
    _write(root / "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    _write(root / "etc/resolv.conf", "")
    address = slot.node_address(index)
    interfaces = _INTERFACES.format(address=address, prefix=slot.network.prefixlen)
    _write(root / "etc/network/interfaces", interfaces)
    wanted = root / "etc/systemd/system/sysinit.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    for unit, text in UNITS.items():
        _write(root / "etc/systemd/system" / unit, text)
        (wanted / unit).symlink_to(f"/etc/systemd/system/{unit}")
    return host_key


def _start(slot: Slot, name: str, medium: Path | None) -> subprocess.Popen[bytes]:
    root = slot.directory / name
    argv = [
        "systemd-nspawn", "--quiet", "--register=no", f"--directory={root}",
        f"--machine={slot.unique(name)}", f"--hostname={name}",
        f"--network-bridge={slot.bridge}", "--capability=all", "--resolv-conf=off",
        "--timezone=off", "--link-journal=no", "--system-call-filter=@keyring bpf", "--boot",
    ]  # fmt: skip
    if medium is not None:
        argv.insert(-1, f"--bind-ro={medium}:{MEDIUM}")
    procs: list[str] = []
    if not Path("/run/systemd/system").is_dir():
        # No systemd here that would give it a scope, so it gets control groups of its own by hand.
        argv.insert(1, "--keep-unit")
        procs = _make_cgroups(slot.unique(name))
    script = 'while [ "$1" != -- ]; do echo $$ > "$1"; shift; done; shift; exec "$@"'
    with (slot.directory / f"{name}.console").open("wb") as console:
        process = subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", *procs, "--", *argv],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
        )  # fmt: skip
    slot.node_file(name).write_text(json.dumps(process.pid))
    return process


def _make_cgroups(name: str) -> list[str]:
    """Make a control group in every hierarchy; return the files that take a process id."""
    tops = [path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]
    if (_CGROUPS / "cgroup.procs").exists():
        tops = [_CGROUPS]
    for top in tops:
        (top / name).mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):
            # A version 1 cpuset takes no process before it was given processors and memory.
            if (top / setting).exists() and top != _CGROUPS:
                (top / name / setting).write_text((top / setting).read_text())
    return [str(top / name / "cgroup.procs") for top in tops]


def _wait_all(nodes: Sequence[LabNode], slot: Slot) -> None:
    for node in nodes:
        _wait(node, slot)


def _wait(node: LabNode, slot: Slot) -> None:
    deadline = time.monotonic() + _BOOT_SECONDS
    while not (_answers(node.address) and _is_up(node)):
        if node.process.poll() is not None or time.monotonic() > deadline:
            console = (slot.directory / f"{node.name}.console").read_text(errors="replace")
            seconds = f"{_BOOT_SECONDS:.0f}"
            raise LabError(f"{node.name} did not boot in {seconds} s:\n{console[-2000:]}")
        time.sleep(0.1)


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, SSH_PORT), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _is_up(node: LabNode) -> bool:
    said = node.run("systemctl", "is-system-running", check=False).stdout.decode().strip()
    return said in {"running", "degraded"}


def _make_key(path: Path) -> tuple[Path, str]:
    """Write a new Ed25519 key in OpenSSH's form; return its path and its public half."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    path.touch(mode=0o600)
    path.write_bytes(private)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return path, public.decode()


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not through a link that the root file system may have in its place.
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _timed(timings: dict[str, float], phase: str, work: Callable[[], T]) -> T:
    start = time.monotonic()
    result = work()
    timings[phase] = round(time.monotonic() - start, 2)
    return result


__all__: Sequence[str] = ("Lab", "LabError", "LabNode", "lab", "prove_no_way_out")
