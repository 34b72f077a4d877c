"""Real clients pull from the depot: skopeo, and containerd as a mirror's client."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from bundle.base.reference import path_host
from tests.support.depot.imported import (
    RunningDepot,
    import_now,
    real_images,
    serving,
    signed_bundle,
)
from tests.support.programs.needs import find_tool, requires_the_kernels_clock, requires_tool
from tests.support.programs.processes import running
from tests.support.trust.release_kit import enrolled, make_release

REFERENCES = (
    "docker.io/library/debian:12",
    "docker.io/bitnami/redis:7",
    "quay.example.org/app/web:2.1",
    "registry.example.org:5000/app/web:2.1",
)


@dataclass
class Pulled:
    served: RunningDepot
    digests: dict[str, str]


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulled]:
    requires_the_kernels_clock()
    base = tmp_path_factory.mktemp("clients")
    kit = make_release(base / "vendor")
    lock, blobs = real_images(base / "trees", *REFERENCES)
    enrolled(base / "depot", kit)
    import_now(signed_bundle(base / "bundle", kit, lock, blobs), base / "depot")
    with serving(base / "depot", base) as served:
        yield Pulled(served, {image.reference: image.digest for image in lock.images})


def _depot_name(reference: str) -> str:
    host, _, rest = reference.partition("/")
    return f"{path_host(host)}/{rest}"


def _tool(name: str, *arguments: str) -> str:
    program = find_tool(name)
    assert program is not None
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{name} {' '.join(arguments)}:\n{done.stderr}"
    return done.stdout


def _skopeo(depot: Pulled, work: Path, *arguments: str) -> str:
    requires_tool("skopeo")
    certificates = work / "certificates"
    certificates.mkdir(exist_ok=True)
    shutil.copy(depot.served.ca, certificates / "ca.crt")
    command, *rest = arguments
    option = "--src-cert-dir" if command == "copy" else "--cert-dir"
    return _tool("skopeo", command, f"{option}={certificates}", *rest)


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_skopeo_copies_an_image(depot: Pulled, tmp_path: Path, reference: str, by: str) -> None:
    name = _depot_name(reference)
    if by == "digest":
        name = f"{name.rpartition(':')[0]}@{depot.digests[reference]}"
    target = tmp_path / "layout"
    source = f"docker://{depot.served.host}/{name}"
    _skopeo(depot, tmp_path, "copy", "--all", source, f"oci:{target}:copied")
    (entry,) = json.loads((target / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == depot.digests[reference]
    for path in (target / "blobs" / "sha256").iterdir():
        assert digest_of(path.read_bytes()) == f"sha256:{path.name}"


def test_skopeo_inspects_and_lists(depot: Pulled, tmp_path: Path) -> None:
    source = f"docker://{depot.served.host}/docker.io/library/debian"
    found = json.loads(_skopeo(depot, tmp_path, "inspect", f"{source}:12"))
    assert found["Digest"] == depot.digests[REFERENCES[0]]
    assert json.loads(_skopeo(depot, tmp_path, "list-tags", source))["Tags"] == ["12"]


@dataclass
class Containerd:
    socket: Path
    hosts: Path

    def ctr(self, *arguments: str) -> str:
        return _tool("ctr", "--address", str(self.socket), *arguments)


@pytest.fixture
def containerd(depot: Pulled, tmp_path: Path) -> Iterator[Containerd]:
    """A containerd of its own, for which the depot is the mirror of every registry."""
    requires_tool("containerd", "ctr", "runc")
    socket = tmp_path / "c.sock"
    config = tmp_path / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{tmp_path}/root"\nstate = "{tmp_path}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n'
        f'[plugins."io.containerd.internal.v1.opt"]\npath = "{tmp_path}/opt"\n'
    )
    hosts = tmp_path / "hosts"
    for reference in REFERENCES:
        folder = hosts / reference.partition("/")[0]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts.toml").write_text(
            f'server = "{depot.served.url}"\nca = "{depot.served.ca}"\n'
            f'[host."{depot.served.url}"]\ncapabilities = ["pull", "resolve"]\n'
            f'ca = "{depot.served.ca}"\n'
        )
    program = find_tool("containerd")
    assert program is not None
    argv = [program, "--config", str(config)]
    with running("containerd", argv, tmp_path / "containerd.log", ready=socket.exists):
        yield Containerd(socket, hosts)


@pytest.mark.root
@pytest.mark.parametrize("reference", REFERENCES)
def test_containerd_pulls_as_if_from_the_registry(
    depot: Pulled, containerd: Containerd, reference: str
) -> None:
    digest = depot.digests[reference]
    common = ("images", "pull", "--hosts-dir", str(containerd.hosts), "--snapshotter", "native")
    containerd.ctr(*common, "--platform", "linux/amd64", reference)
    by_digest = f"{reference.rpartition(':')[0]}@{digest}"
    containerd.ctr(*common, "--platform", "linux/amd64", by_digest)
    listed = containerd.ctr("images", "list")
    assert sum(digest in line for line in listed.splitlines()) == 2
