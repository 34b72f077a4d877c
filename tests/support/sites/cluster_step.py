"""A site whose machines are loopback SSH servers, and a depot with a small Kubespray for it.

The Kubespray is a stand-in that has plays and tasks of its own; Ansible, ssh and pip are real. The
environment's only wheel has an ansible-playbook that is this environment's.
"""

from __future__ import annotations

import io
import json
import pickle
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import paramiko
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.kinds.python_packages import PythonEnvironment, PythonSet, WheelEntry
from bundle.model.manifest import Manifest
from installer.core.step import Context
from installer.depot.accepted import AcceptedContent
from installer.depot.directory import DepotDirectory, ImportRecord
from installer.preflight.ssh import connect
from installer.records.receipt import make_run_directory
from installer.site.document import Site
from installer.site.load import parse_site
from installer.steps.create_cluster import ClusterStep
from tests.lab.ssh_server import ssh_server
from tests.support.cluster.kubespray import StandIn, stand_in
from tests.support.packages.python_index import wheel
from tests.support.sites.clusters import cluster_data, kubespray_manifest

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(
    platform.machine(), "linux/amd64"
)
WHEEL = "ansible_stand_in-1.0-py3-none-any.whl"
SITE = "st-example"

_PROGRAM = """\
import os, sys

def main():
    program = {program!r}
    os.execv(program, [program, *sys.argv[1:]])
"""

PLAYS: list[dict[str, Any]] = [
    {
        "name": "Inventory setup",
        "hosts": "all",
        "gather_facts": False,
        "roles": [{"role": "dynamic_groups"}],
    },
    {
        "name": "Prepare the machines",
        "hosts": "k8s_cluster:etcd",
        "gather_facts": False,
        "any_errors_fatal": True,
        "roles": [{"role": "machine"}],
    },
]
TASKS: list[dict[str, Any]] = [
    {
        "name": "Write a file",
        "copy": {
            "content": "{{ inventory_hostname }}\n",
            "dest": "{{ machine_root }}/{{ inventory_hostname }}",
            "mode": "0600",
        },
    },
    {"name": "Look", "command": {"cmd": "uname -s"}, "changed_when": False},
]


def tree(*more: Mapping[str, Any]) -> StandIn:
    """Return a stand-in whose cluster.yml writes a file on each machine, and then does more."""
    made = stand_in()
    made.put("cluster.yml", [{"import_playbook": "playbooks/ansible_version.yml"}, *PLAYS])
    made.put("roles/machine/tasks/main.yml", [*TASKS, *more])
    return made


def tar_of(made: StandIn) -> bytes:
    """Return a tree as the bundle carries it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:") as tar:
        for path, data in sorted(made.files.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
        for path, target in sorted(made.links.items()):
            info = tarfile.TarInfo(path)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    return packed.getvalue()


def environment_wheel() -> bytes:
    """Return a wheel whose ansible-playbook is the one of this environment."""
    program = str(Path(sys.executable).parent / "ansible-playbook")
    files = {
        "ansible_stand_in.py": _PROGRAM.format(program=program),
        "ansible_stand_in-1.0.dist-info/entry_points.txt": (
            "[console_scripts]\nansible-playbook = ansible_stand_in:main\n"
        ),
    }
    return wheel(WHEEL, files=files)


@dataclass
class Notes:
    """Remembers what a person would have seen."""

    lines: list[str] = field(default_factory=list)
    started: list[tuple[str, int, str]] = field(default_factory=list)
    advanced: int = 0

    def start(self, title: str, total: int, unit: str = "B") -> None:
        self.started.append((title, total, unit))

    def advance(self, amount: int) -> None:
        self.advanced += amount

    def note(self, text: str) -> None:
        self.lines.append(text)

    def finish(self) -> None:
        pass


@dataclass
class ClusterWorld:
    """Machines, and a depot.

    Attributes:
        folder: Everything is in it.
        site: With a cluster.
        manifest: Of the bundle that `context` is given.
        sizes: Of its blobs.
        variables: What the overrides set for all machines.
    """

    folder: Path
    site: Site
    manifest: Manifest
    sizes: dict[str, int]
    variables: Mapping[str, Any] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)

    @property
    def depot(self) -> DepotDirectory:
        return DepotDirectory(self.folder / "depot")

    @property
    def root(self) -> Path:
        """Where the machines' tasks write."""
        return self.folder / "machine"

    @property
    def state(self) -> Path:
        return self.depot.path / "sites" / SITE

    def carry(self, made: StandIn) -> None:
        """Put another tree into the bundle."""
        digest = self.put(tar_of(made))
        assert self.manifest.kubespray is not None
        entry = msgspec.structs.replace(self.manifest.kubespray, tree=digest)
        self.manifest = msgspec.structs.replace(self.manifest, kubespray=entry)

    def set_environment(self, wheels: Mapping[str, bytes]) -> None:
        """Let the bundle's environment for Kubespray have these wheels."""
        files = tuple(WheelEntry(name=n, digest=self.put(data)) for n, data in wheels.items())
        environment = PythonEnvironment(
            name="kubespray", python=PYTHON, platform=PLATFORM, wheels=tuple(sorted(wheels))
        )
        found = PythonSet(name="installer", files=files, environments=(environment,))
        self.manifest = msgspec.structs.replace(self.manifest, python_packages=(found,))

    def put(self, data: bytes) -> str:
        """Put a blob into the depot, and return its digest."""
        digest = digest_of(data)
        self.depot.blobs.mkdir(parents=True, exist_ok=True)
        self.depot.blob_path(digest).write_bytes(data)
        self.sizes[digest] = len(data)
        return digest

    def context(self, **changes: Any) -> Context:
        """Return what a step is given, with a fresh folder for the run."""
        key = self.folder / "key"
        overrides = {"group_vars/all/machine.yml": json.dumps(dict(self.variables)).encode()}
        made = Context(
            site=self.site,
            site_path=self.folder / "site.yaml",
            ssh_key=key,
            depot=self.depot,
            bundle=AcceptedContent(_record(), self.manifest, self.sizes),
            ca=b"",
            state=self.state,
            run=make_run_directory(self.depot.runs, SITE, datetime.now(UTC)),
            overrides=overrides,
            secrets={},
            connect=lambda node: connect(self.site, key, node),
            now=lambda: datetime.now(UTC),
            progress=self.notes,
        )
        return replace(made, **changes)


def run_elsewhere(world: ClusterWorld, log: Path) -> subprocess.Popen[bytes]:
    """Start the step in a process of its own, which a test may kill."""
    parts = (world.folder, world.site, world.manifest, world.sizes, dict(world.variables))
    (world.folder / "world.pickle").write_bytes(pickle.dumps(parts))
    command = [sys.executable, "-m", "tests.support.sites.cluster_step"]
    command.append(str(world.folder / "world.pickle"))
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=Path(__file__).parents[3], stdout=output, stderr=output
        )


@contextmanager
def cluster_world(folder: Path, nodes: int = 2) -> Iterator[ClusterWorld]:
    """Serve machines until the end of the block."""
    client, _ = _key(folder / "key")
    with ExitStack() as stack:
        servers, lines = [], []
        for i in range(nodes):
            host, line = _key(None)
            servers.append(stack.enter_context(ssh_server(host, client, f"127.0.0.{11 + i}")))
            lines.append(line)
        places = [(f"127.0.0.{11 + i}", server.port) for i, server in enumerate(servers)]
        variables = {
            "machine_root": str(folder / "machine"),
            "ansible_python_interpreter": sys.executable,
            # The machines are this one, whose own work is not waited for.
            "settle_wait_for": "isoward-none",
        }
        world = make_world(folder, places, lines, variables)
        world.root.mkdir()
        world.set_environment({WHEEL: environment_wheel()})
        yield world


def make_world(
    folder: Path,
    places: Sequence[tuple[str, int]],
    host_keys: Sequence[str],
    variables: Mapping[str, Any],
) -> ClusterWorld:
    """Return a world of machines that answer at these addresses and ports.

    Args:
        folder: With the private key for all of them in `key`.
        places: Of the machines.
        host_keys: Likewise.
        variables: What the overrides set for all of them.
    """
    data = _site_data(host_keys)
    (folder / "site.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    site = _placed(parse_site((folder / "site.yaml").read_bytes(), "site.yaml"), places)
    manifest = kubespray_manifest("calico")
    sizes = {blob.digest: blob.size for blob in manifest.blobs}
    world = ClusterWorld(folder, site, manifest, sizes, variables)
    world.depot.runs.mkdir(parents=True)
    world.state.mkdir(parents=True, mode=0o700)
    world.carry(tree())
    return world


def _site_data(lines: Sequence[str]) -> dict[str, Any]:
    data = cluster_data(len(lines), "calico")
    data["metadata"]["name"] = SITE
    data["ssh"] = {"user": "root", "key": "key"}
    data["zones"] = [{"name": "clinical", "networks": ["10.20.0.0/16"]}]
    for i, line in enumerate(lines):
        data["nodes"][i] |= {
            "zone": "clinical",
            "hostKey": line,
            "roles": ["control-plane", "etcd", "worker"] if i == 0 else ["worker"],
        }
    return data


def _placed(site: Site, places: Sequence[tuple[str, int]]) -> Site:
    """Put the machines where no real site has any."""
    nodes = tuple(
        msgspec.structs.replace(node, address=address, port=port)
        for node, (address, port) in zip(site.nodes, places, strict=True)
    )
    return msgspec.structs.replace(site, nodes=nodes)


def _key(path: Path | None) -> tuple[paramiko.PKey, str]:
    """Make a key; return it and its public line."""
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()
    if path is not None:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
    loaded = paramiko.Ed25519Key.from_private_key(io.StringIO(text))
    return loaded, f"ssh-ed25519 {loaded.get_base64()}"


def _record() -> ImportRecord:
    some = digest_of(b"bundle.json")
    return ImportRecord(
        api_version="isoward/v1",
        kind="Import",
        sequence=1,
        when="2026-01-01T00:00:00Z",
        metadata=Metadata(name="hospital-platform", version="1.0.0"),
        digest=some,
        release=1,
        root="root",
        root_version=1,
        signers=(),
        blobs=1,
        size=1,
        new_blobs=1,
        new_size=1,
    )


def kept_files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, by its path there."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _main(path: str) -> None:
    world = ClusterWorld(*pickle.loads(Path(path).read_bytes()))
    ClusterStep().run(world.context())


if __name__ == "__main__":
    _main(sys.argv[1])
