"""Real clients that pull from the depot: skopeo, and a containerd of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.programs.processes import Child, running

_CONFIG = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "{directory}/c.sock"
[ttrpc]
  address = "{directory}/c.sock.ttrpc"
[debug]
  level = "warn"
"""


def skopeo(*arguments: str | Path) -> str:
    """Run skopeo and return what it says.

    Raises:
        AssertionError: It failed; the message has what it said.
    """
    return _run(["skopeo", "--insecure-policy", *map(str, arguments)])


def skopeo_raw(reference: str, *options: str | Path) -> bytes:
    """Return the bytes of a manifest or an index as skopeo gets them."""
    argv = ["skopeo", "inspect", "--raw", *map(str, options), reference]
    done = subprocess.run(argv, check=False, capture_output=True)
    assert done.returncode == 0, f"{' '.join(argv)}:\n{done.stderr.decode()[-2000:]}"
    return done.stdout


@dataclass(frozen=True)
class Containerd:
    """A running containerd with nothing in it.

    Attributes:
        child: Its process.
        address: Its socket.
        hosts: The folder of its registry mirrors: `<registry>/hosts.toml`.
    """

    child: Child
    address: Path
    hosts: Path

    def mirror(self, registry: str, depot: str, ca: Path) -> None:
        """Send everything that is asked of `registry` to the depot, and nowhere else."""
        name = registry.replace(":", "_") + "_" if ":" in registry else registry
        folder = self.hosts / name
        folder.mkdir(parents=True, exist_ok=True)
        text = (
            f'server = "https://nowhere.invalid"\n[host."{depot}"]\n'
            f'  capabilities = ["pull", "resolve"]\n  ca = "{ca}"\n'
        )
        (folder / "hosts.toml").write_text(text, encoding="utf-8")

    def ctr(self, *arguments: str) -> str:
        """Run ctr and return what it says."""
        return _run(["ctr", "--address", str(self.address), *arguments])

    def fetch(self, reference: str, platform: str) -> str:
        """Fetch an image's content through the mirror and return its digest."""
        self.ctr(
            "content", "fetch", "--hosts-dir", str(self.hosts), "--platform", platform, reference
        )
        for line in self.ctr("images", "list").splitlines():
            fields = line.split()
            if fields[0] == reference:
                return fields[2]
        raise AssertionError(f"{reference} is not among containerd's images")

    def blob(self, digest: str) -> Any:
        """Return a manifest that was fetched."""
        return json.loads(self.ctr("content", "get", digest))


@contextmanager
def private_containerd(directory: Path) -> Iterator[Containerd]:
    """Run a containerd whose state is all below `directory`; needs root."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "config.toml"
    config.write_text(_CONFIG.format(directory=directory), encoding="utf-8")
    address = directory / "c.sock"
    with running(
        "containerd",
        ["containerd", "--config", config],
        directory / "containerd.log",
        ready=lambda: _answers(address),
    ) as child:
        yield Containerd(child, address, directory / "hosts")


def _answers(address: Path) -> bool:
    argv = ["ctr", "--address", str(address), "--connect-timeout", "1s", "version"]
    if not address.exists():
        return False
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(argv)}:\n{done.stderr[-2000:]}"
    return done.stdout
