"""Stock clients pull all kinds of content from a depot, and what they cannot do is in the docs.

crane, oras, regctl, skopeo, podman, helm and cosign, in the versions of go_tools.py and helm.py in
tests/support/programs, and of Debian; and the conformance suite of the distribution
specification in its read-only mode. containerd is in tests/integration/journey/test_depot_pulls.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.support.packages.debian_images import AMD64, ARM64, content_cache, recipes
from tests.support.programs.go_tools import BUILD_SECONDS, go_tool
from tests.support.programs.helm import helm_on_path
from tests.support.programs.needs import requires_tool
from tests.support.programs.stock_clients import ONE, WHOLE, Clients, copied_digest
from tests.support.registries.definition import BOTH_PLATFORMS
from tests.support.registries.journey import ServedDepot, served, travel
from tests.support.registries.oci import sha256
from tests.support.registries.registry import Registry, distribution_registry
from tests.support.registries.seeded import SeededImage, Upstream
from tests.support.registries.seeded import upstream as run_upstream

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(BUILD_SECONDS + 600)]
IMAGES = ("hello", "tzdata", "ca-certificates", "gzip")
"""Signed; an index that travelled whole; one of which one platform did; Docker's schema 2."""
PARTIAL = "ca-certificates"
DOCUMENT = Path(__file__).parents[3] / "docs" / "CLIENTS.md"


@dataclass(frozen=True)
class World:
    """What is upstream, and the depot that it travelled to."""

    upstream: Upstream
    depot: ServedDepot
    key: Path

    def image(self, name: str) -> SeededImage:
        return self.upstream.seeded.image(name)

    def where(self, name: str) -> str:
        """Return an image's reference in the depot."""
        return self.depot.image(self.image(name).reference)

    def repository(self, name: str) -> str:
        return self.where(name).rpartition(":")[0]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_tool("docker-registry", "skopeo", "apt-get", "dpkg-deb")
    helm_on_path()
    base = tmp_path_factory.mktemp("stock")
    chosen = recipes(*IMAGES, "busybox")
    with run_upstream(base, content_cache(), chosen) as upstream:
        journey = travel(tmp_path_factory.mktemp("home"), upstream)
        key = base / "publisher.pub"
        key.write_bytes(upstream.seeded.public_key)
        with served(journey.machine, journey.depot, base) as depot:
            yield World(upstream, depot, key)


@pytest.fixture
def clients(world: World, tmp_path: Path) -> Iterator[Clients]:
    with tempfile.TemporaryDirectory(prefix="is-") as short:
        yield Clients(world.depot, tmp_path, Path(short))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without the referrers API, to mirror into."""
    with distribution_registry(tmp_path_factory.mktemp("second")) as registry:
        yield registry


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("client", sorted(WHOLE))
def test_an_image_is_copied_whole(
    world: World, clients: Clients, tmp_path: Path, client: str, name: str
) -> None:
    arguments = WHOLE[client](clients, world.where(name), tmp_path / "copy")
    if name != PARTIAL:
        clients.run(client, *arguments)
        assert copied_digest(tmp_path / "copy") == world.image(name).digest
        return
    done = clients.attempt(client, *arguments)
    assert done.returncode != 0
    # It says which one is missing, and our own words say what to do where a client shows them.
    said = (done.stdout + done.stderr).replace('\\"', '"')
    assert world.image(name).platforms[ARM64] in said
    assert client == "oras" or "it did not travel: ask for yours" in said


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("client", sorted(ONE))
def test_one_platform_is_copied_by_tag_and_by_digest(
    world: World, clients: Clients, tmp_path: Path, client: str, name: str
) -> None:
    image = world.image(name)
    for where in (world.where(name), f"{world.repository(name)}@{image.digest}"):
        folder = tmp_path / sha256(where.encode())[-8:]
        clients.run(client, *ONE[client](clients, where, folder))
        assert copied_digest(folder) == image.platforms[AMD64]


@pytest.mark.root
@pytest.mark.parametrize("name", IMAGES)
def test_podman_pulls(world: World, clients: Clients, name: str) -> None:
    options = ["pull", "--quiet", f"--cert-dir={clients.certs}", f"--platform={AMD64}"]
    pulled = clients.run("podman", *options, world.where(name)).strip()
    (found,) = json.loads(clients.run("podman", "image", "inspect", pulled))
    image = world.image(name)
    assert {image.digest, image.platforms[AMD64]} & {found["Digest"], *_digests(found)}
    if name == PARTIAL:
        options[-1] = f"--platform={ARM64}"
        done = clients.attempt("podman", *options, world.where(name))
        assert done.returncode != 0
        assert "it did not travel: ask for yours" in done.stderr


def _digests(found: dict[str, Any]) -> list[str]:
    return [name.rpartition("@")[2] for name in found["RepoDigests"]]


@pytest.mark.parametrize(
    "command",
    [
        "crane validate --remote {image}",
        "crane copy --insecure {image} {second}/crane/copied:12",
        "oras copy -r --from-ca-file {ca} --to-plain-http {image} {second}/oras/copied:12",
        "oras backup --ca-file {ca} --output {folder}/backup.tar {image}",
        "regctl image export {image} {folder}/exported.tar",
        "regctl artifact tree {image}",
        "skopeo sync --all --src docker --dest dir --src-cert-dir {certs} {image} {folder}",
        "cosign copy --allow-http-registry {image} {second}/cosign/copied:12",
    ],
)
def test_what_the_document_says_that_fails_does(
    world: World, clients: Clients, second: Registry, command: str
) -> None:
    given = {
        "image": world.where(PARTIAL),
        "second": second.host,
        "ca": world.depot.ca,
        "folder": clients.home,
        "certs": clients.certs,
    }
    client, *arguments = command.split()
    assert f"`{client} {arguments[0]}" in DOCUMENT.read_text(encoding="utf-8")
    done = clients.attempt(client, *(part.format(**given) for part in arguments))
    assert done.returncode != 0, done.stdout
    # For that reason and no other; what travelled whole goes through the same command.
    assert world.image(PARTIAL).platforms[ARM64] in done.stdout + done.stderr
    given["image"] = world.where(BOTH_PLATFORMS)
    clients.run(client, *(part.format(**given) for part in arguments))


@pytest.mark.root
def test_podman_cannot_pull_tags_of_artifacts(world: World, clients: Clients) -> None:
    options = ["pull", "--quiet", "--all-tags", f"--cert-dir={clients.certs}"]
    done = clients.attempt("podman", *options, world.repository("tzdata"))
    assert done.returncode != 0
    assert "unsupported image-specific operation on artifact" in done.stderr


@pytest.mark.parametrize("name", ["hello", "tzdata"])
def test_the_tags_are_those_that_upstream_had(world: World, clients: Clients, name: str) -> None:
    upstream = world.image(name).reference.partition("/")[2].rpartition(":")[0]
    url = f"{world.upstream.registry.url}/v2/{upstream}/tags/list"
    expected = set(urllib3.request("GET", url).json()["tags"])
    where = world.repository(name)
    listed = {
        "crane": clients.run("crane", "ls", where),
        "oras": clients.run("oras", "repo", "tags", "--ca-file", world.depot.ca, where),
        "regctl": clients.run("regctl", "tag", "ls", where),
    }
    # An SBOM that somebody signed has a list of its own; what refers to it travelled too.
    assert f"{world.image(name).digest.replace(':', '-')}" in expected
    for client, text in listed.items():
        assert set(text.split()) == expected, client


@pytest.mark.parametrize("client", ["oras", "regctl"])
@pytest.mark.parametrize("name", ["hello", "tzdata"])
def test_referrers_are_found(world: World, clients: Clients, client: str, name: str) -> None:
    image = world.image(name)
    where = world.where(name)
    if client == "oras":
        options = ["--format", "json", "--depth", "1", f"--ca-file={world.depot.ca}"]
        found = json.loads(clients.run("oras", "discover", *options, where))["referrers"]
    else:
        options = ["--format", "{{jsonPretty .Descriptors}}"]
        found = json.loads(clients.run("regctl", "artifact", "list", *options, where))
    expected = {r.digest for r in image.referrers if r.subject == image.digest and r.artifact_type}
    assert {entry["digest"] for entry in found} == expected


def test_a_mirror_by_tags_loses_no_referrer(
    world: World, clients: Clients, second: Registry
) -> None:
    target = f"{second.host}/mirrored/tzdata"
    clients.run("crane", "copy", "--insecure", "--all-tags", world.repository("tzdata"), target)
    image = world.image("tzdata")
    # By the tag of the list alone, which is all that this registry knows of referrers.
    options = ["discover", "--format", "json", "--depth", "1", "--plain-http"]
    found = json.loads(clients.run("oras", *options, f"{target}:12"))["referrers"]
    expected = {r.digest for r in image.referrers if r.subject == image.digest and r.artifact_type}
    assert {entry["digest"] for entry in found} == expected


def test_oras_copies_an_image_with_its_referrers(
    world: World, clients: Clients, tmp_path: Path
) -> None:
    where = world.where("tzdata")
    options = ["-r", f"--from-ca-file={world.depot.ca}", "--to-oci-layout"]
    clients.run("oras", "copy", *options, where, f"{tmp_path}/copy:copied")
    kept = {f"sha256:{path.name}" for path in (tmp_path / "copy" / "blobs" / "sha256").iterdir()}
    referrers = {r.digest for r in world.image("tzdata").referrers if r.artifact_type}
    assert referrers <= kept


@pytest.mark.parametrize("name", ["hello", "tzdata"])
def test_cosign_verifies_what_the_publisher_signed(
    world: World, clients: Clients, name: str
) -> None:
    options = [f"--key={world.key}", "--insecure-ignore-tlog", "--new-bundle-format=false"]
    image = world.image(name)
    signed = [world.where(name), f"{world.repository(name)}@{image.platforms[AMD64]}"]
    for where in signed:
        said = json.loads(clients.run("cosign", "verify", *options, where))
        digest = said[0]["critical"]["image"]["docker-manifest-digest"]
        assert digest in {image.digest, *image.platforms.values()}
    stranger = clients.attempt("cosign", "verify", *options, world.where("gzip"))
    assert stranger.returncode != 0


def test_helm_pulls_charts_both_ways(world: World, clients: Clients, tmp_path: Path) -> None:
    for chart in world.upstream.seeded.charts:
        common = [f"--ca-file={world.depot.ca}", "--version", chart.version, "-d", f"{tmp_path}"]
        if chart.repository.startswith("oci://"):
            host, _, path = chart.repository.removeprefix("oci://").partition("/")
            where = world.depot.image(f"{host}/{path}/{chart.name}")
            clients.run("helm", "pull", f"oci://{where}", *common)
        else:
            clients.run("helm", "pull", chart.name, "--repo", f"{world.depot.url}/charts", *common)
        archive = tmp_path / f"{chart.name}-{chart.version}.tgz"
        assert sha256(archive.read_bytes()) == chart.digest
        said = clients.run("helm", "show", "chart", archive)
        assert f"name: {chart.name}" in said


def test_the_conformance_suite_passes_read_only(world: World, tmp_path: Path) -> None:
    image = world.image(BOTH_PLATFORMS)
    repository = world.repository(BOTH_PLATFORMS).partition("/")[2]
    pool = urllib3.PoolManager(ca_certs=str(world.depot.ca))
    base = f"{world.depot.url}/v2/{repository}"
    manifests = [image.digest, *image.platforms.values()]
    layers = [
        blob["digest"]
        for digest in image.platforms.values()
        for found in [pool.request("GET", f"{base}/manifests/{digest}").json()]
        for blob in [found["config"], *found["layers"]]
    ]
    tags = pool.request("GET", f"{base}/tags/list").json()["tags"]
    done = subprocess.run(
        [go_tool("conformance")],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": str(world.depot.ca),
            "OCI_REGISTRY": world.depot.host,
            "OCI_REPO1": repository,
            "OCI_API_PUSH": "false",
            "OCI_API_BLOBS_DELETE": "false",
            "OCI_API_BLOBS_MOUNT_ANONYMOUS": "false",
            "OCI_API_MANIFESTS_DELETE": "false",
            "OCI_API_TAGS_DELETE": "false",
            "OCI_RO_DATA_TAGS": " ".join(tags),
            "OCI_RO_DATA_MANIFESTS": " ".join(manifests),
            "OCI_RO_DATA_BLOBS": " ".join(sorted(set(layers))),
            "OCI_RO_DATA_REFERRERS": " ".join(manifests),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    # Not by its exit code: after the report it stumbles over read-only data that has no name.
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "OCI Conformance Test: Pass" in lines, done.stdout[-3000:]
    assert not [line for line in lines if line.endswith(("FAIL", "Fail", "Error"))]
    passed = [line for line in lines if "/read-only/" in line and line.endswith(": Pass")]
    assert len(passed) >= 2 * (len(tags) + len(manifests)) + len(set(layers))


@pytest.mark.parametrize("client", [*sorted(WHOLE), "cosign", "helm", "podman"])
def test_the_document_has_every_client(client: str) -> None:
    assert f"\n| {client} |" in DOCUMENT.read_text(encoding="utf-8")
