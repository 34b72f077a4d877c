"""Images of the vendor's machine, from archives and a container engine, to clients of the depot."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    TransportError,
    UnsignedError,
)
from tests.support.depot.upstream_clients import private_containerd
from tests.support.programs.needs import requires_tool
from tests.support.registries.image_archives import (
    AMD64,
    ARM64,
    Podman,
    both_platforms,
    docker_archive,
    engine,
    oci_archive,
    podman,
    small_image,
)
from tests.support.registries.journey import Journey, Machine, ServedDepot, build, carry, served
from tests.support.trust.signature_rules import WAIVE_ALL_YAML

HOST = "registry.example.org"
DEFINITION = f"""\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {{name: local-images, version: 1.0.0}}
platforms: [{AMD64}]
images:
  - {{reference: "{HOST}/app/own:1.0", archive: images/docker-archive.tar}}
  - reference: "{HOST}/app/all:1.0"
    archive: images/oci-archive.tar
    platforms: [{AMD64}, {ARM64}]
  - {{reference: "{HOST}/app/dev:1.0", daemon: "localhost/dev:1.0"}}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    folder = tmp_path_factory.mktemp("engine")
    found = podman(folder / "store")
    found.load(docker_archive(folder, small_image(folder / "x", "dev")), "localhost/dev:1.0")
    return found


@pytest.fixture(scope="module")
def host(store: Podman) -> Iterator[str]:
    with engine(store) as address:
        yield address


@pytest.fixture(scope="module")
def journey(host: str, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    home = tmp_path_factory.mktemp("local")
    docker_archive(home / "images", small_image(home / "x", "own"))
    oci_archive(home / "images", both_platforms(home / "y", "all"))
    return carry(home, DEFINITION + WAIVE_ALL_YAML, host)


@pytest.fixture(scope="module")
def depot(journey: Journey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDepot]:
    with served(journey.machine, journey.depot, tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.mark.parametrize("name", ["own", "all", "dev"])
def test_skopeo_pulls_them_with_the_digests_of_the_lock(
    journey: Journey, depot: ServedDepot, tmp_path: Path, name: str
) -> None:
    images = {image["reference"]: image for image in journey.manifest()["images"]}
    certs = depot.cert_dir(tmp_path / "certs")
    source = f"docker://{depot.image(f'{HOST}/app/{name}:1.0')}"
    target = tmp_path / "pulled"
    command = ["skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests"]
    command += ["--src-cert-dir", str(certs), source, f"dir:{target}"]
    subprocess.run(command, check=True, capture_output=True)
    data = (target / "manifest.json").read_bytes()
    shown = subprocess.run(
        ["skopeo", "manifest-digest", target / "manifest.json"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.strip() == images[f"{HOST}/app/{name}:1.0"]["digest"]
    assert len(json.loads(data).get("manifests", [1])) == (2 if name == "all" else 1)


@pytest.mark.parametrize("name", ["own", "all", "dev"])
def test_containerd_pulls_them_by_the_names_that_the_definition_gave(
    journey: Journey, depot: ServedDepot, tmp_path: Path, name: str
) -> None:
    requires_tool("containerd", "ctr")
    images = {image["reference"]: image for image in journey.manifest()["images"]}
    reference = f"{HOST}/app/{name}:1.0"
    with private_containerd(tmp_path) as running:
        running.mirror(HOST, depot.url, depot.ca)
        assert running.fetch(reference, AMD64) == images[reference]["digest"]


def test_podman_runs_on_what_was_made_of_its_own_image(
    journey: Journey, depot: ServedDepot, store: Podman, tmp_path: Path
) -> None:
    """The config that the engine knows the image by came all the way through."""
    certs = depot.cert_dir(tmp_path / "certs")
    before = store.run("image", "inspect", "--format", "{{.Id}}", "localhost/dev:1.0")
    pulled = store.run("pull", "--quiet", "--cert-dir", certs, depot.image(f"{HOST}/app/dev:1.0"))
    assert pulled == before


def test_where_they_came_from_is_said_and_no_host_is(journey: Journey) -> None:
    manifest = journey.manifest()
    assert {image["reference"]: image["origin"] for image in manifest["images"]} == {
        f"{HOST}/app/own:1.0": {"archive": "images/docker-archive.tar"},
        f"{HOST}/app/all:1.0": {"archive": "images/oci-archive.tar"},
        f"{HOST}/app/dev:1.0": {"daemon": "localhost/dev:1.0"},
    }
    assert "sources" not in manifest
    page = journey.machine.run("inspect", journey.bundle)
    assert "from archive images/docker-archive.tar" in page
    assert "from daemon image localhost/dev:1.0" in page
    assert str(journey.machine.home) not in journey.lock.read_text()


def test_a_second_lock_says_that_nothing_changed(journey: Journey) -> None:
    said = journey.machine.result("lock", journey.definition, "-o", journey.lock)
    assert said["changes"] == []


def test_a_cached_build_needs_neither_archive_nor_engine(journey: Journey, tmp_path: Path) -> None:
    lock = Path(shutil.copy(journey.lock, tmp_path))
    machine = Machine(journey.machine.home, "unix:///nowhere.sock")
    made = build(machine, lock, tmp_path / "b", journey.release, journey.keys)
    assert made["fetched"] == 0


def _elsewhere(journey: Journey, folder: Path) -> Path:
    shutil.copytree(journey.machine.home / "images", folder / "images")
    return Path(shutil.copy(journey.lock, folder / "definition.lock.yaml"))


def test_another_machine_builds_the_same(journey: Journey, host: str, tmp_path: Path) -> None:
    lock = _elsewhere(journey, tmp_path)
    made = build(Machine(tmp_path, host), lock, tmp_path / "b", journey.release, journey.keys)
    assert made["fetched"] == made["blobs"]
    assert (tmp_path / "b" / "bundle.json").read_bytes() == (
        journey.bundle / "bundle.json"
    ).read_bytes()


def _refused(journey: Journey, machine: Machine, lock: Path, error: type[Exception]) -> str:
    key = journey.keys / "build.pem"
    done = machine.attempt(
        "build", lock, "-o", lock.parent / "b", "--release", journey.release, "--key", key
    )
    assert done.returncode == error.exit_code, done.stderr  # type: ignore[attr-defined]
    assert not (lock.parent / "b").exists()
    return done.stderr


def test_a_build_names_the_archive_that_is_not_there_or_another(
    journey: Journey, host: str, tmp_path: Path
) -> None:
    lock, machine = _elsewhere(journey, tmp_path), Machine(tmp_path, host)
    archive = tmp_path / "images" / "docker-archive.tar"
    archive.unlink()
    said = _refused(journey, machine, lock, DefinitionError)
    assert "images/docker-archive.tar: no such file" in said
    docker_archive(tmp_path / "images", small_image(tmp_path / "z", "other"))
    said = _refused(journey, machine, lock, DigestMismatchError)
    assert "from archive images/docker-archive.tar" in said


def test_a_build_says_that_the_engine_is_away_or_has_another_image(
    journey: Journey, store: Podman, host: str, tmp_path: Path
) -> None:
    lock = _elsewhere(journey, tmp_path)
    away = Machine(tmp_path, "unix:///nowhere.sock")
    assert "container engine" in _refused(journey, away, lock, TransportError)
    other = docker_archive(tmp_path / "o", small_image(tmp_path / "z", "other"))
    image = store.run("image", "inspect", "--format", "{{.Id}}", "localhost/dev:1.0")
    try:
        store.load(other, "localhost/dev:1.0")
        said = _refused(journey, Machine(tmp_path, host), lock, DigestMismatchError)
        assert "from daemon image localhost/dev:1.0" in said
    finally:
        store.run("tag", image, "localhost/dev:1.0")


def test_what_the_engine_does_not_have_is_said(host: str, tmp_path: Path) -> None:
    text = DEFINITION.split("images:", maxsplit=1)[0] + (
        f'images: [{{reference: "{HOST}/app/x:1", daemon: "localhost/absent:1"}}]\n'
    )
    (tmp_path / "d.yaml").write_text(text + WAIVE_ALL_YAML)
    done = Machine(tmp_path, host).attempt("lock", tmp_path / "d.yaml")
    assert (done.returncode, "localhost/absent:1" in done.stderr) == (
        DefinitionError.exit_code,
        True,
    )


def test_local_images_fall_under_the_signature_rules(host: str, tmp_path: Path) -> None:
    docker_archive(tmp_path / "images", small_image(tmp_path / "x", "own"))
    text = DEFINITION.split("images:", maxsplit=1)[0] + (
        f"images: [{{reference: '{HOST}/app/own:1.0', archive: images/docker-archive.tar}}]\n"
    )
    (tmp_path / "d.yaml").write_text(text)
    done = Machine(tmp_path).attempt("lock", tmp_path / "d.yaml")
    assert done.returncode == UnsignedError.exit_code
    assert not (tmp_path / "d.lock.yaml").exists()
