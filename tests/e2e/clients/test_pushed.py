"""Stock clients pull from a registry that `isoward push` filled, and cosign verifies there.

The registry is the CNCF's, with TLS by an authority of the site's own. crane, oras, helm and cosign
in the versions of go_tools.py and helm.py; skopeo is in tests/integration/journey/test_push.py.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.packages.debian_images import AMD64, content_cache, recipes
from tests.support.programs.go_tools import BUILD_SECONDS
from tests.support.programs.helm import helm_on_path
from tests.support.programs.needs import requires_tool
from tests.support.programs.stock_clients import WHOLE, Clients, copied_digest
from tests.support.registries.journey import ServedDepot, travel
from tests.support.registries.oci import sha256
from tests.support.registries.registry import Settings, distribution_registry
from tests.support.registries.seeded import SeededImage, Upstream
from tests.support.registries.seeded import upstream as run_upstream
from tests.support.registries.tls import make_server_tls

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(BUILD_SECONDS + 600)]
IMAGES = ("hello", "tzdata", "ca-certificates", "gzip")
"""Signed; an index that travelled whole; one of which one platform did; Docker's schema 2."""
PARTIAL = "ca-certificates"


@dataclass(frozen=True)
class World:
    """What is upstream, and the site's own registry that it was pushed into.

    Attributes:
        upstream: Where it all came from.
        pushed: The registry and the prefix, as a depot that clients pull from.
        key: The publisher's public key.
    """

    upstream: Upstream
    pushed: ServedDepot
    key: Path

    def image(self, name: str) -> SeededImage:
        return self.upstream.seeded.image(name)

    def where(self, name: str) -> str:
        return self.pushed.image(self.image(name).reference)

    def repository(self, name: str) -> str:
        return self.where(name).rpartition(":")[0]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_tool("docker-registry", "skopeo", "apt-get", "dpkg-deb")
    helm_on_path()
    base = tmp_path_factory.mktemp("pushed")
    tls = make_server_tls(base / "tls")
    with (
        run_upstream(base, content_cache(), recipes(*IMAGES, "busybox")) as upstream,
        distribution_registry(base / "own", Settings(tls)) as registry,
    ):
        journey = travel(tmp_path_factory.mktemp("home"), upstream)
        to = f"{registry.host}/hospital"
        journey.machine.run("push", "--depot", journey.depot, "--to", to, "--ca", tls.ca)
        key = base / "publisher.pub"
        key.write_bytes(upstream.seeded.public_key)
        yield World(upstream, ServedDepot(f"{registry.url}/hospital", tls.ca), key)


@pytest.fixture
def clients(world: World, tmp_path: Path) -> Iterator[Clients]:
    with tempfile.TemporaryDirectory(prefix="is-") as short:
        yield Clients(world.pushed, tmp_path, Path(short))


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("client", ["crane", "oras"])
def test_an_image_is_copied_whole(
    world: World, clients: Clients, tmp_path: Path, client: str, name: str
) -> None:
    """The partial one as well: here its tag names what there is."""
    clients.run(client, *WHOLE[client](clients, world.where(name), tmp_path / "copy"))
    image = world.image(name)
    expected = image.platforms[AMD64] if name == PARTIAL else image.digest
    assert copied_digest(tmp_path / "copy") == expected


def test_crane_validates_every_byte(world: World, clients: Clients) -> None:
    for name in IMAGES:
        clients.run("crane", "validate", "--remote", world.where(name))


@pytest.mark.parametrize("name", ["hello", "tzdata"])
def test_cosign_verifies_what_the_publisher_signed(
    world: World, clients: Clients, name: str
) -> None:
    options = [f"--key={world.key}", "--insecure-ignore-tlog", "--new-bundle-format=false"]
    image = world.image(name)
    for where in (world.where(name), f"{world.repository(name)}@{image.platforms[AMD64]}"):
        said = json.loads(clients.run("cosign", "verify", *options, where))
        digest = said[0]["critical"]["image"]["docker-manifest-digest"]
        assert digest in {image.digest, *image.platforms.values()}
    stranger = clients.attempt("cosign", "verify", *options, world.where("gzip"))
    assert stranger.returncode != 0


@pytest.mark.parametrize("name", ["hello", "tzdata"])
def test_oras_finds_the_referrers(world: World, clients: Clients, name: str) -> None:
    image = world.image(name)
    options = ["--format", "json", "--depth", "1", f"--ca-file={world.pushed.ca}"]
    found = json.loads(clients.run("oras", "discover", *options, world.where(name)))["referrers"]
    expected = {r.digest for r in image.referrers if r.subject == image.digest and r.artifact_type}
    assert {entry["digest"] for entry in found} == expected


def test_helm_pulls_all_charts_by_oci(world: World, clients: Clients, tmp_path: Path) -> None:
    for chart in world.upstream.seeded.charts:
        host, _, path = chart.repository.partition("://")[2].partition("/")
        where = world.pushed.image(f"{host}/{path}/{chart.name}")
        common = [f"--ca-file={world.pushed.ca}", "--version", chart.version, "-d", f"{tmp_path}"]
        clients.run("helm", "pull", f"oci://{where}", *common)
        archive = tmp_path / f"{chart.name}-{chart.version}.tgz"
        assert sha256(archive.read_bytes()) == chart.digest
