"""Packages of an apt repository: locked, built, imported, served, and installed by real apt."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.base.errors import DigestMismatchError, IsowardError, NotFoundError
from tests.support.documents.right import DEFINITION
from tests.support.packages import apt_repository as apt
from tests.support.packages.apt_site import KEYRING, SOURCES, SiteApt, write, write_site_files
from tests.support.programs.needs import requires_root, requires_tool
from tests.support.registries.journey import Journey, Machine, ServedDepot, build, carry, served
from tests.support.registries.static_site import StaticSite, static_site

HEAD = DEFINITION.partition("images:")[0]
FOLDER = "/os/test-system/test/"
CLOSURE = {
    "base-system": "1:12.0~rc1",
    "libthing1": "2.0+dfsg-1",
    "thing-data": "2.0",
    "thing-tool": "2.0-1",
}


@dataclass(frozen=True)
class World:
    repository: apt.AptRepository
    site: StaticSite
    journey: Journey


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_tool("apt-get", "gpgv")
    folder = tmp_path_factory.mktemp("apt")
    key = apt.SigningKey(folder / "gnupg")
    with static_site(folder / "site") as site:
        repository = apt.AptRepository(site.root / "debian", key)
        repository.make()
        home = folder / "home"
        home.mkdir()
        (home / "keys.gpg").write_bytes(key.public())
        asked = HEAD + apt.apt_definition(f"{site.url}/debian")
        yield World(repository, site, carry(home, asked))
    key.close()


@pytest.fixture(scope="module")
def depot(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDepot]:
    journey = world.journey
    with served(journey.machine, journey.depot, tmp_path_factory.mktemp("serve")) as running:
        yield running


def ask(depot: ServedDepot, path: str) -> bytes:
    context = ssl.create_default_context(cafile=str(depot.ca))
    with urllib.request.urlopen(depot.url + path, context=context) as answer:
        data: bytes = answer.read()
    return data


@pytest.fixture
def machine(depot: ServedDepot, tmp_path: Path) -> SiteApt:
    """A machine with an empty package database, set up by the runbook."""
    requires_root()
    root = tmp_path / "root"
    write_site_files(
        root, root, depot.url, FOLDER, apt.SUITE,
        authority=depot.ca.read_bytes(), keyring=ask(depot, "/os/test-system/keyring.gpg"),
    )  # fmt: skip
    found = SiteApt(root)
    found.prepare()
    return found


def test_apt_installs_from_the_depot_and_checks_the_distribution_s_signature(
    machine: SiteApt, world: World
) -> None:
    machine.good("update")
    machine.good("install", "thing-tool", "base-system")
    assert machine.installed() == CLOSURE
    share = machine.root / "usr/share/thing-tool/about"
    assert share.read_text().startswith("thing-tool 2.0-1\n")
    assert (machine.root / KEYRING).read_bytes() == world.repository.key.public()


def test_a_package_that_is_not_carried_cannot_be_had(machine: SiteApt) -> None:
    machine.good("update")
    assert "404" in machine.bad("install", "thing-doc")
    assert machine.installed() == {}


def test_another_keyring_is_not_content_with_the_depot(machine: SiteApt, tmp_path: Path) -> None:
    stranger = apt.SigningKey(tmp_path / "stranger")
    (machine.root / KEYRING).write_bytes(stranger.public())
    stranger.close()
    # In the words of gpgv, and of sqv, which apt asks from version 3 on.
    assert re.search("NO_PUBKEY|Missing key", machine.bad("update"))
    assert "thing-tool" in machine.bad("install", "thing-tool")


def test_a_depot_that_was_taken_over_cannot_change_a_signed_byte(
    machine: SiteApt, depot: ServedDepot, tmp_path: Path
) -> None:
    """The depot itself refuses to serve it changed, so that another server takes its place."""
    good = ask(depot, f"{FOLDER}dists/stable/InRelease")
    place = good.index(b"Origin: Test") + 8
    other = tmp_path / "other"
    write(
        other / "dists/stable/InRelease",
        good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :],
    )
    sources = machine.root / SOURCES
    text = sources.read_text()
    assert depot.url + FOLDER in text
    sources.write_text(text.replace(depot.url + FOLDER, f"file:{other}/"))
    assert re.search("BADSIG|Message has been manipulated", machine.bad("update"))


def test_a_package_that_rotted_in_the_depot_is_not_installed(
    machine: SiteApt, world: World
) -> None:
    manifest = world.journey.manifest()
    (entry,) = manifest["osPackages"]
    file = "test/pool/thing-data/thing-data_2.0_all.deb"
    digest = next(f["digest"] for f in entry["files"] if f["path"] == file)
    blob = world.journey.depot / "blobs" / "sha256" / digest.removeprefix("sha256:")
    good = blob.read_bytes()
    machine.good("update")
    place = len(good) // 2
    blob.chmod(0o644)
    blob.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    try:
        assert "Hash Sum mismatch" in machine.bad("install", "thing-tool")
    finally:
        blob.write_bytes(good)
    assert machine.installed() == {}


def test_the_depot_says_what_it_has(depot: ServedDepot) -> None:
    (listed,) = json.loads(ask(depot, "/os/"))["osPackages"]
    assert listed["repositories"] == [
        {"path": FOLDER, "suite": apt.SUITE, "components": [apt.COMPONENT]}
    ]
    assert listed["packages"] == len(CLOSURE)


def test_a_second_lock_and_a_warm_build_ask_for_nothing_but_what_moves(
    world: World, tmp_path: Path
) -> None:
    journey = world.journey
    before = world.site.log.count("GET")
    bundle = tmp_path / "bundle"
    said = build(journey.machine, journey.lock, bundle, journey.release, journey.keys)
    assert said["fetched"] == 0
    assert world.site.log.count("GET") == before
    assert (bundle / "bundle.json").read_bytes() == (journey.bundle / "bundle.json").read_bytes()
    locked = journey.machine.result("lock", journey.definition, "-o", journey.lock)
    assert locked["changes"] == []
    assert locked["osPackages"] == len(CLOSURE)
    asked = world.site.log.count("GET") - before
    assert asked == {"/debian/dists/stable/InRelease": 1}


def test_another_machine_builds_the_same_bytes(world: World, tmp_path: Path) -> None:
    journey, other = world.journey, Machine(tmp_path / "other")
    other.home.mkdir()
    shutil.copy(journey.lock, other.home / "lock.yaml")
    shutil.copy(journey.machine.home / "keys.gpg", other.home)
    bundle = other.home / "bundle"
    build(other, other.home / "lock.yaml", bundle, journey.release, journey.keys)
    assert (bundle / "bundle.json").read_bytes() == (journey.bundle / "bundle.json").read_bytes()
    said = json.loads(other.run("inspect", bundle, "--json"))["osPackages"][0]
    assert {p["name"]: p["version"] for p in said["packages"]} == CLOSURE
    assert "thing-tool 2.0-1 amd64" in other.run("inspect", bundle)
    assert str(journey.machine.home) not in journey.lock.read_text()


DEB, RELEASE = "pool/thing-data/thing-data_2.0_all.deb", "dists/stable/InRelease"


@pytest.mark.parametrize(
    ("path", "gone", "error", "said"),
    [
        (DEB, False, DigestMismatchError, "the lock says sha256:"),
        (DEB, True, NotFoundError, "changed since it was locked"),
        (RELEASE, False, DigestMismatchError, "changed since it was locked"),
    ],
)
def test_a_build_takes_nothing_else_for_it(  # noqa: PLR0917 - a case has four sides
    world: World, tmp_path: Path, path: str, gone: bool, error: type[IsowardError], said: str
) -> None:
    journey, other = world.journey, Machine(tmp_path / "other")
    other.home.mkdir()
    shutil.copy(journey.lock, other.home / "lock.yaml")
    shutil.copy(journey.machine.home / "keys.gpg", other.home)
    target = world.repository.root / path
    good = target.read_bytes()
    target.write_bytes(b"x" * len(good))
    if gone:
        target.unlink()
    try:
        refused = other.attempt(
            "build", other.home / "lock.yaml", "-o", other.home / "bundle",
            "--release", journey.release, "--key", journey.keys / "build.pem",
        )  # fmt: skip
    finally:
        target.write_bytes(good)
    assert refused.returncode == error.exit_code, refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (other.home / "bundle").exists()
