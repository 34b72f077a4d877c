"""Image archives as people have them: made by skopeo and podman, from images made in memory."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs.needs import requires_root, requires_tool
from tests.support.programs.processes import running
from tests.support.registries.oci import Artifact, image, index, layer_of, write_layout

AMD64, ARM64 = "linux/amd64", "linux/arm64"


def small_image(folder: Path, seed: str, platform: str = AMD64, layers: int = 2) -> Artifact:
    """Make an image with a few small layers."""
    made = []
    for number in range(layers):
        tree = folder / f"{seed}-{platform.replace('/', '-')}-{number}"
        tree.mkdir(parents=True)
        (tree / f"file-{number}").write_bytes(f"{seed} {platform} {number}\n".encode() * 5000)
        made.append(layer_of(tree))
    return image(made, platform, ["/bin/true"], {"seed": seed})


def both_platforms(folder: Path, seed: str) -> Artifact:
    """Make an index of an image for two platforms."""
    return index([small_image(folder, seed, platform) for platform in (AMD64, ARM64)])


def skopeo_copy(source: str, target: str, *options: str) -> None:
    """Copy an image from one place to another, as skopeo names places."""
    requires_tool("skopeo")
    command = ["skopeo", "--insecure-policy", "copy", "--quiet", *options, source, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def docker_archive(folder: Path, made: Artifact, name: str = "own:1.0") -> Path:
    """Have skopeo write a docker-archive."""
    return _archive(folder, made, "docker-archive", name)


def oci_archive(folder: Path, made: Artifact, name: str = "own:1.0") -> Path:
    """Have skopeo write an OCI archive, of all platforms."""
    return _archive(folder, made, "oci-archive", name, "--all")


def _archive(folder: Path, made: Artifact, form: str, name: str, *options: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    layout, target = folder / f"{form}-layout", folder / f"{form}.tar"
    write_layout(layout, {"x": made})
    skopeo_copy(f"oci:{layout}:x", f"{form}:{target}:{name}", *options)
    shutil.rmtree(layout)
    return target


@dataclass(frozen=True)
class Podman:
    """A podman with a store of its own, which nobody else sees.

    Attributes:
        folder: Where the store is.
    """

    folder: Path

    def argv(self, *arguments: str | Path) -> list[str]:
        """Return a command line."""
        own = ["--cgroup-manager=cgroupfs", "--tmpdir", self.folder / "tmp"]
        return ["podman", *map(str, own), *map(str, arguments)]

    def run(self, *arguments: str | Path) -> str:
        """Run podman, which must succeed."""
        done = subprocess.run(
            self.argv(*arguments), capture_output=True, text=True, check=False, env=self.environment
        )
        assert done.returncode == 0, f"podman {arguments}: {done.stderr}"
        return done.stdout.strip()

    def load(self, archive: Path, name: str) -> None:
        """Take the image of an archive, under a name."""
        loaded = self.run("pull", "--quiet", f"docker-archive:{archive}")
        self.run("tag", loaded, name)

    @property
    def environment(self) -> dict[str, str]:
        """The machine's, with the store's own configuration."""
        return {**os.environ, "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf")}


def podman(folder: Path) -> Podman:
    """Return a podman with an empty store."""
    requires_tool("podman")
    requires_root()
    folder.mkdir(parents=True)
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    )
    return Podman(folder)


@contextmanager
def engine(store: Podman) -> Iterator[str]:
    """Serve a podman's store by Docker's API; yields what DOCKER_HOST must be."""
    socket = store.folder / "engine.sock"
    argv = store.argv("system", "service", "--time=0", f"unix://{socket}")
    log = store.folder / "service.log"
    with running("podman system service", argv, log, ready=socket.exists, env=store.environment):
        yield f"unix://{socket}"
