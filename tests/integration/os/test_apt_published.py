"""apt repositories as publishers have them: locked, carried, served, and installed by real apt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.base.errors import FormatError, NotFoundError
from bundle.kinds.os_packages import OsSource
from bundler.build.cache import BlobCache
from bundler.sources.os.resolvers import resolve_os_packages
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import open_depot
from installer.hosts.package_sources import package_files, read_keyrings
from installer.hosts.site_ca import NODE_CA
from tests.support.documents.right import DEFINITION, read_definition
from tests.support.documents.sources import context
from tests.support.packages.apt_published import SHAPES, PublishedWorld, Shape
from tests.support.packages.apt_repository import DATA, LIBRARY, TOOL, AptRepository, SigningKey
from tests.support.packages.apt_site import SiteApt, write
from tests.support.programs.needs import requires_root, requires_tool
from tests.support.registries.connecting import client
from tests.support.registries.journey import Journey, ServedDepot, carry, served
from tests.support.registries.static_site import StaticSite, static_site

HEAD = DEFINITION.partition("images:")[0]


@dataclass(frozen=True)
class World:
    """Publishers, and what was carried of all of them."""

    made: PublishedWorld
    site: StaticSite
    journey: Journey


def entry(url: str, name: str, shape: Shape) -> str:
    components = "" if shape.flat else ", components: [main]"
    return (
        f"  - name: {name}\n    release: debian-12\n"
        f'    repositories: [{{url: "{url}/{name}/", name: repo, suite: "{shape.suite}"'
        f"{components}}}]\n    keyring: {name}.key\n    packages: [thing-tool]\n"
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishedWorld]:
    requires_tool("apt-get", "gpgv")
    folder = tmp_path_factory.mktemp("published")
    keys = [SigningKey(folder / name) for name in ("key", "other")]
    packages = AptRepository(folder / "debs", keys[0])
    for deb in (LIBRARY, TOOL, DATA):
        packages.add(deb)
    yield PublishedWorld(folder / "debs" / "pool", keys)
    for key in keys:
        key.close()


@pytest.fixture(scope="module")
def world(made: PublishedWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("carried")
    home = folder / "home"
    home.mkdir()
    with static_site(folder / "site") as site:
        for name, shape in SHAPES.items():
            made.make(site.root / name, shape)
            (home / f"{name}.key").write_bytes(made.keyring(shape))
        entries = "".join(entry(site.url, name, shape) for name, shape in SHAPES.items())
        yield World(made, site, carry(home, f"{HEAD}osPackages:\n{entries}"))


@pytest.fixture(scope="module")
def depot(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDepot]:
    journey = world.journey
    with served(journey.machine, journey.depot, tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.mark.parametrize("name", SHAPES)
def test_apt_installs_by_what_an_installation_writes(
    depot: ServedDepot, world: World, tmp_path: Path, name: str
) -> None:
    requires_root()
    opened = open_depot(world.journey.depot)
    (bundle,) = accepted_bundles(opened)
    (found,) = [one for one in bundle.manifest.os_packages if one.name == name]
    for file in package_files([found], [depot.url], read_keyrings([found], opened)):
        text = file.data
        if file.path.endswith((".sources", "isoward")):
            text = text.replace(b" /etc/", f" {tmp_path}/etc/".encode())
            text = text.replace(NODE_CA.encode(), str(depot.ca).encode())
        write(tmp_path / file.path.removeprefix("/"), text)
    machine = SiteApt(tmp_path)
    machine.prepare()
    done = machine.run("update")
    assert done.returncode == 0, done.stderr
    # apt says so of every Release file that does not name its suite, and goes on.
    said = [line for line in done.stderr.splitlines() if "Conflicting distribution" not in line]
    assert not said
    machine.good("install", "thing-tool")
    assert set(machine.installed()) == {"libthing1", "thing-data", "thing-tool"}


def resolve(made: PublishedWorld, folder: Path, shape: Shape, spoil: str = "") -> None:
    """Lock a repository of some shape, after a word of its Release was changed."""
    with static_site(folder / "site") as site:
        made.make(site.root / "bad", shape)
        for name in ("InRelease", "Release") if spoil else ():
            for path in site.root.rglob(name):
                path.write_bytes(path.read_bytes().replace(spoil.encode(), b"X"))
        (folder / "bad.key").write_bytes(made.keyring(shape))
        text = f"{HEAD}osPackages:\n{entry(site.url, 'bad', shape)}"
        source: OsSource = read_definition(text).os_packages[0]
        host = site.url.removeprefix("http://")
        resolve_os_packages(
            source, ("linux/amd64",), context(client(host), BlobCache(folder / "c"), folder)
        )


def test_weak_digests_are_refused_by_name(made: PublishedWorld, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="SHA-256 or SHA-512, found only sha1 and md5sum"):
        resolve(made, tmp_path, Shape(algorithms=("MD5Sum", "SHA1")))


def test_packages_without_a_digest_of_sha2_are_refused(
    made: PublishedWorld, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match="by SHA-256 or SHA-512"):
        resolve(made, tmp_path, Shape(in_list=("SHA1", "MD5sum")))


def test_a_repository_without_a_signature_is_refused(made: PublishedWorld, tmp_path: Path) -> None:
    made.make(tmp_path / "site" / "bad", Shape(detached=True))
    (tmp_path / "site/bad/dists/stable/Release.gpg").unlink()
    (tmp_path / "bad.key").write_bytes(made.keyring(Shape()))
    with static_site(tmp_path / "site") as site:
        text = f"{HEAD}osPackages:\n{entry(site.url, 'bad', Shape())}"
        host = site.url.removeprefix("http://")
        place = context(client(host), BlobCache(tmp_path / "c"), tmp_path)
        with pytest.raises(NotFoundError, match=r"InRelease.*nor is there.*Release\.gpg"):
            resolve_os_packages(read_definition(text).os_packages[0], ("linux/amd64",), place)
