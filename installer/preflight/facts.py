"""Facts of a node: all of them in one answer to one program, which is sent along."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any, Final, Literal

import msgspec

from installer.preflight.question import Machine

_PACKAGE: Final = "installer.preflight.on_node"
_SHARED: Final = ("reading",)
# Runs on the node. It knows nothing: what is asked comes over standard input as source, and each
# part is asked beside the others, so that one which fails or hangs takes none along.
_LOADER: Final = """\
import json, os, sys, threading, time, types
work = json.load(sys.stdin)
found = {}
for name, source in work["sources"]:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
def ask(name):
    try:
        found[name] = sys.modules[work["package"] + "." + name].facts(work["want"])
    except Exception as error:
        found[name] = {"trouble": (type(error).__name__ + ": " + str(error))[:200]}
threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in work["parts"]]
for thread in threads:
    thread.start()
end = time.monotonic() + 15
for thread in threads:
    thread.join(max(0, end - time.monotonic()))
sys.stdout.write(json.dumps(dict(found)))
sys.stdout.flush()
os._exit(0)
"""


Count = Annotated[int, msgspec.Meta(ge=0, le=2**60)]
"""What a node counts or measures, and nothing that could not be reckoned with."""


class Cgroups(msgspec.Struct, frozen=True):
    """Control groups: version 0 for none."""

    version: Literal[0, 1, 2]
    controllers: list[str]


class Sysctl(msgspec.Struct, frozen=True):
    """A kernel setting."""

    value: str
    settable: bool


class MachineFacts(msgspec.Struct, frozen=True):
    """The kernel, and the machine's size."""

    kernel: str
    architecture: str
    cpus: Count
    memory_kib: Count
    swap: list[str]
    cgroups: Cgroups
    features: dict[str, str]
    """By name: present, absent or unknown."""
    sysctls: dict[str, Sysctl]
    selinux: str
    apparmor: bool
    container: str
    """What kind of container the machine is; empty for a machine of its own."""


class IdentityFacts(msgspec.Struct, frozen=True):
    """What the machine says of itself."""

    release: str
    """As bundles name it, such as `debian-12`."""
    hostname: str
    machine_id: str
    product_uuid: str
    names: dict[str, list[str]]
    """The addresses of names in /etc/hosts: localhost, and the nodes of the site."""
    name_servers: list[str]
    search: list[str]
    proxies: list[str]


class Place(msgspec.Struct, frozen=True):
    """The file system that a folder would be on; sizes in bytes."""

    at: str
    device: Count
    free: Count
    files: Count
    files_free: Count
    read_only: bool
    no_exec: bool


class Sync(msgspec.Struct, frozen=True):
    """How long a small write takes to reach the disk, 99 of 100 times, in milliseconds."""

    at: str
    writes: Count
    slow_ms: Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class DiskFacts(msgspec.Struct, frozen=True):
    """The file systems."""

    places: dict[str, Place]
    sync: Sync | None


class Interface(msgspec.Struct, frozen=True):
    """A network interface."""

    name: str
    mtu: Count
    mac: str
    addresses: list[str]


class Listener(msgspec.Struct, frozen=True):
    """A port of ours that somebody has."""

    port: Count
    process: str


class Firewall(msgspec.Struct, frozen=True):
    """Packet filters."""

    asked: bool
    drops: list[str]
    managers: list[str]


class Unreached(msgspec.Struct, frozen=True):
    """A port of another node from which nothing came back."""

    peer: str
    port: Count
    why: str


class NetworkFacts(msgspec.Struct, frozen=True):
    """The network."""

    interfaces: list[Interface]
    routes: list[str]
    listeners: list[Listener]
    firewall: Firewall
    unreached: list[Unreached]
    too_large: list[str]
    """Nodes that small packets reach and large ones do not."""
    silent: list[str]
    """Nodes that did not refuse a datagram to the port of their tunnel, where nobody listens."""


class Depot(msgspec.Struct, frozen=True):
    """How a depot answered; `ends` is when its certificate does, in seconds since 1970."""

    trouble: str
    statuses: list[Count]
    ends: Count


class OutsideFacts(msgspec.Struct, frozen=True):
    """What answered the node."""

    depots: list[Depot]
    connected: list[str]
    resolved: list[str]


class LeftoverFacts(msgspec.Struct, frozen=True):
    """What others have left."""

    site: str
    files: list[str]
    processes: list[str]
    networks: list[str]
    engines: list[str]
    engine_files: list[str]
    tasks: list[str]
    locks: list[str]
    unfinished: list[str]
    unsigned: list[str]


class Facts(msgspec.Struct, frozen=True):
    """What a node said; a part that it could not say is None, with the reason in `troubles`."""

    machine: MachineFacts | None = None
    identity: IdentityFacts | None = None
    disks: DiskFacts | None = None
    network: NetworkFacts | None = None
    outside: OutsideFacts | None = None
    leftovers: LeftoverFacts | None = None
    troubles: dict[str, str] = {}


_PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "machine": MachineFacts,
    "identity": IdentityFacts,
    "disks": DiskFacts,
    "network": NetworkFacts,
    "outside": OutsideFacts,
    "leftovers": LeftoverFacts,
}


def ask_facts(machine: Machine, want: Mapping[str, Any]) -> Facts:
    """Ask a node for all facts, as root.

    Args:
        machine: The node; it has Python.
        want: What the parts need to know.
    """
    names = (*_SHARED, *_PARTS)
    folder = resources.files(_PACKAGE)
    work = {
        "package": _PACKAGE,
        "sources": [
            (f"{_PACKAGE}.{name}", folder.joinpath(f"{name}.py").read_text(encoding="utf-8"))
            for name in names
        ],
        "parts": list(_PARTS),
        "want": want,
    }
    answer = machine.run_as_root("python3", "-I", "-c", _LOADER, stdin=json.dumps(work).encode())
    try:
        said = msgspec.json.decode(answer.out.encode(), type=dict[str, Any])
    except msgspec.MsgspecError:
        return Facts(troubles=dict.fromkeys(_PARTS, answer.said))
    return read_facts(said)


# msgspec learns a structure at its first use, and two threads that use one first at the same time
# end the process; nodes are asked by threads.
for _kind in _PARTS.values():
    msgspec.json.Decoder(_kind)


def read_facts(said: Mapping[str, Any]) -> Facts:
    """Read what a node said, which may be anything."""
    parts: dict[str, Any] = {}
    troubles = {}
    for name, kind in _PARTS.items():
        part = said.get(name, {"trouble": "no answer in time"})
        if isinstance(part, dict) and isinstance(part.get("trouble"), str):
            troubles[name] = part["trouble"][:200]
            continue
        try:
            parts[name] = msgspec.convert(part, kind)
        except msgspec.ValidationError as error:
            troubles[name] = str(error)[:200]
    return Facts(**parts, troubles=troubles)
