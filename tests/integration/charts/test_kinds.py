"""Charts of every kind, from where they live to the depot, and out of it by the real Helm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from tests.support.charts.folders import chart_lock, write_chart
from tests.support.charts.git_repositories import commit_files, new_repository
from tests.support.programs.helm import run_helm
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import faulty_registry
from tests.support.registries.journey import (
    APPROVERS,
    Machine,
    ServedDepot,
    approve,
    build,
    make_keys,
    make_root,
    served,
)
from tests.support.registries.oci import Blob, manifest, to_json
from tests.support.registries.static_site import static_site
from tests.support.trust.gpg import Gpg, gpg_home
from tests.vectors.charts import Chart, repository_index

CONFIG = "application/vnd.cncf.helm.config.v1+json"
LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
IMAGE = "registry.example.org/app/main"
REDIS = Chart("redis", "17.2.0", IMAGE)
COMMON = Chart("common", "2.0.1", IMAGE)
PLAIN = Chart("plain", "0.4.0", IMAGE, service=True)
DATABASE = Chart("db", "0.9.0+debian.12", IMAGE)
RELEASE = "shop"
NOT_RENDERED = "notRendered: its images are no concern of these tests"


@dataclass(frozen=True)
class World:
    """A bundle that was made of all kinds of charts.

    Attributes:
        machine: The vendor's.
        home: Its folder, with the definition and the charts' folders.
        bundle: What was built.
        again: Built once more with a warm cache, when nobody upstream answered.
        signed: A chart that the real Helm packed and signed.
        people: The publisher's keys.
        hosts: Of the chart repository and of the registry.
    """

    machine: Machine
    home: Path
    bundle: Path
    again: Path
    signed: bytes
    people: Gpg
    hosts: tuple[str, str]

    @property
    def ring(self) -> Path:
        return self.home / "keys.gpg"


def _signed_by_helm(people: Gpg, folder: Path) -> tuple[bytes, bytes]:
    """Return a chart and its provenance file as the real Helm makes them."""
    secret = folder / "secret.gpg"
    secret.write_bytes(people.export_secret("ada", armour=False))
    chart = write_chart(folder / "signed", "signed", "1.2.3")
    arguments = ["package", str(chart), "-d", str(folder), "--sign", "--key", "ada"]
    run_helm([*arguments, "--keyring", str(secret)], folder / "helm")
    secret.unlink()
    archive = folder / "signed-1.2.3.tgz"
    return archive.read_bytes(), Path(f"{archive}.prov").read_bytes()


def _folders(home: Path, site: str, registry: str) -> str:
    """Write the vendor's own charts, and return the commit of one in Git."""
    redis = {"name": "redis", "version": "^17.0.0", "repository": f"{site}/c", "alias": "cache"}
    common = {"name": "common", "version": "2.x.x", "repository": f"oci://{registry}/charts"}
    beside = {"name": "beside", "version": ">=0.1.0", "repository": "file://../beside"}
    exact = [
        {**redis, "version": "17.2.0"},
        {**common, "version": "2.0.1"},
        {**beside, "version": "0.4.0"},
    ]
    ignored = {"Chart.lock": chart_lock(exact), ".helmignore": "*.bak\n", "notes.bak": "not ours"}
    write_chart(home / "charts/own", "own", "1.0.0", [redis, common, beside], ignored)
    write_chart(home / "charts/beside", "beside", "0.4.0")
    repository = new_repository(home / "repo")
    write_chart(repository / "deploy/fromgit", "fromgit", "3.1.4")
    return commit_files(repository, {})


def _definition(commit: str, site: str, registry: str) -> str:
    return "\n".join(
        [
            "apiVersion: isoward/v1",
            "kind: BundleDefinition",
            "metadata: {name: charts, version: 1.0.0}",
            "platforms: [linux/amd64]",
            "charts:",
            f"  - {{name: plain, version: 0.4.0, repository: '{site}/c', {NOT_RENDERED}}}",
            f"  - {{name: signed, version: 1.2.3, repository: '{site}/c', {NOT_RENDERED},",
            "     provenance: {keyring: keys.gpg}}",
            f"  - {{name: db, version: 0.9.0+debian.12, repository: 'oci://{registry}/charts',",
            f"     provenance: {{keyring: keys.gpg}}, {NOT_RENDERED}}}",
            f"  - {{name: own, version: 1.0.0, path: charts/own, {NOT_RENDERED}}}",
            f"  - {{name: fromgit, version: 3.1.4, path: deploy/fromgit, {NOT_RENDERED},",
            f"     git: {{repository: repo, commit: {commit}}}}}",
            "",
        ]
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("vendor")
    machine = Machine(home)
    content = RegistryContent()
    with ExitStack() as stack:
        people = stack.enter_context(gpg_home())
        people.new_key("ada")
        (home / "keys.gpg").write_bytes(people.export("ada", armour=False))
        signed, document = _signed_by_helm(people, tmp_path_factory.mktemp("publisher"))
        digest = digest_of(DATABASE.archive())
        layers = [Blob(LAYER, DATABASE.archive())]
        layers.append(Blob(PROVENANCE, people.provenance("ada", DATABASE.filename, digest)))
        tag = DATABASE.version.replace("+", "_")
        content.put("charts/db", manifest(Blob(CONFIG, to_json(DATABASE.metadata)), layers), tag)
        packed = [Blob(LAYER, COMMON.archive())]
        config = Blob(CONFIG, to_json(COMMON.metadata))
        content.put("charts/common", manifest(config, packed), COMMON.version)
        keys, release = home / "keys", home / "release"
        make_keys(keys)
        make_root(machine, keys, release)
        with static_site(home / "site") as site, faulty_registry(content) as registry:
            index = {chart: digest_of(chart.archive()) for chart in (REDIS, PLAIN)}
            index[Chart("signed", "1.2.3", IMAGE)] = digest_of(signed)
            site.put("c/index.yaml", repository_index(index, base=""))
            site.put("c/signed-1.2.3.tgz", signed)
            site.put("c/signed-1.2.3.tgz.prov", document)
            for chart in (REDIS, PLAIN):
                site.put(f"c/{chart.filename}", chart.archive())
            commit = _folders(home, site.url, registry.host)
            (home / "definition.yaml").write_text(_definition(commit, site.url, registry.host))
            machine.run("lock", home / "definition.yaml")
            build(machine, home / "definition.lock.yaml", home / "bundle", release, keys)
            cold = ("--cache", home / "cold", "--release", home / "cold.release")
            make_root(machine, keys, home / "cold.release")
            lock, key = home / "definition.lock.yaml", keys / "build.pem"
            machine.run("build", lock, "-o", home / "cold.bundle", *cold, "--key", key)
            hosts = (site.url.partition("//")[2], registry.host)
        shutil.rmtree(home / "charts")
        shutil.rmtree(home / "repo")
        build(machine, home / "definition.lock.yaml", home / "again", release, keys)
        bundle = home / "bundle"
        yield World(machine, home, bundle, home / "again", signed, people, hosts)


@pytest.fixture(scope="module")
def depot(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDepot]:
    for name in APPROVERS[:2]:
        approve(world.machine, world.again, world.home / "keys", name)
    root = world.home / "release" / "1.root.json"
    fingerprint = digest_of(root.read_bytes()).removeprefix("sha256:")
    place = world.home / "depot"
    world.machine.run("enroll", world.again, "--depot", place, "--fingerprint", fingerprint)
    world.machine.run("verify", world.again, "--depot", place)
    world.machine.run("import", world.again, "--depot", place)
    with served(world.machine, place, tmp_path_factory.mktemp("serve")) as running:
        yield running


def test_a_lock_gives_the_same_bundle_without_a_request_and_without_a_cache(world: World) -> None:
    """`again` was built when servers, folders and Git were gone; `cold` without any cache."""
    made = [world.home / name / "bundle.json" for name in ("bundle", "again", "cold.bundle")]
    assert len({path.read_bytes() for path in made}) == 1


def test_nothing_of_the_vendor_s_machine_is_in_the_bundle(world: World) -> None:
    text = (world.bundle / "bundle.json").read_text()
    assert str(world.home) not in text
    assert str(world.home) not in (world.home / "definition.lock.yaml").read_text()
    said = json.loads(text)
    assert said["sources"] == sorted(world.hosts)
    by_name = {chart["name"]: chart for chart in said["charts"]}
    assert by_name["own"]["path"] == "charts/own"
    assert by_name["fromgit"]["git"]["repository"] == "repo"
    assert "signer" in by_name["db"]["provenance"]


def test_an_auditor_sees_where_charts_are_from_and_who_signed_them(world: World) -> None:
    said = world.machine.run("inspect", world.bundle)
    assert "own 1.0.0 from charts/own" in said
    assert "fromgit 3.1.4 from deploy/fromgit in repo at " in said
    assert said.count("provenance signed by ") == 2


def _repository(world: World, name: str) -> str:
    """Return where the depot has a chart, below /charts/ and below its registry."""
    site, registry = (host.replace(":", "_") for host in world.hosts)
    folder = {"plain": f"{site}/c", "signed": f"{site}/c", "db": f"{registry}/charts"}
    return folder.get(name, "local.invalid")


KINDS = {
    "plain": "0.4.0",
    "signed": "1.2.3",
    "db": "0.9.0+debian.12",
    "own": "1.0.0",
    "fromgit": "3.1.4",
}


@pytest.mark.parametrize("name", KINDS)
def test_helm_pulls_every_kind_both_ways(
    name: str, world: World, depot: ServedDepot, tmp_path: Path
) -> None:
    where, options = _repository(world, name), ["--version", KINDS[name], "--ca-file"]
    options += [str(depot.ca), "-d"]
    for folder in ("by-repository", "by-all", "by-registry"):
        (tmp_path / folder).mkdir()
    repo = ["--repo", f"{depot.url}/charts/{where}"]
    run_helm(["pull", name, *repo, *options, str(tmp_path / "by-repository")], tmp_path)
    repo = ["--repo", f"{depot.url}/charts"]
    run_helm(["pull", name, *repo, *options, str(tmp_path / "by-all")], tmp_path)
    oci = f"oci://{depot.host}/{where}/{name}"
    run_helm(["pull", oci, *options, str(tmp_path / "by-registry")], tmp_path)
    pulled = {path.read_bytes() for path in tmp_path.glob("by-*/*.tgz")}
    (archive,) = pulled
    charts = json.loads((world.bundle / "bundle.json").read_bytes())["charts"]
    assert digest_of(archive) in {chart["archive"] for chart in charts if chart["name"] == name}


@pytest.mark.parametrize("name", ["signed", "db"])
def test_helm_verifies_the_provenance_file_both_ways(
    name: str, world: World, depot: ServedDepot, tmp_path: Path
) -> None:
    where, version = _repository(world, name), KINDS[name]
    trust = ["--verify", "--keyring", str(world.ring), "--ca-file", str(depot.ca)]
    options = ["--version", version, *trust, "-d", str(tmp_path)]
    repo = ["--repo", f"{depot.url}/charts/{where}"]
    assert "Signed by: ada" in run_helm(["pull", name, *repo, *options], tmp_path).stdout
    (archive,) = tmp_path.glob("*.tgz")
    ring = ["--keyring", str(world.ring)]
    assert "Signed by: ada" in run_helm(["verify", str(archive), *ring], tmp_path).stdout
    archive.unlink()
    Path(f"{archive}.prov").unlink()
    oci = f"oci://{depot.host}/{where}/{name}"
    assert "Signed by: ada" in run_helm(["pull", oci, *options], tmp_path).stdout


def test_helm_finds_no_provenance_where_there_is_none(
    world: World, depot: ServedDepot, tmp_path: Path
) -> None:
    trust = ["--verify", "--keyring", str(world.ring), "--ca-file", str(depot.ca)]
    repo = ["--repo", f"{depot.url}/charts/local.invalid", "--version", "1.0.0"]
    done = run_helm(["pull", "own", *repo, *trust, "-d", str(tmp_path)], tmp_path, check=False)
    assert done.returncode != 0


def test_helm_renders_the_pulled_chart_as_its_source(
    world: World, depot: ServedDepot, tmp_path: Path
) -> None:
    _folders(tmp_path / "source", f"http://{world.hosts[0]}", world.hosts[1])
    source = tmp_path / "source/charts/own"
    (source / "charts").mkdir()
    for chart in (REDIS, COMMON):
        (source / "charts" / chart.filename).write_bytes(chart.archive())
    shutil.copytree(tmp_path / "source/charts/beside", source / "charts/beside")
    repo = ["--repo", f"{depot.url}/charts/local.invalid", "--version", "1.0.0"]
    ca = ["--ca-file", str(depot.ca), "-d", str(tmp_path)]
    run_helm(["pull", "own", *repo, *ca], tmp_path)
    values = ["--set", "cache.replicas=3"]
    pulled = run_helm(["template", RELEASE, str(tmp_path / "own-1.0.0.tgz"), *values], tmp_path)
    rendered = run_helm(["template", RELEASE, str(source), *values], tmp_path)
    assert "replicas: 3" in pulled.stdout
    assert pulled.stdout == rendered.stdout


def test_a_lock_that_names_another_signer_does_not_build(world: World) -> None:
    lock = world.home / "edited.lock.yaml"
    text = (world.home / "definition.lock.yaml").read_text()
    (fingerprint,) = {line.split()[1] for line in text.splitlines() if " signer: " in line}
    lock.write_text(text.replace(fingerprint, "A" * 40))
    keys, release = world.home / "keys", world.home / "release"
    done = world.machine.attempt(
        *("build", lock, "-o", world.home / "edited", "--release", release),
        *("--key", keys / "build.pem"),
    )
    assert done.returncode == 39
    assert "the lock says that AAAA" in done.stderr
    assert not (world.home / "edited").exists()


def test_a_folder_that_is_gone_is_said_by_its_path(world: World) -> None:
    definition = world.home / "alone.yaml"
    head = _definition("", "", "").partition("charts:")[0]
    chart = f"{{name: alone, version: 1.0.0, path: charts/alone, {NOT_RENDERED}}}"
    definition.write_text(f"{head}charts: [{chart}]\n")
    folder = write_chart(world.home / "charts/alone", "alone", "1.0.0")
    world.machine.run("lock", definition)
    shutil.rmtree(folder)
    keys, release = world.home / "keys", world.home / "release"
    done = world.machine.attempt(
        *("build", world.home / "alone.lock.yaml", "-o", world.home / "gone"),
        *("--cache", world.home / "empty", "--release", release, "--key", keys / "build.pem"),
    )
    assert done.returncode == 10
    assert "charts/alone: no such folder" in done.stderr
    assert not (world.home / "gone").exists()
