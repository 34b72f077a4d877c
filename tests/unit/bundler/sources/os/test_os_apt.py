"""Packages by real apt: the closure of an empty system, and what apt and we refuse."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bundle.base.digest import digest_of
from bundle.base.errors import (
    DefinitionError,
    FormatError,
    IntegrityError,
    IsowardError,
    MissingProgramError,
    NotFoundError,
    SignatureError,
)
from bundle.kinds.os_packages import LockedOs, OsSource
from bundle.model.lock import check_lock
from bundler.build.cache import BlobCache
from bundler.sources.common.context import OsWant, SourceContext
from bundler.sources.os.carried import os_openers
from bundler.sources.os.resolvers import resolve_os_packages
from tests.support.documents.right import DEFINITION, lock, read_definition
from tests.support.documents.sources import context
from tests.support.packages import apt_repository as apt
from tests.support.programs.needs import requires_tool
from tests.support.registries.connecting import client
from tests.support.registries.static_site import StaticSite, static_site

HEAD = DEFINITION.partition("images:")[0]
PLATFORMS = ("linux/amd64",)


class Bench:
    """A repository on a server, and a place to lock it in."""

    def __init__(self, folder: Path, site: StaticSite, key: apt.SigningKey) -> None:
        self.folder = folder
        self.site = site
        self.key = key
        self.repository = apt.AptRepository(site.root / "debian", key)
        (folder / "keys.gpg").write_bytes(key.public())
        self.context = self.fresh("cache")

    def fresh(self, name: str) -> SourceContext:
        """Return a context with a cache of its own."""
        host = self.site.url.removeprefix("http://")
        return context(client(host), BlobCache(self.folder / name), self.folder)

    def source(self, **said: str) -> OsSource:
        text = HEAD + apt.apt_definition(f"{self.site.url}/debian/", **said)
        return read_definition(text).os_packages[0]

    def resolve(self, **said: str) -> LockedOs:
        return resolve_os_packages(self.source(**said), PLATFORMS, self.context)

    def refuse(self, error: type[IsowardError], **said: str) -> str:
        """Resolve, which must fail, and leave nothing in work behind."""
        with pytest.raises(error) as caught:
            self.resolve(**said)
        assert not list(self.context.store.workspace("apt").iterdir())
        return caught.value.message


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apt.AptRepository]:
    """A repository that is made once; each test has a copy, which it may spoil."""
    requires_tool("apt-get", "gpgv")
    folder = tmp_path_factory.mktemp("apt")
    key = apt.SigningKey(folder / "gnupg")
    repository = apt.AptRepository(folder / "debian", key)
    repository.make()
    yield repository
    key.close()


@pytest.fixture
def bench(made: apt.AptRepository, tmp_path: Path) -> Iterator[Bench]:
    shutil.copytree(made.root, tmp_path / "site" / "debian")
    with static_site(tmp_path / "site") as site:
        yield Bench(tmp_path, site, made.key)


def names(found: LockedOs) -> list[str]:
    return [package.name for package in found.packages]


def test_the_closure_of_an_empty_system(bench: Bench) -> None:
    found = bench.resolve()
    assert names(found) == ["base-system", "libthing1", "thing-data", "thing-tool"]
    assert [package.version for package in found.packages] == [
        "1:12.0~rc1",
        "2.0+dfsg-1",
        "2.0",
        "2.0-1",
    ]
    check_lock(replace(lock(), os_packages=(found,)))
    paths = {file.path: file for file in found.files}
    tool = paths["test/pool/thing-tool/thing-tool_2.0-1_amd64.deb"]
    data = (bench.site.root / "debian/pool/thing-tool/thing-tool_2.0-1_amd64.deb").read_bytes()
    assert (tool.digest, tool.size) == (digest_of(data), len(data))
    index = paths["test/dists/stable/main/binary-amd64/Packages.xz"]
    by_hash = f"dists/stable/main/binary-amd64/by-hash/SHA256/{index.digest[7:]}"
    assert paths[f"test/{by_hash}"].digest == index.digest
    assert index.url == f"{bench.site.url}/debian/{by_hash}"
    assert len(paths) == 3 + len(found.packages)


def test_a_lock_fetches_what_is_signed_and_no_package(bench: Bench) -> None:
    found = bench.resolve()
    asked = bench.site.log.count("GET")
    assert len(asked) == 2
    assert set(asked.values()) == {1}
    moving = {f.digest: f.size for f in found.files if "/dists/" in f.path}
    assert all(bench.context.store.has(digest, size) for digest, size in moving.items())
    assert bench.resolve() == found
    # The index is in the store; only what moves is asked for again.
    assert bench.site.log.count("GET") - asked == {"/debian/dists/stable/InRelease": 1}


def test_what_kubespray_installs_comes_as_well(bench: Bench) -> None:
    asked = replace(bench.source(packages="thing-data"), kubespray=True)
    wants = (OsWant("debian-12", ("thing-tool", "thing-data"), "kubespray v1"),)
    found = names(resolve_os_packages(asked, PLATFORMS, bench.context, wants))
    assert {"libthing1", "thing-data", "thing-tool"} <= set(found)
    other = replace(asked, release="debian-13")
    with pytest.raises(DefinitionError, match="nothing in the definition needs packages of deb"):
        resolve_os_packages(other, PLATFORMS, bench.context, wants)


def test_both_sides_of_an_alternative_that_the_base_decides(bench: Bench) -> None:
    """A machine without the newer one of two would be offered the older."""
    bench.repository.add(apt.Deb("old-init"))
    bench.repository.add(apt.Deb("either", depends="old-init | base-system"))
    bench.repository.publish()
    assert names(bench.resolve(packages="either")) == ["base-system", "either", "old-init"]


def test_recommended_packages_come_if_they_are_asked_for(bench: Bench) -> None:
    assert "thing-doc" in names(bench.resolve(more="    recommends: true\n"))


def test_a_keyring_in_armour(bench: Bench) -> None:
    (bench.folder / "keys.asc").write_bytes(bench.key.public(armour=True))
    found = bench.resolve(keyring="keys.asc")
    assert found.keyring.path == "keyring.asc"
    assert bench.resolve().keyring.path == "keyring.gpg"


def test_a_repository_without_hashed_names(bench: Bench) -> None:
    bench.repository.sign(fields={"Acquire-By-Hash": ""})
    paths = [file.path for file in bench.resolve().files]
    assert not [path for path in paths if "by-hash" in path]
    assert "test/dists/stable/main/binary-amd64/Packages.xz" in paths


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"packages": "no-such-thing"}, "Unable to locate package no-such-thing"),
        ({"more": "    platforms: [linux/arm64]\n"}, "no packages for arm64"),
        ({"more": "    platforms: [windows/amd64]\n"}, "no packages for windows/amd64"),
        ({"keyring": "absent.gpg"}, "absent.gpg"),
    ],
)
def test_what_is_not_there_is_named(bench: Bench, said: dict[str, str], why: str) -> None:
    assert why in bench.refuse(DefinitionError, **said)


def test_a_missing_dependency_is_named(bench: Bench) -> None:
    bench.repository.add(apt.Deb("lonely", depends="libabsent9 (>= 3)"))
    bench.repository.publish()
    said = bench.refuse(DefinitionError, packages="lonely")
    assert "lonely" in said
    assert "libabsent9" in said


def test_another_suite_in_its_place_is_refused(bench: Bench) -> None:
    bench.repository.sign(fields={"Suite": "oldstable", "Codename": "buster"})
    assert "expected the suite stable" in bench.refuse(SignatureError)


def test_a_signature_by_another_key_is_refused(bench: Bench, tmp_path: Path) -> None:
    stranger = apt.SigningKey(tmp_path / "stranger")
    bench.repository.sign(stranger)
    stranger.close()
    assert "NO_PUBKEY" in bench.refuse(SignatureError)


def test_a_key_that_has_ended_is_refused(bench: Bench, tmp_path: Path) -> None:
    old = apt.SigningKey(tmp_path / "old", "1d", now="20200101T000000")
    bench.repository.sign(old)
    (bench.folder / "old.gpg").write_bytes(old.public())
    old.close()
    assert "EXPKEYSIG" in bench.refuse(SignatureError, keyring="old.gpg")


def test_a_list_that_has_ended_is_refused(bench: Bench) -> None:
    bench.repository.sign(fields={"Valid-Until": "Sun, 02 Nov 2025 00:00:00 UTC"})
    assert "expired" in bench.refuse(SignatureError)


def test_a_changed_list_is_refused(bench: Bench) -> None:
    path = bench.repository.suite / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Test", b"Origin: Pest"))
    assert "BADSIG" in bench.refuse(SignatureError)


@pytest.mark.parametrize("place", ["before", "after"])
def test_text_around_what_is_signed_is_refused(bench: Bench, place: str) -> None:
    path = bench.repository.suite / "InRelease"
    added = b"Origin: Pest\n"
    data = path.read_bytes()
    path.write_bytes(added + data if place == "before" else data + added)
    bench.refuse(FormatError if place == "before" else SignatureError)


def test_a_list_without_a_signature_is_refused(bench: Bench) -> None:
    path = bench.repository.suite / "InRelease"
    path.write_bytes(b"Suite: stable\nCodename: x\n")
    assert "expected a signed InRelease" in bench.refuse(FormatError)


def test_a_changed_index_is_refused(bench: Bench) -> None:
    for path in bench.repository.index.parent.rglob("*"):
        if path.is_file():
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
    assert "/main/binary-amd64/by-hash/" in bench.refuse(IntegrityError)


@pytest.mark.parametrize(
    "filename",
    [
        "../../../etc/shadow",
        "pool/../../../etc/shadow",
        "/etc/shadow",
        "pool/%2e%2e/x.deb",
        "pool/.hidden.deb",
        "pool/a b.deb",
    ],
)
def test_a_package_outside_the_repository_is_refused(bench: Bench, filename: str) -> None:
    text = bench.repository.index.read_bytes().replace(
        b"Filename: pool/thing-tool/thing-tool_2.0-1_amd64.deb", f"Filename: {filename}".encode()
    )
    bench.repository.publish_index(text)
    if filename == "pool/%2e%2e/x.deb":
        # It is a name like any other: it is never decoded twice.
        (file,) = (f for f in bench.resolve().files if f.path.endswith("x.deb"))
        assert file.url.endswith("/pool/%252e%252e/x.deb")
        return
    bench.refuse(FormatError)


def test_a_package_without_sha256_is_refused(bench: Bench) -> None:
    lines = bench.repository.index.read_bytes().splitlines()
    bench.repository.publish_index(
        b"\n".join(line for line in lines if not line.startswith((b"SHA256", b"SHA512"))) + b"\n"
    )
    bench.refuse(FormatError)


@pytest.mark.parametrize(
    "data", [b"", b"not keys", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n", b"\x95\x01\x00"]
)
def test_what_is_no_keyring_is_refused(bench: Bench, data: bytes) -> None:
    (bench.folder / "bad.gpg").write_bytes(data)
    assert "expected OpenPGP public keys" in bench.refuse(DefinitionError, keyring="bad.gpg")


def test_this_machine_s_own_settings_change_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = bench.resolve()
    settings = bench.folder / "own.conf"
    settings.write_text('APT::Install-Recommends "true";\nAPT::Architecture "arm64";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert bench.resolve() == found


def test_a_machine_without_apt(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(bench.folder))
    assert "apt-get" in bench.refuse(MissingProgramError)


def test_a_build_opens_each_file(bench: Bench) -> None:
    found = bench.resolve()
    opened = dict(os_openers(found, bench.fresh("other")))
    for file in (found.keyring, *found.files):
        stream = opened[file.digest](0, mirrors=True)
        state, buffer = hashlib.sha256(), memoryview(bytearray(4096))
        while count := stream.readinto(buffer):
            state.update(buffer[:count])
        stream.close()
        assert f"sha256:{state.hexdigest()}" == file.digest


def test_a_repository_that_moved_on_is_said(bench: Bench) -> None:
    found = bench.resolve()
    opened = dict(os_openers(found, bench.fresh("other")))
    release = next(file for file in found.files if file.path.endswith("InRelease"))
    bench.repository.sign(fields={"Date": "Sun, 02 Nov 2025 00:00:00 UTC"})
    with pytest.raises(IntegrityError) as changed:
        opened[release.digest](0, mirrors=True)
    assert "changed since it was locked" in changed.value.hint
    package = found.packages[0]
    (path,) = bench.site.root.glob(f"debian/pool/{package.name}/*.deb")
    path.unlink()
    with pytest.raises(NotFoundError) as gone:
        opened[package.digest](0, mirrors=True)
    assert "changed since it was locked" in gone.value.hint
