"""Stock clients of registries, each told the way that docs/CLIENTS.md tells."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs.go_tools import go_tool
from tests.support.programs.helm import helm
from tests.support.programs.needs import find_tool, requires_tool
from tests.support.registries.journey import ServedDepot
from tests.support.registries.oci import sha256

_SECONDS = 300


@dataclass(frozen=True)
class Clients:
    """All of them, on a machine that trusts one depot.

    Attributes:
        depot: Where from.
        home: Their home, with what they keep.
        short: A folder with a short path.
    """

    depot: ServedDepot
    home: Path
    short: Path

    @property
    def certs(self) -> Path:
        """The depot's authority as skopeo and podman want it."""
        return self.depot.cert_dir(self.home / "certs")

    def attempt(self, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a client and return how it ended."""
        return subprocess.run(
            [*self._program(name), *map(str, arguments)],
            cwd=self.home,
            # Nothing that this machine has set for registries or proxies may decide a test.
            env={
                "HOME": str(self.home),
                "PATH": os.environ["PATH"],
                "SSL_CERT_FILE": str(self.depot.ca),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )

    def run(self, name: str, *arguments: str | Path) -> str:
        """Run a client, which must succeed, and return its standard output."""
        done = self.attempt(name, *arguments)
        words = " ".join(map(str, arguments))
        assert done.returncode == 0, f"{name} {words}:\n{done.stdout[-500:]}\n{done.stderr[-2000:]}"
        return done.stdout

    def _program(self, name: str) -> list[str]:
        if name == "helm":
            return [str(helm())]
        if name in {"skopeo", "podman"}:
            requires_tool(name)
            program = find_tool(name)
            assert program is not None
            return [program, *(self._podman() if name == "podman" else ())]
        return [str(go_tool(name))]

    def _podman(self) -> list[str]:
        # podman takes no path of more than 50 characters here.
        return [
            f"--root={self.home}/root",
            f"--runroot={self.short}/run",
            f"--tmpdir={self.short}/tmp",
            "--storage-driver=vfs",
            "--events-backend=file",
            "--cgroup-manager=cgroupfs",
        ]


Copy = Callable[[Clients, str, Path], Sequence[str | Path]]
"""Returns the arguments that copy an image to a folder."""

WHOLE: dict[str, Copy] = {
    "crane": lambda _, image, to: ["pull", "--format", "oci", image, to],
    "oras": lambda on, image, to: [
        *("copy", "--from-ca-file", on.depot.ca, "--to-oci-layout", image, f"{to}:copied"),
    ],
    "regctl": lambda _, image, to: ["image", "copy", image, f"ocidir://{to}:copied"],
    "skopeo": lambda on, image, to: [
        *("copy", "--all", "--preserve-digests", "--src-cert-dir", on.certs),
        *(f"docker://{image}", f"dir:{to}"),
    ],
}
"""How each copies all that an image's index names."""

ONE: dict[str, Copy] = {
    "crane": lambda _, image, to: [
        *("pull", "--format", "oci", "--platform", "linux/amd64", image, to),
    ],
    "oras": lambda on, image, to: [
        *("copy", "--platform", "linux/amd64", "--from-ca-file", on.depot.ca),
        *("--to-oci-layout", image, f"{to}:copied"),
    ],
    "regctl": lambda _, image, to: [
        *("image", "copy", "--platform", "linux/amd64", image, f"ocidir://{to}:copied"),
    ],
    "skopeo": lambda on, image, to: [
        *("--override-os", "linux", "--override-arch", "amd64"),
        *("copy", "--preserve-digests", "--src-cert-dir", on.certs),
        *(f"docker://{image}", f"dir:{to}"),
    ],
}
"""How each copies one platform."""


def copied_digest(folder: Path) -> str:
    """Return the digest of what was copied, having compared every blob with its own."""
    if (folder / "manifest.json").exists():
        return sha256((folder / "manifest.json").read_bytes())
    blobs = [path for path in (folder / "blobs" / "sha256").iterdir() if path.is_file()]
    assert blobs
    for path in blobs:
        assert sha256(path.read_bytes()) == f"sha256:{path.name}"
    entries = json.loads((folder / "index.json").read_bytes())["manifests"]
    # oras lists below the root what else it copied; the root alone has the name that was given.
    named = [each for each in entries if len(entries) == 1 or each.get("annotations")]
    (entry,) = named
    return str(entry["digest"])
