"""Stock clients get everything out of the depot, and it is what upstream had, digest by digest."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import urllib3
import yaml
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.depot.upstream_clients import Containerd, private_containerd, skopeo, skopeo_raw
from tests.support.documents.verify_text import steps_of_document, type_steps
from tests.support.packages.debian_images import AMD64, ARM64, RECIPES
from tests.support.programs.needs import requires_tool
from tests.support.registries.attach import SeededReferrer
from tests.support.registries.definition import BOTH_PLATFORMS
from tests.support.registries.journey import Journey, ServedDepot
from tests.support.registries.oci import sha256
from tests.support.registries.referrers import CYCLONEDX, SIGNATURE, cosign_tag
from tests.support.registries.seeded import SeededImage, Upstream

NAMES = [recipe.name for recipe in RECIPES]


@pytest.fixture(scope="module")
def certs(depot: ServedDepot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return depot.cert_dir(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def http(depot: ServedDepot) -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(ca_certs=str(depot.ca)) as pool:
        yield pool


@pytest.fixture(scope="module")
def containerd(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, depot: ServedDepot
) -> Iterator[Containerd]:
    requires_tool("containerd", "ctr")
    with private_containerd(tmp_path_factory.mktemp("containerd")) as running:
        running.mirror(upstream.registry.host, depot.url, depot.ca)
        yield running


def _platforms(image: SeededImage) -> list[str]:
    """Return the platforms of an image that the bundle carries."""
    wanted = [AMD64, ARM64] if image.recipe.name == BOTH_PLATFORMS else [AMD64]
    return [platform for platform in image.platforms if platform in wanted]


def _carried(image: SeededImage) -> list[SeededReferrer]:
    """Return the referrers that the bundle carries: those of an index and of carried platforms."""
    return [r for r in image.referrers if r.platform in {"", *_platforms(image)}]


def _by_digest(reference: str, digest: str) -> str:
    return f"{reference.rpartition(':')[0]}@{digest}"


def test_the_upstream_is_what_the_journey_wants(upstream: Upstream) -> None:
    images = upstream.seeded.images
    assert len(images) >= 10
    assert sum(image.is_index for image in images) >= 2
    assert sum(any(r.tag for r in image.referrers) for image in images) >= 2
    assert sum(any(r.artifact_type for r in image.referrers) for image in images) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_skopeo_pulls_by_tag_and_by_digest(
    name: str, upstream: Upstream, depot: ServedDepot, certs: Path, tmp_path: Path
) -> None:
    image = upstream.seeded.image(name)
    where = depot.image(image.reference)
    raw = skopeo_raw(f"docker://{where}", "--cert-dir", certs)
    assert sha256(raw) == image.digest
    everything = ["--all"] if not image.is_index or name == BOTH_PLATFORMS else []
    for target in (where, _by_digest(where, image.digest)):
        copy = tmp_path / hashlib.sha256(target.encode()).hexdigest()[:8]
        options = [*everything, "--preserve-digests", "--src-cert-dir", str(certs)]
        skopeo("copy", "--quiet", *options, f"docker://{target}", f"dir:{copy}")
        expected = image.digest if everything else image.platforms[AMD64]
        assert sha256((copy / "manifest.json").read_bytes()) == expected


@pytest.mark.root
@pytest.mark.parametrize("name", NAMES)
def test_containerd_pulls_by_tag_and_by_digest_through_its_mirror(
    name: str, upstream: Upstream, containerd: Containerd
) -> None:
    image = upstream.seeded.image(name)
    for reference in (image.reference, _by_digest(image.reference, image.digest)):
        for platform in _platforms(image):
            assert containerd.fetch(reference, platform) == image.digest
            assert containerd.blob(image.platforms[platform])["layers"]


# skopeo takes no image in Docker's schema 2 out of an OCI layout, though the specification lets a
# layout have any media type; such an image stays as its publisher signed it.
@pytest.mark.parametrize("name", [recipe.name for recipe in RECIPES if not recipe.docker])
def test_skopeo_reads_the_bundle_itself(name: str, upstream: Upstream, journey: Journey) -> None:
    image = upstream.seeded.image(name)
    raw = skopeo_raw(f"oci:{journey.bundle}:{image.reference}")
    assert sha256(raw) == image.digest
    said = json.loads(skopeo("inspect", f"oci:{journey.bundle}:{image.reference}"))
    assert said["Architecture"] == "amd64"
    assert len(said["Layers"]) == len(image.recipe.packages) + 1


def test_the_layout_names_every_image(upstream: Upstream, journey: Journey) -> None:
    listing = json.loads((journey.bundle / "index.json").read_bytes())["manifests"]
    key = "org.opencontainers.image.ref.name"
    names = {entry.get("annotations", {}).get(key): entry["digest"] for entry in listing}
    for image in upstream.seeded.images:
        assert names[image.reference] == image.digest
        blob = journey.bundle / "blobs" / "sha256" / image.digest.removeprefix("sha256:")
        assert sha256(blob.read_bytes()) == image.digest


@pytest.mark.parametrize("name", ["hello", "tzdata", "ca-certificates"])
def test_the_bundle_has_exactly_the_referrers_of_what_it_carries(
    name: str, upstream: Upstream, journey: Journey
) -> None:
    image = upstream.seeded.image(name)
    entry = next(i for i in journey.manifest()["images"] if i["reference"] == image.reference)
    found = {(r["digest"], r["subject"]) for r in entry["referrers"]}
    assert found == {(r.digest, r.subject) for r in _carried(image)}


@pytest.mark.parametrize("name", ["hello", "tzdata"])
def test_referrers_come_out_of_the_api_and_of_cosigns_tags(
    name: str, upstream: Upstream, depot: ServedDepot, http: urllib3.PoolManager
) -> None:
    image = upstream.seeded.image(name)
    root = f"https://{depot.host}/v2/{depot.image(image.reference).partition('/')[2][:-3]}"
    for referrer in _carried(image):
        listed = _json(http, f"{root}/referrers/{referrer.subject}")["manifests"]
        kinds = {entry["digest"]: entry["artifactType"] for entry in listed}
        if referrer.artifact_type:
            assert kinds[referrer.digest] == referrer.artifact_type
        if referrer.tag:
            manifest = http.request("GET", f"{root}/manifests/{referrer.tag}")
            assert sha256(manifest.data) == referrer.digest
            layer = manifest.json()["layers"][0]
            blob = http.request("GET", f"{root}/blobs/{layer['digest']}").data
            assert sha256(blob) == layer["digest"]


def test_the_referrers_api_filters_by_type(
    upstream: Upstream, depot: ServedDepot, http: urllib3.PoolManager
) -> None:
    image = upstream.seeded.image("tzdata")
    root = f"https://{depot.host}/v2/{depot.image(image.reference).partition('/')[2][:-3]}"
    url = f"{root}/referrers/{image.digest}?artifactType={quote(CYCLONEDX, safe='')}"
    answer = http.request("GET", url)
    expected = [r.digest for r in image.referrers if r.artifact_type == CYCLONEDX]
    assert [entry["digest"] for entry in answer.json()["manifests"]] == expected
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"


@pytest.mark.parametrize("name", ["hello", "tzdata"])
def test_a_cosign_signature_from_the_depot_verifies(
    name: str, upstream: Upstream, depot: ServedDepot, http: urllib3.PoolManager
) -> None:
    image = upstream.seeded.image(name)
    root = f"https://{depot.host}/v2/{depot.image(image.reference).partition('/')[2][:-3]}"
    layer = _json(http, f"{root}/manifests/{cosign_tag(image.digest, 'sig')}")["layers"][0]
    payload = http.request("GET", f"{root}/blobs/{layer['digest']}").data
    key = serialization.load_pem_public_key(upstream.seeded.public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(layer["annotations"][SIGNATURE])
    key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    signed = json.loads(payload)["critical"]["image"]["docker-manifest-digest"]
    assert signed == image.digest


def test_charts_come_as_archives_and_as_oci(
    upstream: Upstream, depot: ServedDepot, journey: Journey, http: urllib3.PoolManager, certs: Path
) -> None:
    index = yaml.safe_load(http.request("GET", f"{depot.url}/charts/index.yaml").data)
    entries = {entry["reference"]: entry for entry in _chart_artifacts(journey)}
    assert len(upstream.seeded.charts) == len(entries)
    for chart in upstream.seeded.charts:
        listed = {entry["version"]: entry for entry in index["entries"][chart.name]}
        entry = listed[chart.version]
        assert f"sha256:{entry['digest'].removeprefix('sha256:')}" == chart.digest
        address = _absolute(f"{depot.url}/charts/", entry["urls"][0])
        assert http.request("GET", address).data == chart.archive
    for reference, artifact in entries.items():
        raw = skopeo_raw(f"docker://{depot.image(reference)}", "--cert-dir", certs)
        assert sha256(raw) == artifact["digest"]
    pushed = next(chart.artifact for chart in upstream.seeded.charts if chart.artifact)
    assert pushed in {artifact["digest"] for artifact in entries.values()}


def test_files_come_whole_and_in_parts(
    upstream: Upstream, depot: ServedDepot, http: urllib3.PoolManager
) -> None:
    for file in upstream.seeded.files:
        parts = urlsplit(file.url)
        address = f"{depot.url}/files/{parts.netloc.replace(':', '_')}{parts.path}"
        data = http.request("GET", address).data
        assert (sha256(data), len(data)) == (file.digest, file.size)
        part = http.request("GET", address, headers={"Range": "bytes=5-"})
        assert (part.status, part.data) == (206, data[5:])


def test_sha256sum_agrees_with_the_bundle(journey: Journey) -> None:
    argv = ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"]
    done = subprocess.run(argv, cwd=journey.bundle, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    listed = {
        line.split(maxsplit=1)[1].lstrip("*")
        for line in (journey.bundle / "SHA256SUMS").read_text().splitlines()
    }
    there = {
        path.relative_to(journey.bundle).as_posix()
        for path in journey.bundle.rglob("*")
        if path.is_file()
    }
    assert listed == there - {"SHA256SUMS"}


def _chart_artifacts(journey: Journey) -> list[dict[str, Any]]:
    return [chart["artifact"] for chart in journey.manifest()["charts"]]


def _absolute(base: str, address: str) -> str:
    return address if "://" in address else base + address


def _json(http: urllib3.PoolManager, url: str) -> Any:
    answer = http.request("GET", url)
    assert answer.status == 200, f"{url}: {answer.status} {answer.data[:500]!r}"
    return answer.json()


def test_the_auditor_s_steps_pass_over_all_kinds_of_images(journey: Journey) -> None:
    """VERIFY.txt over indexes, Docker manifests, signatures, SBOMs, charts and files."""
    steps = steps_of_document()
    done = type_steps([steps[n] for n in (1, 2, 3, 4, 5, 8)], journey.bundle, journey.fingerprint)
    assert (done.returncode, "NOT" in done.stdout) == (0, False), done.stdout + done.stderr
    done = type_steps([steps[7]], journey.bundle, journey.fingerprint)
    index = json.loads((journey.bundle / "index.json").read_bytes())["manifests"]
    named = [entry for entry in index if "annotations" in entry]
    assert any("docker" in entry["mediaType"] for entry in named)
    names = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in named]
    assert [line.split()[1] for line in done.stdout.splitlines()] == names
    assert done.stderr == ""
