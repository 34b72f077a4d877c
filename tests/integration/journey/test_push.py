"""What is pushed into the distribution registry is what upstream had, and stock clients get it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from bundle.base.errors import (
    AuthenticationError,
    DigestMismatchError,
    NotEnrolledError,
    SizeMismatchError,
    TransportError,
    TransportRefusedError,
    UsageError,
)
from tests.support.depot.upstream_clients import skopeo, skopeo_raw
from tests.support.packages.debian_images import AMD64, RECIPES
from tests.support.registries.definition import BOTH_PLATFORMS
from tests.support.registries.journey import Journey, Machine
from tests.support.registries.oci import sha256
from tests.support.registries.push import pusher
from tests.support.registries.registry import (
    PASSWORD,
    Registry,
    Settings,
    distribution_registry,
)
from tests.support.registries.seeded import SeededImage, Upstream
from tests.support.registries.site_registry import PREFIX, TYPES, Site, log_in
from tests.support.registries.tls import ServerTls, make_server_tls

NAMES = [recipe.name for recipe in RECIPES]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ServerTls:
    return make_server_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, journey: Journey, tls: ServerTls
) -> Iterator[Site]:
    """A registry into which the depot was pushed."""
    base = tmp_path_factory.mktemp("push")
    with distribution_registry(base / "registry", Settings(tls, login=True)) as registry:
        machine = Machine(base / "home")
        made = Site(registry, tls, machine, journey.depot, log_in(machine, registry.host))
        planned = machine.result(*made.options, "--dry-run")
        assert planned["pushed"]
        assert not [line for line in registry.requests() if line[0] not in {"GET", "HEAD"}]
        pushed = machine.result(*made.options)
        assert set(planned["pushed"]) <= set(pushed["pushed"])
        assert pushed["sent"]["bytes"] > 0
        yield made


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Registry]:
    """A registry without anything, over plain HTTP."""
    with distribution_registry(tmp_path / "registry") as registry:
        yield registry


def _whole(image: SeededImage) -> bool:
    return not image.is_index or image.recipe.name == BOTH_PLATFORMS or len(image.platforms) == 1


@pytest.mark.parametrize("name", NAMES)
def test_skopeo_pulls_back_what_upstream_has(
    name: str, upstream: Upstream, site: Site, tmp_path: Path
) -> None:
    image = upstream.seeded.image(name)
    where = site.where(image.reference)
    certs = tmp_path / "certs"
    certs.mkdir()
    shutil.copy(site.tls.ca, certs / "ca.crt")
    options = ["--authfile", str(site.auth), "--cert-dir", str(certs)]
    expected = image.digest if _whole(image) else image.platforms[AMD64]
    assert sha256(skopeo_raw(f"docker://{where}", *options)) == expected
    copy: list[str | Path] = [
        "--all",
        "--preserve-digests",
        "--src-authfile",
        site.auth,
        "--src-cert-dir",
        certs,
    ]
    for reference in (where, f"{where.rpartition(':')[0]}@{expected}"):
        skopeo("copy", "--quiet", *copy, f"docker://{reference}", f"dir:{tmp_path / 'copy'}")
        shutil.rmtree(tmp_path / "copy")


def test_a_second_push_sends_nothing(site: Site) -> None:
    before = len(site.registry.requests())
    said = site.machine.result(*site.options)
    assert said["pushed"] == []
    assert said["sent"] == {"blobs": 0, "mounted": 0, "bytes": 0}
    asked = site.registry.requests()[before:]
    assert {method for method, _, _ in asked} <= {"HEAD", "GET"}
    assert site.machine.run(*site.options).startswith("nothing to do")


def test_signatures_and_referrers_are_there(site: Site, upstream: Upstream) -> None:
    """By cosign's tags, and by the tag of the list for a registry that makes none itself."""
    seen = 0
    for name in ("hello", "tzdata"):
        image = upstream.seeded.image(name)
        repository = site.repository(image)
        for referrer in image.referrers:
            if referrer.subject != image.digest:
                continue
            if referrer.tag:
                found = site.get(f"{repository}/manifests/{referrer.tag}")
                assert sha256(found.data) == referrer.digest
                seen += 1
            if referrer.artifact_type:
                tag = image.digest.replace(":", "-")
                listed = site.get(f"{repository}/manifests/{tag}").json()["manifests"]
                entry = next(e for e in listed if e["digest"] == referrer.digest)
                assert entry["artifactType"] == referrer.artifact_type
                assert sha256(site.get(f"{repository}/manifests/{referrer.digest}").data)
                seen += 1
    assert seen >= 3


def test_charts_are_there_under_their_version(site: Site, upstream: Upstream) -> None:
    for chart in upstream.seeded.charts:
        host, _, path = chart.repository.partition("://")[2].partition("/")
        folder = f"{PREFIX}/{host.replace(':', '_')}/{path}/{chart.name}"
        tag = chart.version.replace("+", "_")
        body = site.get(f"{folder}/manifests/{tag}").json()
        assert chart.digest in {layer["digest"] for layer in body["layers"]}
        archive = site.get(f"{folder}/blobs/{chart.digest}")
        assert sha256(archive.data) == chart.digest


def test_what_a_partial_index_loses_is_said_before(site: Site, upstream: Upstream) -> None:
    said = site.machine.result(*site.options, "--dry-run")
    partial = [i for i in upstream.seeded.images if not _whole(i)]
    assert {lost["index"] for lost in said["lost"]} == {image.digest for image in partial}
    for image in partial:
        lost = next(one for one in said["lost"] if one["index"] == image.digest)
        assert lost["missing"] == ["linux/arm64"]
        assert lost["tags"] == [image.reference.rpartition(":")[2]]
        about = [r for r in image.referrers if r.subject == image.digest]
        assert bool(lost["signatures"]) == bool(about or image.recipe.referrers == "buildkit")
        assert lost["instead"] == image.platforms[AMD64]
        assert site.get(f"{site.repository(image)}/manifests/{image.digest}").status == 404
    told = site.machine.attempt(*site.options, "--dry-run").stderr
    assert told.count("its index cannot be pushed, for linux/arm64 did not travel") == len(partial)


def test_a_medium_is_verified_and_pushed_as_well(
    journey: Journey, empty: Registry, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "home")
    to: list[str | Path] = ["--to", f"http://{empty.host}/x", "--depot", journey.depot]
    said = machine.result("push", journey.bundle, *to)
    assert said["pushed"]
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    done = machine.attempt("push", journey.bundle, "--to", f"http://{empty.host}/y",
                           "--depot", stranger)  # fmt: skip
    assert done.returncode == NotEnrolledError.exit_code
    assert "/v2/y/" not in empty.access_log.read_text(encoding="utf-8")


def test_a_changed_blob_of_a_medium_ends_the_push_before_its_tag(
    journey: Journey, empty: Registry, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(journey.bundle, bundle)
    layer = max((bundle / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    layer.chmod(0o644)
    data = bytearray(layer.read_bytes())
    data[len(data) // 2] ^= 1
    layer.write_bytes(data)
    done = Machine(tmp_path / "home").attempt(
        "push", bundle, "--to", f"http://{empty.host}", "--depot", journey.depot
    )
    assert done.returncode == DigestMismatchError.exit_code
    assert layer.name in done.stderr
    stored = empty.access_log.parent / "storage"
    assert not list(stored.rglob(f"{layer.name}/data"))


@pytest.mark.parametrize("change", ["flip", "cut", "grow"])
def test_damage_in_the_depot_is_never_pushed(
    change: str, journey: Journey, empty: Registry, tmp_path: Path
) -> None:
    depot = tmp_path / "depot"
    shutil.copytree(journey.depot, depot)
    manifests = {entry["digest"] for image in journey.manifest()["images"]
                 for entry in (*image["manifests"], *image.get("referrers", ()))}  # fmt: skip
    image = journey.manifest()["images"][0]
    body = _first_manifest(depot, image)
    digest = body["layers"][0]["digest"]
    assert digest not in manifests
    blob = depot / "blobs" / "sha256" / digest.removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    blob.chmod(0o644)
    changed = {"flip": bytes([data[0] ^ 1, *data[1:]]), "cut": data[:-1], "grow": data + b"x"}
    blob.write_bytes(changed[change])
    machine = Machine(tmp_path / "home")
    done = machine.attempt("push", depot, "--to", f"http://{empty.host}", "--json")
    said = json.loads(done.stdout)
    wrong = DigestMismatchError if change == "flip" else SizeMismatchError
    assert done.returncode == wrong.exit_code
    assert said["error"] == wrong.id
    assert digest.removeprefix("sha256:") in said["message"]
    puts = [path for method, path, status in empty.requests() if method == "PUT" and status == 201]
    assert not [path for path in puts if digest in path]
    # No tag of an image that has the blob.
    tagged = [path for path in puts if "/manifests/" in path and "sha256" not in path]
    name = image["reference"].partition("/")[2].rpartition(":")[0]
    assert not [path for path in tagged if path.startswith(f"/v2/{name}/")]


def _first_manifest(depot: Path, image: dict[str, Any]) -> dict[str, Any]:
    for entry in image["manifests"]:
        path = depot / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")
        body: dict[str, Any] = json.loads(path.read_bytes())
        if body.get("layers"):
            return body
    pytest.fail("an image without layers")


def test_tags_of_other_content_are_never_written_over_unasked(
    journey: Journey, empty: Registry, upstream: Upstream, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "home")
    options: list[str | Path] = ["push", "--depot", journey.depot]
    options += ["--to", f"http://{empty.host}/m"]
    machine.run(*options)
    first = upstream.seeded.image("hello")
    name = (
        f"m/{first.reference.partition('/')[0].replace(':', '_')}/"
        + (first.reference.partition("/")[2].rpartition(":")[0])
    )
    tag = first.reference.rpartition(":")[2]
    with pusher(empty.url) as sink:
        right, _ = sink.manifest(name, tag)
        body = json.loads(right)
        body["annotations"] = {"by": "somebody else"}
        other = json.dumps(body).encode()
        sink.put_manifest(name, tag, other, body["mediaType"])
    before = len(empty.requests())
    done = machine.attempt(*options)
    assert done.returncode == UsageError.exit_code
    assert f"{empty.host}/{name}:{tag} is {sha256(other)}" in done.stderr
    assert "--replace-tags" in done.stderr
    assert {method for method, _, _ in empty.requests()[before:]} <= {"GET", "HEAD"}
    said = machine.result(*options, "--replace-tags")
    assert said["pushed"] == [f"{name}:{tag}"]
    with pusher(empty.url) as sink:
        assert sha256(sink.manifest(name, tag)[0]) == sha256(right)


def test_killed_in_the_middle_it_goes_on(journey: Journey, empty: Registry, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "home")
    machine.home.mkdir()
    options = ["push", "--depot", str(journey.depot), "--to", f"http://{empty.host}", "--json"]
    whole = len(machine.result(*options, "--dry-run")["pushed"])
    for round_ in range(3):
        before = _uploads(empty)
        child = subprocess.Popen(machine.argv(*options), cwd=machine.home, env=machine.environment,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        deadline = time.monotonic() + 120
        while _uploads(empty) < before + 2 + round_ and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL if round_ < 2 else signal.SIGINT)
        code = child.wait(60)
        assert code in {-signal.SIGKILL, 130}
        _assert_tags_are_whole(empty)
    sent = _uploads(empty)
    last = machine.result(*options)
    assert 0 < last["sent"]["blobs"] == _uploads(empty) - sent
    assert len(last["pushed"]) + len(last["present"]) >= whole
    _assert_tags_are_whole(empty)


def _uploads(registry: Registry) -> int:
    return sum(
        1
        for method, path, status in registry.requests()
        if method == "PUT" and "/blobs/uploads/" in path and status == 201
    )


def _assert_tags_are_whole(registry: Registry) -> None:
    """Everything that a tag names, at any depth, is in its repository."""
    with urllib3.PoolManager() as pool:
        names = pool.request("GET", f"{registry.url}/v2/_catalog?n=1000").json()["repositories"]
        for name in names:
            base = f"{registry.url}/v2/{name}"
            listed = pool.request("GET", f"{base}/tags/list")
            for tag in (listed.json().get("tags") or []) if listed.status == 200 else []:
                pending = [tag]
                while pending:
                    found = pool.request("GET", f"{base}/manifests/{pending.pop()}",
                                         headers={"Accept": ", ".join(TYPES)})  # fmt: skip
                    assert found.status == 200
                    body = found.json()
                    pending += [entry["digest"] for entry in body.get("manifests", ())]
                    for part in (body.get("config"), *body.get("layers", ())):
                        if part is not None:
                            blob = f"{base}/blobs/{part['digest']}"
                            assert pool.request("HEAD", blob).status == 200


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_login_that_is_missing_or_wrong_is_said(
    password: str, site: Site, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "home")
    if password:
        log_in(machine, site.registry.host, password)
    done = machine.attempt(*site.options)
    assert done.returncode == AuthenticationError.exit_code
    assert f"docker login {site.registry.host}" in done.stderr
    assert PASSWORD not in done.stderr
    assert "wrong" not in done.stderr


def test_an_authority_that_is_not_known_is_said(site: Site) -> None:
    done = site.machine.attempt("push", "--depot", site.depot, "--to", site.to)
    assert done.returncode == TransportRefusedError.exit_code
    assert "certificate is not trusted" in done.stderr
    assert "certs.d" in done.stderr


def test_a_registry_that_is_read_only_is_said(journey: Journey, tmp_path: Path) -> None:
    with distribution_registry(tmp_path / "registry", Settings(read_only=True)) as registry:
        to = f"http://{registry.host}"
        done = Machine(tmp_path / "home").attempt("push", "--depot", journey.depot, "--to", to)
    assert done.returncode == TransportRefusedError.exit_code
    assert "read-only" in done.stderr


@pytest.mark.root
def test_a_registry_whose_disk_is_full_is_said_and_gone_on_with(
    journey: Journey, tmp_path: Path
) -> None:
    storage = tmp_path / "registry" / "storage"
    storage.mkdir(parents=True)
    mount: list[str | Path] = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", storage]
    subprocess.run(mount, check=True)
    try:
        with distribution_registry(tmp_path / "registry") as registry:
            machine = Machine(tmp_path / "home")
            options = ["push", "--depot", str(journey.depot), "--to", f"http://{registry.host}"]
            done = machine.attempt(*options)
            assert done.returncode in {TransportError.exit_code, TransportRefusedError.exit_code}
            assert "no space left on device" in done.stderr
            _assert_tags_are_whole(registry)
            subprocess.run(["mount", "-o", "remount,size=1g", storage], check=True)
            assert machine.result(*options)["sent"]["blobs"] > 0
            _assert_tags_are_whole(registry)
    finally:
        subprocess.run(["umount", "-l", storage], check=True)
