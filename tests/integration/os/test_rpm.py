"""Packages of an rpm distribution: resolved by real dnf, carried, served, installed by real dnf."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    MissingProgramError,
)
from bundle.kinds.openpgp import separate_keys
from bundle.store.programs import Finished, run_program
from bundler.sources.common.context import OsWant
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import open_depot
from installer.hosts.package_sources import package_files, read_keyrings
from installer.hosts.site_ca import NODE_CA
from tests.support.depot.imported import RunningDepot, serving
from tests.support.packages.rpm_vendor import AMD64, CLOSURE, Vendor, names
from tests.support.packages.rpm_world import APPSTREAM, BASEOS, ON_ARM, RpmWorld
from tests.support.programs.processes import free_port
from tests.support.registries.journey import Machine
from tests.support.registries.static_site import StaticSite, static_site
from tests.support.trust.release_kit import ReleaseKit, approve_all, make_release

RUNBOOK = Path(__file__).resolve().parents[3] / "docs" / "runbooks" / "rpm.md"
_BLOCK = re.MULTILINE | re.DOTALL
BASH, SOCAT = BASEOS[0], next(rpm for rpm in APPSTREAM if rpm.name == "socat")


@pytest.fixture
def vendor(tmp_path: Path, rpm_world: RpmWorld, rpm_site: StaticSite) -> Vendor:
    return Vendor(tmp_path, rpm_world, rpm_site)


def test_the_closure_goes_across_repositories_files_and_provides(vendor: Vendor) -> None:
    """By a capability, a file of the primary metadata, and one that only the file lists have."""
    locked = vendor.lock("conntrack")
    assert names(locked) == CLOSURE
    paths = [file.path for file in locked.files]
    assert paths == sorted(paths)
    assert {
        "appstream/x86_64/Packages/conntrack-tools-1.4.7-2.el9.x86_64.rpm",
        "baseos/x86_64/repodata/repomd.xml",
        "baseos/x86_64/repodata/repomd.xml.asc",
    } < set(paths)
    kinds = {path.rpartition("-")[2] for path in paths if "/repodata/" in path}
    assert {"primary.xml.gz", "filelists.xml.gz", "other.xml.gz", "modules.yaml.gz"} < kinds
    assert not [path for path in paths if "1.0.8-4" in path]
    assert all(vendor.cache.has(file.digest, file.size) for file in locked.files)
    assert all(file.url.startswith(vendor.site.url) for file in locked.files)


def test_what_is_recommended_comes_when_it_is_wanted(vendor: Vendor) -> None:
    docs = "conntrack-docs 1.4.7-2.el9 noarch"
    assert names(vendor.lock("conntrack", recommends=True)) == sorted([*CLOSURE, docs])


def test_an_epoch_and_the_default_stream_of_a_module(vendor: Vendor) -> None:
    found = names(vendor.lock("socat", "toolkit"))
    assert found == [CLOSURE[0], "socat 1:1.7.4.1-6.el9 x86_64", "toolkit 1.0-1.module_el9 x86_64"]


def test_the_same_lock_comes_again_and_a_kept_package_is_not_fetched_again(
    vendor: Vendor,
) -> None:
    first = vendor.lock("socat")
    before = vendor.site.log.count("GET")
    assert vendor.lock("socat") == first
    asked = set(vendor.site.log.count("GET") - before)
    assert asked == {
        f"/{name}/repodata/{file}"
        for name in ("baseos", "appstream")
        for file in ("repomd.xml", "repomd.xml.asc")
    }


def test_two_architectures_share_what_is_for_all(tmp_path: Path, rpm_world: RpmWorld) -> None:
    helper = BASEOS[1]
    with static_site(tmp_path / "site") as site:
        rpm_world.repository(site.root / "r/x86_64", [BASH, SOCAT, helper])
        rpm_world.repository(site.root / "r/aarch64", [*ON_ARM, helper])
        found = Vendor(tmp_path, rpm_world, site).lock(
            "socat",
            helper.name,
            repositories=("r/$basearch",),
            platforms=("linux/arm64/v8", "linux/amd64"),
        )
    assert names(found) == [
        "bash 5.1.8-9.el9 aarch64",
        "bash 5.1.8-9.el9 x86_64",
        CLOSURE[2],
        "socat 1:1.7.4.1-6.el9 aarch64",
        "socat 1:1.7.4.1-6.el9 x86_64",
    ]
    helpers = [file.path for file in found.files if "helper" in file.path]
    assert helpers == [f"r/{a}/Packages/{helper.file_name}" for a in ("aarch64", "x86_64")]


def test_an_address_for_one_architecture_is_refused_for_two(vendor: Vendor) -> None:
    with pytest.raises(DefinitionError, match=r"\$basearch"):
        vendor.lock("bash", platforms=("linux/amd64", "linux/arm64"))
    both = ("linux/amd64", "linux/arm64")
    assert names(vendor.lock("bash", platforms=both, own_platforms=AMD64)) == CLOSURE[:1]
    with pytest.raises(DefinitionError, match="linux/s390x"):
        vendor.lock("bash", platforms=("linux/s390x",))


def test_what_kubespray_wants_of_the_release_comes_as_well(vendor: Vendor) -> None:
    by = "kubespray v2.31.0"
    wants = (
        OsWant("rocky-9", ("conntrack", "bash"), by),
        OsWant("rocky-10", ("lonely",), by),
    )
    assert names(vendor.lock(kubespray=True, wants=wants)) == CLOSURE
    both = sorted([*CLOSURE, "socat 1:1.7.4.1-6.el9 x86_64"])
    assert names(vendor.lock("socat", kubespray=True, wants=wants)) == both
    assert names(vendor.lock("bash", wants=wants)) == CLOSURE[:1]
    with pytest.raises(DefinitionError, match="nothing in the definition needs packages of rocky"):
        vendor.lock("bash", kubespray=True, wants=wants[1:])
    with pytest.raises(FormatError, match=r"kubespray v2\.31\.0 needs an invalid package"):
        vendor.lock(kubespray=True, wants=(OsWant("rocky-9", ("bash-",), by),))


@pytest.mark.parametrize(
    ("package", "why"),
    [("lonely", "nothing provides nobody-has-this"), ("ghost", "No match for argument: ghost")],
)
def test_what_cannot_be_installed_is_named(vendor: Vendor, package: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why) as caught:
        vendor.lock("bash", package)
    assert "osPackages rocky-9" in caught.value.message


def test_a_machine_without_dnf_is_told_what_to_install(vendor: Vendor) -> None:
    def run(command: Any, **options: Any) -> Finished:
        if "python" in command[0]:
            job = json.loads(Path(command[-1]).read_bytes())
            Path(job["answer"]).write_text('{"missing": true}')
            return Finished(0, b"", b"")
        return run_program(command, **options)

    with pytest.raises(MissingProgramError, match="no dnf") as caught:
        vendor.lock("bash", run=run)
    assert "python3-dnf" in caught.value.hint


def test_this_machines_own_settings_change_nothing(
    vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".rpmmacros").write_text("%_pkgverify_level none\n%_dbpath /nowhere\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert names(vendor.lock("conntrack")) == CLOSURE
    assert sorted(path.name for path in home.iterdir()) == [".rpmmacros"]


# The journey: a bundle of those packages, imported, served, and installed from by dnf.


@dataclass(frozen=True)
class RpmJourney:
    """A bundle of packages that went all the way into a depot.

    Attributes:
        machine: The vendor's.
        folder: With definition.yaml, its lock and the bundle.
        kit: The vendor's keys and root.
    """

    machine: Machine
    folder: Path
    kit: ReleaseKit

    @property
    def lock(self) -> Path:
        return self.folder / "definition.lock.yaml"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def depot(self) -> Path:
        return self.folder / "depot"

    def build(self, machine: Machine, output: Path) -> subprocess.CompletedProcess[str]:
        """Build the lock on a machine."""
        keys = ("--release", self.kit.release, "--key", self.kit.builder.path)
        return machine.attempt("build", self.lock, "-o", output, "--json", *keys)


@pytest.fixture(scope="module")
def journey(
    tmp_path_factory: pytest.TempPathFactory, rpm_world: RpmWorld, rpm_site: StaticSite
) -> RpmJourney:
    folder = tmp_path_factory.mktemp("rpm-journey")
    made = RpmJourney(Machine(folder / "vendor"), folder, make_release(folder / "keys"))
    shutil.copy(rpm_world.key.keyring, folder / "rocky.asc")
    definition = folder / "definition.yaml"
    definition.write_text(
        f"""
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {{name: node-packages, version: 1.0.0}}
platforms: [linux/amd64]
osPackages:
  - name: rocky-9
    release: rocky-9
    keyring: rocky.asc
    repositories:
      - {{name: baseos, url: "{rpm_site.url}/baseos/"}}
      - {{name: appstream, url: "{rpm_site.url}/appstream/"}}
    packages: [conntrack, toolkit]
"""
    )
    made.machine.run("lock", definition, "-o", made.lock)
    done = made.build(made.machine, made.bundle)
    assert done.returncode == 0, done.stderr
    # The lock kept all of it, so that no server has to have it still.
    assert json.loads(done.stdout)["fetched"] == 0
    approve_all(made.bundle, made.kit)
    made.machine.run(
        "enroll", made.bundle, "--depot", made.depot, "--fingerprint", made.kit.fingerprint
    )
    made.machine.run("verify", made.bundle, "--depot", made.depot)
    made.machine.run("import", made.bundle, "--depot", made.depot)
    return made


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory, journey: RpmJourney) -> Iterator[RunningDepot]:
    with serving(journey.depot, tmp_path_factory.mktemp("rpm-serve")) as running:
        yield running


class Node:
    """An empty system, set up by the stanzas of the runbook."""

    def __init__(self, folder: Path, depot: RunningDepot, key: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        repository, configuration = re.findall(r"^```ini\n(.*?)^```", RUNBOOK.read_text(), _BLOCK)
        for written, meant in {
            "https://depot.example.org": depot.url,
            "/etc/pki/rpm-gpg/RPM-GPG-KEY-Rocky-9": str(key),
            "/etc/pki/isoward/depot-ca.crt": str(depot.ca),
        }.items():
            assert written in repository
            repository = repository.replace(written, meant)
        (folder / "yum.repos.d").mkdir()
        (folder / "yum.repos.d" / "isoward.repo").write_text(repository)
        # A Rocky machine says the last three itself; this one begins empty.
        (folder / "dnf.conf").write_text(
            f"{configuration}module_platform_id=platform:el9\nplugins=0\n"
            f"reposdir={folder}/yum.repos.d\n"
        )

    def install(self, *packages: str) -> subprocess.CompletedProcess[str]:
        options = ["--assumeyes", f"--config={self.folder}/dnf.conf", f"--installroot={self.root}"]
        options += ["--releasever=9", "--forcearch=x86_64"]
        return self._run("dnf", *options, "install", *packages)

    def installed(self) -> set[str]:
        done = self._run("rpm", "--root", str(self.root), "-qa", "--qf", "%{NAME} %{EVR} %{ARCH}\n")
        return {line for line in done.stdout.splitlines() if not line.startswith("gpg-pubkey")}

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.root
def test_dnf_installs_from_the_depot_with_signature_checks_on(
    tmp_path: Path, depot: RunningDepot, rpm_world: RpmWorld
) -> None:
    node = Node(tmp_path, depot, rpm_world.key.keyring)
    done = node.install("conntrack-tools", "toolkit")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert node.installed() == {*CLOSURE, "toolkit 1.0-1.module_el9 x86_64"}
    assert (node.root / "opt/helper/tool").read_text() == "helper++\n"


@pytest.mark.root
def test_dnf_refuses_the_depot_with_another_key(
    tmp_path: Path, depot: RunningDepot, rpm_world: RpmWorld
) -> None:
    node = Node(tmp_path, depot, rpm_world.stranger.keyring)
    done = node.install("conntrack-tools")
    assert done.returncode != 0
    assert "signature" in done.stderr
    assert node.installed() == set()


@pytest.mark.root
def test_a_package_that_is_not_carried_is_said_to_be_missing(
    tmp_path: Path, depot: RunningDepot, rpm_world: RpmWorld
) -> None:
    node = Node(tmp_path, depot, rpm_world.key.keyring)
    done = node.install("socat")
    assert done.returncode != 0
    assert re.search(r"socat-.*: Cannot download", done.stderr)
    assert "404" in done.stdout
    assert node.installed() == set()


def test_a_second_build_asks_for_nothing_and_is_the_same(
    journey: RpmJourney, rpm_site: StaticSite, tmp_path: Path
) -> None:
    before = rpm_site.log.count()
    assert journey.build(journey.machine, tmp_path / "bundle").returncode == 0
    assert rpm_site.log.count() == before
    again, first = (path / "bundle.json" for path in (tmp_path / "bundle", journey.bundle))
    assert again.read_bytes() == first.read_bytes()
    assert str(journey.folder) not in journey.lock.read_text()


def test_another_machine_builds_the_same_until_the_repository_moves_on(
    journey: RpmJourney, rpm_site: StaticSite, rpm_world: RpmWorld, tmp_path: Path
) -> None:
    other = Machine(tmp_path / "other")
    assert journey.build(other, tmp_path / "bundle").returncode == 0
    again, first = (path / "bundle.json" for path in (tmp_path / "bundle", journey.bundle))
    assert again.read_bytes() == first.read_bytes()
    index = rpm_site.root / "baseos" / "repodata" / "repomd.xml"
    kept = index.read_bytes()
    try:
        index.write_bytes(kept.replace(b"<revision>", b"<revision>1"))
        done = journey.build(Machine(tmp_path / "late"), tmp_path / "too-late")
    finally:
        index.write_bytes(kept)
    assert done.returncode == DigestMismatchError.exit_code
    assert "baseos/repodata/repomd.xml" in done.stdout
    assert "changed since it was locked" in done.stdout
    assert not (tmp_path / "too-late").exists()


def test_the_bundle_says_what_it_carries(journey: RpmJourney) -> None:
    said = journey.machine.result("inspect", journey.bundle)["osPackages"]
    assert [(entry["kind"], len(entry["packages"])) for entry in said] == [("rpm", 5)]
    text = journey.machine.run("inspect", journey.bundle)
    assert "conntrack-tools 1.4.7-2.el9 x86_64" in text


# The same, by the files that the step `hosts` writes on a node.


@pytest.mark.root
def test_dnf_installs_by_what_an_installation_writes_also_when_the_first_depot_is_down(
    tmp_path: Path, depot: RunningDepot, journey: RpmJourney
) -> None:
    (bundle,) = accepted_bundles(open_depot(journey.depot))
    keyrings = read_keyrings(bundle.manifest.os_packages, open_depot(journey.depot))
    down = f"https://127.0.0.2:{free_port()}"
    written = package_files(bundle.manifest.os_packages, [down, depot.url], keyrings)
    for file in written:
        path = tmp_path / "etc" / file.path.removeprefix("/etc/")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Here, a path of the node is one below its folder.
        text = file.data.replace(b"file:///etc/", f"file://{tmp_path}/etc/".encode())
        path.write_bytes(text.replace(NODE_CA.encode(), bytes(depot.ca)))
    node = Node(tmp_path, depot, depot.ca)
    shutil.rmtree(tmp_path / "yum.repos.d")
    (tmp_path / "etc/yum.repos.d").rename(tmp_path / "yum.repos.d")
    done = node.install("conntrack-tools", "toolkit")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert node.installed() == {*CLOSURE, "toolkit 1.0-1.module_el9 x86_64"}


def test_rpm_takes_each_key_of_a_keyring_by_itself(tmp_path: Path, rpm_world: RpmWorld) -> None:
    both = [signer.keyring.read_bytes() for signer in (rpm_world.key, rpm_world.stranger)]
    keys = separate_keys(b"\n".join(both), "keyring")
    assert len(keys) == 2
    assert separate_keys(both[1], "keyring") == keys[1:]
    for number, text in enumerate(keys):
        (tmp_path / f"{number}.asc").write_text(text)
        run_rpm = ["rpmkeys", "--root", str(tmp_path), "--dbpath", "/db", "--import"]
        done = subprocess.run([*run_rpm, tmp_path / f"{number}.asc"], check=False)
        assert done.returncode == 0
    listed = ["rpm", "--root", str(tmp_path), "--dbpath", "/db", "-q", "gpg-pubkey"]
    assert len(set(subprocess.check_output(listed, text=True).split())) == 2
